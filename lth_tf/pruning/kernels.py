"""Kernels: which weights of a model can be pruned, of what class they are, and at what rate.

Only kernels of dense and convolutional layers are pruned; biases and batch normalisation never
are (Figure 2). A kernel is known by its layer's path, as in `dense1/kernel`.
"""

import dataclasses
import fnmatch
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.errors import UserError
from lth_tf.pruning.walk import unwrap, walk
from lth_tf.pruning.wrapper import is_maskable
from lth_tf.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A prunable kernel.

    Attributes:
        name: the layer's path with `/kernel`.
        kind: "conv", "dense" or "output".
        shape: the kernel's shape.
        size: its number of weights.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    size: int


def kernels(model: keras.Model) -> list[Kernel]:
    """Lists a model's kernels in the model's order, whether its layers are wrapped or not.

    A dense layer that gives an output of the model is an output layer.
    """
    outputs = [id(layer) for layer in _output_layers(model)]
    found = []
    for path, outer in walk(model).items():
        layer = unwrap(outer)
        if is_maskable(layer):
            dense = isinstance(layer, keras.layers.Dense)
            kind = "conv" if not dense else "output" if id(outer) in outputs else "dense"
            shape = layer.kernel.shape
            found.append(Kernel(f"{path}/kernel", kind, tuple(shape), shape.num_elements()))
    return found


def _output_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Lists the last layers with weights before each of a model's outputs."""
    found, waiting = [], tf.nest.flatten(model.outputs)
    while waiting:
        layer, node, _ = waiting.pop()._keras_history
        if isinstance(layer, keras.Model):
            found += _output_layers(layer)
        elif layer.weights:
            found.append(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            waiting += tf.nest.flatten(layer.get_input_at(node))
    return found


def rates(found: Iterable[Kernel], recipe: Recipe) -> dict[str, float]:
    """Returns each kernel's pruning rate: its layer's own, or else its kind's.

    Args:
        found: the network's kernels.
        recipe: has the rates.

    Raises:
        UserError: if a pattern of `--prune_layers` fits no layer.
    """
    by_kind = {
        "conv": recipe.prune_conv,
        "dense": recipe.prune_dense,
        "output": recipe.prune_output,
    }
    layers = {kernel.name.rsplit("/", 1)[0]: by_kind[kernel.kind] for kernel in found}
    for pattern, rate in reversed(recipe.prune_layers):
        fitting = fnmatch.filter(layers, pattern)
        if not fitting:
            there = ", ".join(layers)
            raise UserError(
                f"--prune_layers={pattern}={rate:g}: must fit a layer; there are {there}"
            )
        layers.update(dict.fromkeys(fitting, rate))
    return {f"{layer}/kernel": rate for layer, rate in layers.items()}


def named_weights(model: keras.Model) -> dict[str, tf.Variable]:
    """Returns a model's own weights by name, `layer/weight`, the same whether wrapped or not.

    The masks and counters that the wrappers add are left out. The weights of layers inside a
    layer have that one's name as well: `attention/query/kernel`.

    Raises:
        UserError: if two weights have one name.
    """
    named = {}
    for path, outer in walk(model).items():
        for variable in unwrap(outer).weights:
            if not isinstance(variable, tf.Variable):
                continue  # a lookup's table
            inside = "/" + variable.name.removesuffix(":0")
            name = f"{path}/{inside.split(f'/{outer.name}/')[-1].lstrip('/')}"
            if name in named:
                raise UserError(f"{name}: two weights of the model have this name; it must be one")
            named[name] = variable
    return named


def snapshot(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns a copy of a model's own weights by name, as arrays."""
    return {name: variable.numpy() for name, variable in named_weights(model).items()}
