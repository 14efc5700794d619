"""Sources of data, one file each: embedded sets, those of TFDS, and what a function makes."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

from lth_tf.data.image_data import ImageData, ImageInfo
from lth_tf.data.sources.embedded import EMBEDDED
from lth_tf.data.sources.function import Function
from lth_tf.data.sources.tfds import Tfds
from lth_tf.data.user_data import UserData, UserDataInfo
from lth_tf.importing import allow, names_function


class Source(Protocol):
    """Where one data set comes from.

    Attributes:
        overrides: the fields of any recipe, by name, that the set changes.
    """

    overrides: Mapping[str, Any]

    def load(self) -> ImageData | UserData:
        """Returns the set in memory."""

    def sizes(self) -> ImageInfo | UserDataInfo:
        """Returns its sizes, if possible without loading it."""

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Returns the mean and deviation of its images' channels; see `ImageInfo`."""


def source_of(name: str, data_dir: str | None = None) -> Source:
    """Returns the source of a name, which need not have such a set; see `load`.

    Args:
        name: See `load`.
        data_dir: See `load`.
    """
    if names_function(name):
        return Function(name)
    return EMBEDDED[name] if name in EMBEDDED else Tfds(name, data_dir)


def load(name: str, data_dir: str | None = None) -> ImageData | UserData:
    """Loads a data set, downloading and preparing it if need be.

    Args:
        name: an embedded set, such as `mnist_5k`; TFDS's name of an image classification set, such
            as `cifar10`; or `package.module:function`, which returns (train, validation, test),
            see `UserData.of`.
        data_dir: TFDS's data folder; by default $TFDS_DATA_DIR, else ~/tensorflow_datasets.

    Returns:
        The set, its examples in the same order every time.

    Raises:
        UserError: If there is no such set, it cannot be had, or it is not image classification
            with one image shape and the splits train and test.
    """
    return source_of(name, data_dir).load()


def load_data(name: str, data_dir: str | None = None) -> ImageData | UserData:
    """Loads a data set that the user names, which may be a function; see `load`.

    Args:
        name: See `load`.
        data_dir: See `load`.

    Raises:
        UserError: See `load`.
    """
    allow(name)
    return load(name, data_dir)


def info(
    name: str, data_dir: str | None = None, standardize: bool = False
) -> ImageInfo | UserDataInfo:
    """Returns a data set's sizes without loading it.

    Only a set that is neither prepared nor one of the few in common use is downloaded for it.

    Args:
        name: See `load`.
        data_dir: See `load`.
        standardize: Whether the channels' mean and deviation are wanted as well: the published
            ones of a set in common use, else those of its training images, which are then loaded.

    Raises:
        UserError: See `load`.
    """
    source = source_of(name, data_dir)
    sizes = source.sizes()
    if not standardize or isinstance(sizes, UserDataInfo):
        return sizes
    mean, deviation = source.statistics()
    return dataclasses.replace(sizes, mean=mean, deviation=deviation)


def recipe_overrides(name: str) -> dict[str, Any]:
    """Returns the recipe fields, by name, that a data set overrides in any paper's recipe."""
    return dict(source_of(name).overrides)
