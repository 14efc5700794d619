"""Images' statistics are exact, and counted in little memory."""

import tracemalloc

import numpy as np

from lth_tf.data import ImageData


def test_statistics_of_many_pixels_take_little_memory():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 1000, 500, 2), np.uint8)
    images[..., 1] //= 3
    labels = np.zeros(3, np.int32)
    data = ImageData("some", images, labels, images, labels, 10)
    tracemalloc.start()
    found = data.statistics()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    unit = images.reshape(-1, 2) / 255
    for numbers, wanted in zip(found, (unit.mean(0), unit.std(0)), strict=True):
        np.testing.assert_allclose(numbers, wanted, atol=6e-5)
    assert peak < images.nbytes
