"""Tests of the embedded data set mnist_5k."""

import hashlib

import numpy as np
import pytest

from lth_tf.data import ImageInfo, info, load, recipe_overrides
from lth_tf.data.sources.embedded import Embedded
from lth_tf.errors import UserError

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


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        (np.int64, 3, "must have uint8 images and int32 labels, found uint8, int64, uint8, int64"),
        (np.int32, 4, r"must be ImageInfo\(image_shape=\(4, 4, 1\), .*test_size=7.*test_size=6"),
    ],
)
def test_arrays_that_are_not_what_a_set_says_are_refused(labels, classes, message):
    images, targets = np.zeros((6, 4, 4, 1), np.uint8), np.zeros(6, labels)
    stated = ImageInfo((4, 4, 1), classes, 6, 7 if classes == 4 else 6)
    small = Embedded("small", stated, lambda: (images, targets, images, targets))
    with pytest.raises(UserError, match=f"^--dataset=small: {message}"):
        small.load()
