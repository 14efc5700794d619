"""Data: image sets as arrays, drawn into training and validation examples."""

from lth_tf.data.image_data import ImageData, ImageInfo
from lth_tf.data.own_data import OwnData, OwnInfo
from lth_tf.data.sources import info, load, recipe_overrides
from lth_tf.data.split import split

__all__ = [
    "ImageData",
    "ImageInfo",
    "OwnData",
    "OwnInfo",
    "info",
    "load",
    "recipe_overrides",
    "split",
]
