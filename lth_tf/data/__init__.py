"""Data: image sets as arrays, drawn into training and validation examples."""

from lth_tf.data.image_data import ImageData, ImageInfo
from lth_tf.data.sources import info, load, load_data, recipe_overrides
from lth_tf.data.split import split
from lth_tf.data.user_data import UserData, UserDataInfo

__all__ = [
    "ImageData",
    "ImageInfo",
    "UserData",
    "UserDataInfo",
    "info",
    "load",
    "load_data",
    "recipe_overrides",
    "split",
]
