"""Kernels: which weights of a model can be pruned, of what class they are, and at what rate.

Biases and normalisation are never pruned (Figure 2), nor are kernels that are frozen; embeddings
are pruned where a rate is named for them. A kernel has the name of its weight: its layer's path and
what it is called there, as in `dense1/kernel` or `lstm/lstm_cell/recurrent_kernel`.
"""

import collections
import dataclasses
import fnmatch
import math
import re
from collections.abc import Container, Iterable

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.errors import UserError
from lth_tf.pruning.prunable import CONVOLUTIONS, DENSE, EMBEDDINGS, Prunable, prunables
from lth_tf.pruning.walk import is_network, unwrap, walk
from lth_tf.recipe import Recipe

_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A prunable kernel.

    Attributes:
        name: the weight's.
        kind: "conv", "dense", "output" or "embedding".
        shape: the kernel's shape.
        layer: path of the model's layer that it is in.
        classes: names of the classes, base classes among them, of the layers that hold it.
        axes: the axis of its layer's units, and that of the units before it.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    layer: str
    classes: frozenset[str]
    axes: tuple[int, int]

    @property
    def size(self) -> int:
        """Its number of weights."""
        return math.prod(self.shape)

    def fits(self, pattern: str) -> bool:
        """Says whether a pattern is its name, a layer's that it is in, or the class of one.

        Args:
            pattern: a path, which may have * and ?, or the name of a class.
        """
        parts = self.name.split("/")
        paths = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        return pattern in self.classes or bool(fnmatch.filter(paths, pattern))


def kernels(model: keras.Model) -> list[Kernel]:
    """Lists a model's kernels in the model's order, whether its layers are wrapped or not.

    A dense layer that gives an output of the model is an output layer.
    """
    outputs = [id(layer) for layer in _output_layers(model)]
    names = {id(variable): name for name, variable in named_weights(model).items()}
    return [
        Kernel(
            name=names[id(each.variable)],
            kind=_kind(each, id(outer) in outputs),
            shape=tuple(each.variable.shape),
            layer=path,
            classes=frozenset(c.__name__ for holder in each.holders for c in type(holder).__mro__),
            axes=_axes(each, names[id(each.variable)]),
        )
        for path, outer in walk(model).items()
        for each in prunables(outer)
    ]


def pruned_kernels(found: Iterable[Kernel], recipe: Recipe) -> list[Kernel]:
    """Leaves out embeddings that no rate is named for; the others count towards the density.

    Args:
        found: a network's kernels.
        recipe: has the rates.

    Raises:
        UserError: if a pattern of `--prune_layers` fits no layer.
    """
    found = list(found)
    by_name = rates(found, recipe)
    return [kernel for kernel in found if kernel.kind != "embedding" or by_name[kernel.name]]


def _kind(kernel: Prunable, is_output: bool) -> str:
    if kernel.belongs_to(EMBEDDINGS):
        return "embedding"
    if kernel.belongs_to(CONVOLUTIONS):
        return "conv"
    wrappers = (*DENSE, keras.layers.TimeDistributed)
    return "output" if is_output and isinstance(kernel.holders[0], wrappers) else "dense"


def _axes(kernel: Prunable, name: str) -> tuple[int, int]:
    if name.endswith("/depthwise_kernel"):
        return -2, -2
    if len(kernel.variable.shape) < 2:
        return -1, -1
    return (-2, -1) if kernel.belongs_to(_TRANSPOSED) else (-1, -2)


def _output_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Lists the last layers with weights before each of a model's outputs."""
    found, waiting = [], tf.nest.flatten(model.outputs)
    while waiting:
        layer, node, _ = waiting.pop()._keras_history
        if is_network(layer):
            found += _output_layers(layer)
        elif layer.weights:
            found.append(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            # All that the layer reads: `p + q` has its second operand in a keyword.
            waiting += layer._inbound_nodes[node].keras_inputs
    return found


def rates(found: Iterable[Kernel], recipe: Recipe) -> dict[str, float]:
    """Returns each kernel's pruning rate: its layer's, or else that of its kind.

    Args:
        found: the network's kernels.
        recipe: has the rates.

    Raises:
        UserError: if a pattern of `--prune_layers` fits no layer.
    """
    found = list(found)
    by_kind = {
        "conv": recipe.prune_conv,
        "dense": recipe.prune_dense,
        "output": recipe.prune_output,
        "embedding": 0.0,
    }
    by_name = {kernel.name: by_kind[kernel.kind] for kernel in found}
    for pattern, rate in reversed(recipe.prune_layers):
        fitting = [kernel.name for kernel in found if kernel.fits(pattern)]
        if not fitting:
            there = ", ".join(dict.fromkeys(kernel.name.rsplit("/", 1)[0] for kernel in found))
            raise UserError(
                f"--prune_layers={pattern}={rate:g}: must fit a layer; there are {there}"
            )
        by_name.update(dict.fromkeys(fitting, rate))
    return by_name


def named_weights(model: keras.Model) -> dict[str, tf.Variable]:
    """Returns a model's own weights by name, `layer/weight`, the same whether wrapped or not.

    The masks and counters that the wrappers add are left out. The weights of layers inside a
    layer have that one's name as well: `attention/query/kernel`.
    """
    named: dict[str, tf.Variable] = {}
    for path, outer in walk(model).items():
        layer = unwrap(outer)
        numbers = _numbered(layer)
        for variable in layer.weights:
            if not isinstance(variable, tf.Variable):
                continue  # a lookup's table
            local = _local_name(variable, outer).split("/")
            name = "/".join([path, *(numbers.get(part, part) for part in local)])
            named[_free(name, named)] = variable
    return named


def kernel_variables(model: keras.Model) -> dict[str, tf.Variable]:
    """Returns the variables of a model's kernels by name, in the model's order."""
    named = named_weights(model)
    return {kernel.name: named[kernel.name] for kernel in kernels(model)}


def _free(name: str, taken: Container[str]) -> str:
    """Numbers a name that is taken: a layer that builds its parts itself names them all alike."""
    free, number = name, 0
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _local_name(variable: tf.Variable, outer: keras.layers.Layer) -> str:
    """Returns what a variable is called inside of its layer."""
    layer = unwrap(outer)
    inside = "/" + variable.name.removesuffix(":0")
    name = inside.split(f"/{outer.name}/")[-1].lstrip("/")
    return name if layer is outer else name.removeprefix(f"{layer.name}/")


def _numbered(layer: keras.layers.Layer) -> dict[str, str]:
    """Returns new names for the layers inside a user's layer, by their names there.

    Keras numbers layers without a name through the whole program, so that a copy's have other
    numbers; here they are numbered within their layer. Keras's own layers hand names on.
    """
    if type(layer).__module__.split(".")[0] == "tf_keras":
        return {}
    found: dict[str, str] = {}
    counts: collections.Counter[str] = collections.Counter()
    for each in layer._flatten_layers(include_self=False):
        stem = re.sub(r"_\d+$", "", each.name)
        if each.name not in found and stem in (_snake_case(type(each).__name__), "model"):
            found[each.name] = f"{stem}_{counts[stem]}" if counts[stem] else stem
            counts[stem] += 1
    return found


def _snake_case(name: str) -> str:
    """Returns a class's name as Keras makes layers' names of it."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
    return f"private{name}" if name.startswith("_") else name


def snapshot(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns a copy of a model's own weights by name, as arrays."""
    return {name: variable.numpy() for name, variable in named_weights(model).items()}
