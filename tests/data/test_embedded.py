"""Tests of the embedded data set mnist_5k."""

import hashlib

import numpy as np

from lth_tf.data import ImageInfo, info, load, recipe_overrides

GOLDEN = "af5e703afe651697e85fc9f13c714eccd560a1eaa21bc4ecc85d989a364c34f3"


def test_mnist_5k_is_balanced_complete_and_fixed():
    data = load("mnist_5k")
    assert info("mnist_5k") == ImageInfo(data.image_shape, data.classes, 4000, 1000)
    assert data.image_shape == (28, 28, 1)
    assert data.train_images.dtype == data.test_images.dtype == np.uint8
    assert data.train_labels.dtype == data.test_labels.dtype == np.int32
    np.testing.assert_array_equal(np.bincount(data.train_labels), [400] * 10)
    np.testing.assert_array_equal(np.bincount(data.test_labels), [100] * 10)
    np.testing.assert_array_equal(np.sort(data.train_labels[:50]), np.repeat(np.arange(10), 5))
    train, test = (
        {image.tobytes() for image in images} for images in (data.train_images, data.test_images)
    )
    assert len(train | test) == 5000
    arrays = data.train_images, data.train_labels, data.test_images, data.test_labels
    digest = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
    assert digest == GOLDEN


def test_it_overrides_the_validation_size_only():
    assert recipe_overrides("mnist_5k") == {"validation_size": 500}
    assert recipe_overrides("mnist") == {}
