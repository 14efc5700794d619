"""Prunable weights: which weights of a layer are kernels, whatever the layer is made of.

A layer of a model may hold others: an attention layer its projections, a recurrent layer its cell,
`TimeDistributed` and `Bidirectional` what they repeat, a user's layer anything. A kernel
belongs to the innermost layer that has it, and that layer's class says what it is. A layer that
follows tfmot's protocol (`PrunableLayer`) says itself which of its weights are pruned.
"""

import dataclasses
from collections.abc import Iterator

import tensorflow as tf
import tf_keras as keras

from lth_tf.pruning.walk import unwrap

L = keras.layers

EMBEDDINGS = (L.Embedding,)
CONVOLUTIONS = (
    *(L.Conv1D, L.Conv2D, L.Conv3D, L.DepthwiseConv1D, L.DepthwiseConv2D),
    *(L.SeparableConv1D, L.SeparableConv2D, L.LocallyConnected1D, L.LocallyConnected2D),
    *(L.ConvLSTM1D, L.ConvLSTM2D, L.ConvLSTM3D),
)
DENSE = (L.Dense, L.EinsumDense)
# By class, subclasses included, what its kernels are called; transposed convolutions are subclasses
# of the others.
_ATTRIBUTES: dict[type, tuple[str, ...]] = {
    **dict.fromkeys((L.Conv1D, L.Conv2D, L.Conv3D, *DENSE), ("kernel",)),
    **dict.fromkeys((L.LocallyConnected1D, L.LocallyConnected2D), ("kernel",)),
    **dict.fromkeys((L.DepthwiseConv1D, L.DepthwiseConv2D), ("depthwise_kernel",)),
    **dict.fromkeys(
        (L.SeparableConv1D, L.SeparableConv2D), ("depthwise_kernel", "pointwise_kernel")
    ),
    L.Embedding: ("embeddings",),
}
_CELL = ("kernel", "recurrent_kernel")


@dataclasses.dataclass(frozen=True)
class Prunable:
    """A weight of a layer that can be pruned.

    Attributes:
        variable: the weight.
        holders: the layers that hold it, from the layer of the model to the one that has it.
    """

    variable: tf.Variable
    holders: tuple[L.Layer, ...]

    def belongs_to(self, classes: tuple[type, ...]) -> bool:
        """Says whether one of the layers that hold it is of some classes."""
        return any(isinstance(layer, classes) for layer in self.holders)


def prunables(outer: L.Layer) -> list[Prunable]:
    """Lists a layer's kernels, those of the layers inside it among them, in its weights' order.

    Frozen ones are left out, and so is whatever a layer creates only when it is called, until it
    has been.

    Args:
        outer: a layer of a model, wrapped or not.
    """
    layer = unwrap(outer)
    inside = list(layer._flatten_layers())
    found = {id(variable): each for each in inside for variable in _kernels_of(each)}
    return [
        Prunable(variable, _holders(found[id(variable)], inside))
        for variable in layer.trainable_weights
        if id(variable) in found
    ]


def is_maskable(layer: L.Layer) -> bool:
    """Says whether a layer has kernels that are pruned if nothing else is asked for."""
    return any(not each.belongs_to(EMBEDDINGS) for each in prunables(layer))


def _kernels_of(layer: L.Layer) -> Iterator[tf.Variable]:
    """Yields a layer's kernels, without those of the layers inside it."""
    # Of its class: tfmot's wrapper gives the layers that it wraps a method of this name.
    protocol = getattr(type(layer), "get_prunable_weights", None)
    if protocol:
        yield from protocol(layer)
        return
    names = _CELL if hasattr(layer, _CELL[1]) else ()
    for base, attributes in _ATTRIBUTES.items():
        if isinstance(layer, base):
            names = attributes
    for name in names:
        variable = getattr(layer, name, None)
        if variable is not None:
            yield variable


def _holders(owner: L.Layer, inside: list[L.Layer]) -> tuple[L.Layer, ...]:
    def holds(layer: L.Layer) -> bool:
        return any(owner is each for each in layer._flatten_layers())

    held = [layer for layer in inside if holds(layer)]
    return tuple(sorted(held, key=lambda layer: -len(list(layer._flatten_layers()))))
