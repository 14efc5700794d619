"""TensorFlow Datasets (TFDS): any image classification set of its catalogue, by its name there.

The first time TFDS parses a set; the arrays are then cached beside it, and later loads take about a
second and import neither TFDS nor TensorFlow.
"""

import os
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from lth_tf.data.image_data import ImageData, ImageInfo
from lth_tf.data.sources.tfds import cache, prepared

# A set, perhaps its config, perhaps its version: no namespaces, which TFDS would look for online.
_NAME = re.compile(r"\w+(/\w[\w.-]*)?(:\d+\.\d+\.\d+)?", re.ASCII)

# The sizes of the sets in common use, which TFDS does not know before they are prepared.
PUBLISHED = {
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


class Tfds:
    """A set of TFDS's.

    Attributes:
        overrides: no fields of a recipe.
    """

    overrides: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, name: str, data_dir: str | None) -> None:
        """Names a set; whether there is one shows when it is used.

        Args:
            name: TFDS's name of it.
            data_dir: TFDS's data folder; by default $TFDS_DATA_DIR, else ~/tensorflow_datasets.
        """
        self._name = name
        chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
        self._root = os.path.expanduser(chosen)

    def load(self) -> ImageData:
        """Returns the set in memory, downloaded and prepared if need be.

        Raises:
            UserError: see `lth_tf.data.load`.
        """
        self._check_name()
        data = cache.read(self._root, self._name)
        if data is None:
            builder = prepared.find(self._name, self._root)
            prepared.prepare(self._name, builder, self._root)
            data = prepared.read(self._name, builder)
            cache.write(data, builder.data_dir)
        return data

    def sizes(self) -> ImageInfo:
        """Returns its sizes; only a set that is not in common use is prepared for it.

        Raises:
            UserError: see `lth_tf.data.load`.
        """
        self._check_name()
        known = cache.read_info(self._root, self._name)
        if known is None:
            builder = prepared.find(self._name, self._root)
            if not builder.is_prepared() and self._name in PUBLISHED:
                return PUBLISHED[self._name]
            prepared.prepare(self._name, builder, self._root)
            known = prepared.info(self._name, builder)
        return known

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Returns the published mean and deviation of its channels, else its training images'.

        Raises:
            UserError: see `lth_tf.data.load`.
        """
        return _STATISTICS.get(self._name) or self.load().statistics()

    def _check_name(self) -> None:
        if not _NAME.fullmatch(self._name):
            raise prepared.unknown(self._name)
