"""Arithmetic: the operations that a network takes, and how many a second this machine does."""

import math
import time
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.pruning.kernels import kernels
from lth_tf.pruning.walk import walk

_SIZE = 2048


def multiply_adds(model: keras.Model) -> dict[str, int]:
    """Returns the multiply-adds that each kernel takes for one example, in the model's order.

    A layer that is used several times counts as often; one inside of a nested model that is, once.
    """
    layers = walk(model)
    return {
        kernel.name: kernel.size * _positions(layers[kernel.name.rsplit("/", 1)[0]])
        for kernel in kernels(model)
    }


def _positions(layer: keras.layers.Layer) -> int:
    """Returns how often a layer's kernel is applied to one example; axes of any length count 1."""
    transposed = isinstance(layer, keras.layers.Conv2DTranspose | keras.layers.Conv1DTranspose)
    shape_at = layer.get_input_shape_at if transposed else layer.get_output_shape_at
    shapes = [shape_at(node) for node in range(len(layer.inbound_nodes))]
    return sum(math.prod(length or 1 for length in shape[1:-1]) for shape in shapes)


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
