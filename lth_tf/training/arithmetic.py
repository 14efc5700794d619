"""Arithmetic: the operations that a network takes, and how many a second this machine does."""

import dataclasses
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.pruning.kernels import Kernel, kernels
from lth_tf.pruning.walk import walk

_SIZE = 2048


def multiply_adds(model: keras.Model) -> dict[str, int]:
    """Returns the multiply-adds that each kernel takes for one example, in the model's order.

    A layer that is used several times counts as often; one inside of a nested model that is, once.
    """
    layers = walk(model)
    return {
        kernel.name: kernel.size * _positions(layers[kernel.layer], kernel)
        for kernel in kernels(model)
    }


def _positions(layer: keras.layers.Layer, kernel: Kernel) -> int:
    """Returns how often a layer's kernel is applied to one example; axes of any length count 1.

    A kernel inside of a user's layer is taken to be applied at each position of that one's output,
    a recurrent one at each of its input.
    """
    if kernel.kind == "embedding":  # looked up, not multiplied
        return 0
    recurrent = "RNN" in kernel.classes
    transposed = any(name.endswith("Transpose") for name in kernel.classes)
    found = 0
    for node in range(len(layer.inbound_nodes)):
        inputs, outputs = layer.get_input_shape_at(node), layer.get_output_shape_at(node)
        shape = _first(inputs if transposed else outputs)[1:-1]
        if recurrent and not hasattr(layer, "return_sequences"):  # inside of another layer
            shape = _first(inputs)[1:-1]
        elif recurrent:  # once for each time step, and each place of a convolution
            steps = _first(inputs)[1]
            shape = (steps, *shape[1 if layer.return_sequences else 0 :])
        found += math.prod(length or 1 for length in shape)
    return found


def _first(shapes: Any) -> tuple[int | None, ...]:
    """Returns the first of one or several shapes, as Keras nests them."""
    while isinstance(shapes, dict | list):
        shapes = next(iter(shapes.values())) if isinstance(shapes, dict) else shapes[0]
    return tuple(shapes)


def layer_values(model: keras.Model) -> int | None:
    """Returns the values that layers take in and give out for one example; None of open lengths.

    Layers count as often as in `multiply_adds`.
    """
    shapes = [
        tuple(shape)[1:]
        for layer in walk(model).values()
        for node in range(len(layer.inbound_nodes))
        for shapes in (layer.get_input_shape_at(node), layer.get_output_shape_at(node))
        for shape in _flat(shapes)
    ]
    if any(None in shape for shape in shapes):
        return None
    return sum(map(math.prod, shapes)) or None


def _flat(shapes: Any) -> Iterator[tuple[int | None, ...]]:
    """Yields all of several shapes, as Keras nests them."""
    if isinstance(shapes, tuple):
        yield shapes
        return
    for each in shapes.values() if isinstance(shapes, dict) else shapes:
        yield from _flat(each)


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


@dataclasses.dataclass(frozen=True)
class TrainingWork:
    """What a training step takes for one example, in multiply-adds, at the masks at work.

    A pass forward, one back to the inputs and one to the weights take the same: a multiply-add for
    each weight that remains, at each of its positions; the first layer needs no gradient of its
    inputs. A training that learns masks needs the gradient of pruned weights too.

    Attributes:
        by_kernel: the multiply-adds of a pass forward by kernel name, in the model's order.
        trains_weights: whether weights are trained, else their masks.
    """

    by_kernel: Mapping[str, int]
    trains_weights: bool

    def at(self, masks: Mapping[str, np.ndarray]) -> float:
        """Returns the multiply-adds of one example.

        Args:
            masks: boolean arrays by kernel name; kernels without one are not pruned.
        """
        total = 0.0
        for place, (name, dense) in enumerate(self.by_kernel.items()):
            mask = masks.get(name)
            left = dense if mask is None else dense * np.count_nonzero(mask) / mask.size
            to_weights = left if self.trains_weights else dense
            total += left + to_weights + (left if place else 0)
        return total


def training_operations(model: keras.Model) -> int:
    """Returns the float operations that one example takes in training: multiplies and adds."""
    return round(2 * TrainingWork(multiply_adds(model), trains_weights=True).at({}))


def multiply_rate() -> float:
    """Measures float operations per second of a float32 matrix product, the best of a few."""
    matrix = tf.random.stateless_uniform([_SIZE, _SIZE], [0, 0])
    times = []
    for _ in range(5):
        began = time.perf_counter()
        tf.reduce_sum(tf.matmul(matrix, matrix)).numpy()
        times.append(time.perf_counter() - began)
    return 2 * _SIZE**3 / min(times)
