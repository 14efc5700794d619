"""What an image classification set is to the rest of the software: arrays and their sizes."""

from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np

from lth_tf.arrays import checksum
from lth_tf.data.split import split

_SAMPLE = 1_000
_BLOCK = 2**16  # pixels at a time
_Side = Annotated[int, msgspec.Meta(ge=1, le=2**14)]
_Size = Annotated[int, msgspec.Meta(ge=0, le=10**9)]


class ImageFields(msgspec.Struct):
    """What a file must say of images, in its bounds; see `ImageInfo`."""

    image_shape: tuple[_Side, _Side, _Side]
    classes: Annotated[int, msgspec.Meta(ge=1, le=10**6)]
    train_size: _Size = 0
    test_size: _Size = 0
    mean: list[float] | None = None
    deviation: list[float] | None = None
    sample: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")] | None = None


@dataclass(frozen=True)
class ImageInfo:
    """What a plan must know of a data set without loading it.

    Attributes:
        image_shape: (height, width, channels) of every image.
        classes: Number of classes; labels are 0 to classes - 1.
        train_size: Number of training examples, before validation examples are split off.
        test_size: Number of test examples.
        mean: Each channel's mean over the training images, of values in [0, 1], where a recipe
            standardises by it.
        deviation: Each channel's standard deviation, likewise.
        sample: Checksum of some of its images, see `ImageData.sample`; None where they have not
            been loaded, and in runs of earlier versions.
    """

    image_shape: tuple[int, int, int]
    classes: int
    train_size: int
    test_size: int
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None
    sample: str | None = None

    def split(
        self, validation_size: int, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draws the rows of the training and of the validation examples; see `split`.

        Args:
            validation_size: number of validation examples.
            generator: draws them.

        Raises:
            UserError: if either part would be empty.
        """
        return split(self.train_size, validation_size, generator)


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

    @property
    def info(self) -> ImageInfo:
        """Its sizes."""
        sizes = len(self.train_labels), len(self.test_labels)
        return ImageInfo(self.image_shape, self.classes, *sizes)

    @property
    def sample(self) -> str:
        """Checksum of some images and labels: tells sets of one name and size apart."""
        parts = self.train_images, self.train_labels, self.test_images, self.test_labels
        some = {str(i): part[:: 1 + len(part) // _SAMPLE] for i, part in enumerate(parts)}
        return checksum(some)

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Returns each channel's mean and deviation over the training images, see `ImageInfo`.

        Four digits, as they are published of the sets in common use.
        """
        levels = np.arange(256) / 255
        pixels = self.train_images.reshape(-1, self.image_shape[-1])
        counts = np.zeros((pixels.shape[1], 256), np.int64)
        for start in range(0, len(pixels), _BLOCK):  # as integers they take eight times as much
            block = pixels[start : start + _BLOCK]
            counts += [np.bincount(channel, minlength=256) for channel in block.T]
        shares = counts / len(pixels)
        mean = shares @ levels
        deviation = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 0))
        deviation[deviation < 1e-4] = 1  # a channel of one value is not stretched
        return tuple(np.round(mean, 4).tolist()), tuple(np.round(deviation, 4).tolist())

    @property
    def examples(self) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels of the training examples, as training takes them."""
        return self.train_images, self.train_labels.astype(np.int64)

    @property
    def test(self) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels of the test examples, as training takes them."""
        return self.test_images, self.test_labels.astype(np.int64)
