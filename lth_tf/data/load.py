"""Loads image classification sets by name: the embedded one, or any that TFDS has."""

import dataclasses
import os
import re

from lth_tf.data import cache, embedded, prepared
from lth_tf.data.image_data import ImageData, ImageInfo
from lth_tf.data.own_data import OwnData, OwnInfo
from lth_tf.importing import import_function, names_function

# A set, perhaps its config, perhaps its version: no namespaces, which TFDS would look for online.
_NAME = re.compile(r"\w+(/\w[\w.-]*)?(:\d+\.\d+\.\d+)?", re.ASCII)

# The sizes of the sets in common use, which TFDS does not know before they are prepared.
_PUBLISHED = {
    "mnist": ImageInfo((28, 28, 1), 10, 60_000, 10_000),
    "fashion_mnist": ImageInfo((28, 28, 1), 10, 60_000, 10_000),
    "kmnist": ImageInfo((28, 28, 1), 10, 60_000, 10_000),
    "cifar10": ImageInfo((32, 32, 3), 10, 50_000, 10_000),
    "cifar100": ImageInfo((32, 32, 3), 100, 50_000, 10_000),
    "svhn_cropped": ImageInfo((32, 32, 3), 10, 73_257, 26_032),
}
# Mean and deviation of their channels, as everybody standardises them.
_STATISTICS = {
    "mnist": ((0.1307,), (0.3081,)),
    "fashion_mnist": ((0.2860,), (0.3530,)),
    "kmnist": ((0.1918,), (0.3483,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "svhn_cropped": ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
}


def load(name: str, data_dir: str | None = None) -> ImageData | OwnData:
    """Loads a data set, downloading and preparing it if need be.

    The first time TFDS parses it; the arrays are then cached beside the prepared set, and later
    loads take about a second and import neither TFDS nor TensorFlow.

    Args:
        name: `mnist_5k`; TFDS's name of an image classification set, such as `cifar10`; or
            `package.module:function`, which returns (train, validation, test), see `OwnData.of`.
        data_dir: TFDS's data folder; by default $TFDS_DATA_DIR, else ~/tensorflow_datasets.

    Returns:
        The set, its examples in the same order every time.

    Raises:
        UserError: If there is no such set, it cannot be had, or it is not image classification
            with one image shape and the splits train and test.
    """
    if names_function(name):
        return OwnData.made_by(name, import_function("dataset", name))
    if name == embedded.NAME:
        return ImageData(name, *embedded.arrays(), classes=embedded.INFO.classes)
    root = _root(data_dir)
    _check_name(name)
    data = cache.read(root, name)
    if data is None:
        builder = prepared.find(name, root)
        prepared.prepare(name, builder, root)
        data = prepared.read(name, builder)
        cache.write(data, builder.data_dir)
    return data


def info(name: str, data_dir: str | None = None, standardize: bool = False) -> ImageInfo | OwnInfo:
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
    if names_function(name):
        return load(name).info
    sizes = _sizes(name, data_dir)
    if not standardize:
        return sizes
    mean, deviation = _STATISTICS.get(name) or load(name, data_dir).statistics()
    return dataclasses.replace(sizes, mean=mean, deviation=deviation)


def _sizes(name: str, data_dir: str | None) -> ImageInfo:
    if name == embedded.NAME:
        return embedded.INFO
    root = _root(data_dir)
    _check_name(name)
    known = cache.read_info(root, name)
    if known is None:
        builder = prepared.find(name, root)
        if not builder.is_prepared() and name in _PUBLISHED:
            return _PUBLISHED[name]
        prepared.prepare(name, builder, root)
        known = prepared.info(name, builder)
    return known


def recipe_overrides(name: str) -> dict[str, int]:
    """Returns the recipe fields, by name, that a data set overrides in any paper's recipe."""
    return dict(embedded.RECIPE) if name == embedded.NAME else {}


def _root(data_dir: str | None) -> str:
    return os.path.expanduser(
        data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    )


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise prepared.unknown(name)
