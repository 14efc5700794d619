"""What each class of layer does to the channels of its tensors.

A new layer is one line in `RULES`, and a function if none of those here fits. A class that is not
in `RULES` is left whole.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tf_keras as keras

from lth_tf.pruning.compaction.channels import (
    ELEMENTWISE,
    Channelwise,
    Constants,
    Mixing,
    Rule,
    apply,
)

Tensors = Sequence[Any]  # symbolic tensors, with a shape


def _dense(layer: keras.layers.Layer, inputs: Tensors) -> Rule:
    return Mixing(layer, "units", np.ones(1, bool))


def _convolution(layer: keras.layers.Layer, inputs: Tensors) -> Rule | None:
    is_inner = np.ones((), bool)
    for axis, size in enumerate(inputs[0].shape[1:-1]):
        is_inner = np.logical_and.outer(is_inner, _never_on_padding(layer, axis, size))
    return Mixing(layer, "filters", is_inner.ravel()) if layer.groups == 1 else None


def _never_on_padding(layer: keras.layers.Layer, axis: int, size: int | None) -> np.ndarray:
    """Says which places of a convolution's kernel, along one axis, never lie on padding."""
    places, step = layer.kernel_size[axis], layer.strides[axis]
    if layer.padding == "valid" or places == 1:
        return np.ones(places, bool)
    if size is None:
        return np.zeros(places, bool)
    offsets = np.arange(places) * layer.dilation_rate[axis]
    last = (-(-size // step) - 1) * step  # where the kernel begins for the last output
    before = max(last + offsets[-1] + 1 - size, 0) // 2
    return (offsets >= before) & (last + offsets - before < size)


def _elementwise(layer: keras.layers.Layer, inputs: Tensors) -> Rule | None:
    """A layer that does the same at each position, and to each channel by itself."""
    shapes = {(each.shape.rank, each.shape[-1]) for each in inputs}
    if len(shapes) > 1:
        return None
    rank, channels = shapes.pop()

    def constants(values: list[Constants]) -> Constants:
        return apply(layer, *(each.reshape([1] * (rank - 1) + [-1]) for each in values)).ravel()

    return Channelwise(layer, np.arange(channels), constants)


def _activation(layer: keras.layers.Layer, inputs: Tensors) -> Rule | None:
    return _elementwise(layer, inputs) if layer.activation in ELEMENTWISE else None


def _batch_normalization(layer: keras.layers.Layer, inputs: Tensors) -> Rule | None:
    return _elementwise(layer, inputs) if list(layer.axis) == [inputs[0].shape.rank - 1] else None


def _rescaling(layer: keras.layers.Layer, inputs: Tensors) -> Rule | None:
    is_same_for_all = np.ndim(layer.scale) == np.ndim(layer.offset) == 0
    return _elementwise(layer, inputs) if is_same_for_all else None


def _pooling(layer: keras.layers.Layer, inputs: Tensors) -> Rule:
    """The mean or maximum of a constant is the constant; Keras's padding counts in neither."""
    return Channelwise(layer, np.arange(inputs[0].shape[-1]), lambda values: values[0])


def _flatten(layer: keras.layers.Layer, inputs: Tensors) -> Rule:
    shape = inputs[0].shape
    link = np.arange(np.prod(shape[1:])) % shape[-1]
    return Channelwise(layer, link, lambda values: values[0][link])


RULES: dict[type, Callable[[keras.layers.Layer, Tensors], Rule | None]] = {
    keras.layers.Activation: _activation,
    keras.layers.Add: _elementwise,
    keras.layers.AveragePooling2D: _pooling,
    keras.layers.BatchNormalization: _batch_normalization,
    keras.layers.Conv2D: _convolution,
    keras.layers.Dense: _dense,
    keras.layers.Dropout: _elementwise,
    keras.layers.ELU: _elementwise,
    keras.layers.Flatten: _flatten,
    keras.layers.GlobalAveragePooling2D: _pooling,
    keras.layers.GlobalMaxPooling2D: _pooling,
    keras.layers.LeakyReLU: _elementwise,
    keras.layers.MaxPooling2D: _pooling,
    keras.layers.ReLU: _elementwise,
    keras.layers.Rescaling: _rescaling,
}


def find_rule(layer: keras.layers.Layer, inputs: Tensors, outputs: Tensors) -> Rule | None:
    """Returns a layer's rule; None if it is not known what the layer does to its channels.

    Args:
        layer: a built layer of a model.
        inputs: the symbolic tensors that it reads.
        outputs: those that it writes.
    """
    # The exact class: a subclass may do anything.
    make = RULES.get(type(layer))
    has_channels = all(each.shape.rank and each.shape[-1] for each in [*inputs, *outputs])
    if not make or not has_channels:
        return None
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return None
    return make(layer, inputs)
