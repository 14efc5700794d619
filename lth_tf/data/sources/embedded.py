"""Embedded sets: data that an installed package ships, for work without network.

Each is one file beside this one, or in a user's package (see `lth_tf.registry`), that registers an
`Embedded`: its name, sizes, arrays, and what it changes in a recipe.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lth_tf.data.image_data import ImageData, ImageInfo
from lth_tf.errors import UserError
from lth_tf.registry import Registry

FourArrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Embedded:
    """An image classification set that is there without a download.

    Attributes:
        name: what --dataset calls it.
        info: its sizes.
        arrays: returns train_images, train_labels, test_images and test_labels, as `ImageData` has
            them, the same on every machine.
        overrides: the fields of any recipe, by name, that it changes, such as a validation size.
    """

    name: str
    info: ImageInfo
    arrays: Callable[[], FourArrays]
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> ImageData:
        """Returns the set in memory.

        Raises:
            UserError: if its arrays are not of the types and sizes that they must be.
        """
        arrays = self.arrays()
        dtypes = [str(array.dtype) for array in arrays]
        if dtypes != ["uint8", "int32"] * 2:
            raise UserError(
                f"--dataset={self.name}: must have uint8 images and int32 labels, found "
                f"{', '.join(dtypes)}"
            )
        data = ImageData(self.name, *arrays, classes=self.info.classes)
        if data.info != self.info:
            raise UserError(f"--dataset={self.name}: must be {self.info}, found {data.info}")
        return data

    def sizes(self) -> ImageInfo:
        """Returns its sizes."""
        return self.info

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Returns the mean and deviation of its training images' channels.

        Raises:
            UserError: if its arrays are not of the types and sizes that they must be.
        """
        return self.load().statistics()


EMBEDDED: Registry[Embedded] = Registry("dataset", __package__)
