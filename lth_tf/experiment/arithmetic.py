"""Arithmetic: the operations that a network takes, and how many a second this machine does."""

import time
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.pruning.kernels import kernels

_SIZE = 2048


def multiply_adds(model: keras.Model) -> dict[str, int]:
    """Returns the multiply-adds that each kernel takes for one image, in the model's order."""
    found = {}
    for kernel in kernels(model):
        output = model.get_layer(kernel.name.rsplit("/", 1)[0]).output_shape
        positions = int(np.prod(output[1:-1])) if kernel.kind == "conv" else 1
        found[kernel.name] = kernel.size * positions
    return found


def remaining_multiply_adds(model: keras.Model, masks: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """Returns the multiply-adds for one image: of all weights, and of those that remain.

    Each weight takes part in as many: one, or one at each position of its convolution.

    Args:
        model: the model.
        masks: boolean arrays by kernel name.
    """
    work = multiply_adds(model)
    remaining = {
        name: count // masks[name].size * int(masks[name].sum()) if name in masks else count
        for name, count in work.items()
    }
    return sum(work.values()), sum(remaining.values())


def training_operations(model: keras.Model) -> int:
    """Returns the float operations that one image takes in training: multiplies and adds.

    Forward, backward to the weights and backward to the inputs take the same; the first layer
    needs no gradient of its inputs, the images.
    """
    by_kernel = list(multiply_adds(model).values())
    return 6 * sum(by_kernel) - 2 * by_kernel[0]


def multiply_rate() -> float:
    """Measures float operations per second of a float32 matrix product, the best of a few."""
    matrix = tf.random.stateless_uniform([_SIZE, _SIZE], [0, 0])
    times = []
    for _ in range(5):
        began = time.perf_counter()
        tf.reduce_sum(tf.matmul(matrix, matrix)).numpy()
        times.append(time.perf_counter() - began)
    return 2 * _SIZE**3 / min(times)
