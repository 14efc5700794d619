"""What an image classification set is to the rest of the software: arrays and their sizes."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ImageInfo:
    """What a plan must know of a data set without loading it.

    Attributes:
        image_shape: (height, width, channels) of every image.
        classes: Number of classes; labels are 0 to classes - 1.
        train_size: Number of training examples, before validation examples are split off.
        test_size: Number of test examples.
    """

    image_shape: tuple[int, int, int]
    classes: int
    train_size: int
    test_size: int


@dataclass(frozen=True, eq=False)
class ImageData:
    """An image classification set in memory, in its source's own order.

    Attributes:
        name: The name that it was loaded by.
        train_images: uint8 [N, H, W, C], values 0 to 255.
        train_labels: int32 [N].
        test_images: uint8 [M, H, W, C].
        test_labels: int32 [M].
        classes: Number of classes.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        return self.train_images.shape[1:]
