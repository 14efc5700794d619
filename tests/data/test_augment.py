"""Tests of the augmentation against a plain numpy version of it."""

import numpy as np
import pytest
import tensorflow as tf

from lth_tf.data.augment import AUGMENTATIONS, flip_crop

COMPILED = [tf.function(flip_crop, jit_compile=jit) for jit in (False, True)]
BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))


def plain_flip_crop(images, draws):
    out = np.empty_like(images)
    for image, (flip, top, left), result in zip(images, draws, out, strict=True):
        flipped = image[:, ::-1] if flip >= 0.5 else image
        padded = np.pad(flipped, ((4, 4), (4, 4), (0, 0)))
        top, left = int(top * 9), int(left * 9)
        result[:] = padded[top : top + image.shape[0], left : left + image.shape[1]]
    return out


@pytest.mark.parametrize("augment", COMPILED, ids=["plain", "xla"])
@pytest.mark.parametrize("shape", [(64, 32, 32, 3), (7, 9, 13, 1)])
def test_agrees_with_numpy(augment, shape):
    rng = np.random.default_rng(0)
    for _ in range(5):
        images = rng.integers(0, 256, shape, np.uint8)
        draws = rng.random((shape[0], 3), np.float32)
        result = augment(images, draws)
        assert result.dtype == tf.uint8
        np.testing.assert_array_equal(result, plain_flip_crop(images, draws))


@pytest.mark.parametrize("augment", COMPILED, ids=["plain", "xla"])
def test_extreme_draws(augment):
    image = np.arange(1, 1 + 8 * 8, dtype=np.uint8).reshape(1, 8, 8, 1)

    def result(*draws):
        return augment(image, np.array([draws], np.float32)).numpy()[0, :, :, 0]

    square = image[0, :, :, 0]
    np.testing.assert_array_equal(result(0, 0.5, 0.5), square)
    np.testing.assert_array_equal(result(0.5, 0.5, 0.5), square[:, ::-1])
    corner = np.zeros_like(square)
    corner[4:, 4:] = square[:4, :4]
    np.testing.assert_array_equal(result(0, 0, 0), corner)
    corner = np.zeros_like(square)
    corner[:4, :4] = square[:, ::-1][4:, 4:]
    np.testing.assert_array_equal(result(BELOW_ONE, BELOW_ONE, BELOW_ONE), corner)


def test_batch_size_may_be_unknown():
    spec = tf.TensorSpec([None, 8, 8, 1], tf.uint8), tf.TensorSpec([None, 3], tf.float32)
    augment = tf.function(AUGMENTATIONS["flip_crop"], input_signature=spec)
    images, draws = np.ones((5, 8, 8, 1), np.uint8), np.full((5, 3), 0.5, np.float32)
    np.testing.assert_array_equal(augment(images, draws), images)
