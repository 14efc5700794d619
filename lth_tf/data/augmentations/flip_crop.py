"""`flip_crop`: random flips and shifts, the augmentation of the paper's deep networks."""

from typing import TYPE_CHECKING

from lth_tf.data.augmentations import AUGMENTATIONS, Augmentation

if TYPE_CHECKING:
    import tensorflow as tf

_PADDING = 4  # pixels on each side, as in He et al. (2016)


def flip_crop(images: "tf.Tensor", draws: "tf.Tensor") -> "tf.Tensor":
    """Flips left to right, pads with zeros and crops back to size, each image by its own draws.

    A draw below 1/2 in the first column leaves the image as it is, others flip it. The second and
    third columns choose the crop's top and left, each of the 9 x 9 offsets equally likely.

    Args:
        images: uint8 [b, H, W, C], H and W known when tracing.
        draws: float32 [b, 3], uniform in [0, 1).

    Returns:
        uint8 [b, H, W, C].
    """
    import tensorflow as tf

    height, width = images.shape[1:3]
    choices = tf.cast(draws * [2.0, 2 * _PADDING + 1, 2 * _PADDING + 1], tf.int32)
    flip, top, left = tf.split(choices, 3, axis=1)
    rows = top + tf.range(height)
    columns = left + tf.range(width)
    # A column of the flipped and padded image is the mirrored column of the padded one.
    columns = tf.where(flip == 1, width + 2 * _PADDING - 1 - columns, columns)
    sides = [_PADDING, _PADDING]
    padded = tf.pad(images, [[0, 0], sides, sides, [0, 0]])
    # Rows, then columns: of the ways measured this one is the fastest under XLA.
    cropped = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(cropped, columns, axis=2, batch_dims=1)


AUGMENTATIONS.register(Augmentation("flip_crop", 3, flip_crop, place=2))
