"""What each class of layer does to the channels of its tensors.

There are two kinds. A mixing layer (dense, convolution) computes each output channel from all
input channels through its kernel. In a channelwise layer each output channel comes from one channel
of each input, and stays or goes with it. A new layer is one line in `RULES`, and a function if
none of those here fits. A class that is not in `RULES` is left whole.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
import tf_keras as keras

Channels = np.ndarray  # bool: whether a channel stays
Constants = np.ndarray  # float64: what a channel always is, nan if it varies
Change = tuple[dict[str, Any], list[np.ndarray]]


class Rule(Protocol):
    """What a layer does to the channels of its inputs and its output."""

    def constants(self, inputs: list[Constants]) -> Constants:
        """Returns the output's constants, from the inputs'."""

    def grow(self, inputs: list[Channels], output: Channels, constants: list[Constants]) -> None:
        """Marks, in place, what must stay because something else stays."""

    def shrink(
        self, inputs: list[Channels], output: Channels, constants: list[Constants]
    ) -> Change:
        """Returns what changes in the layer's configuration, and its weights without the rest."""


class Mixing:
    """A dense layer or a convolution."""

    def __init__(self, layer: keras.layers.Layer, width: str, is_padded: bool) -> None:
        """Reads a layer.

        Args:
            layer: the layer, with a kernel [..., inputs, outputs].
            width: the field of its configuration that says how many outputs it has.
            is_padded: whether zeros are put around its input. There a constant adds less, so that
                no bias can stand for it.
        """
        self._layer, self._width, self._is_padded = layer, width, is_padded
        self._kernel = layer.kernel.numpy()
        taps = self._kernel.reshape(-1, *self._kernel.shape[-2:])
        self._reaches = (taps != 0).any(0)
        self._sums = taps.sum(0, dtype=np.float64)
        self._bias = layer.bias.numpy() if layer.use_bias else np.zeros_like(self._sums[0])

    def constants(self, inputs: list[Constants]) -> Constants:
        """An output is constant if only foldable inputs reach it."""
        if self._layer.activation not in ELEMENTWISE:
            return np.full_like(self._bias, np.nan)
        foldable = self._foldable(inputs[0])
        sums = np.where(foldable, inputs[0], 0) @ self._sums + self._bias
        is_constant = ~self._reaches[~foldable].any(0)
        return _apply(self._layer.activation, np.where(is_constant, sums, np.nan))

    def grow(self, inputs: list[Channels], output: Channels, constants: list[Constants]) -> None:
        """An input stays if it reaches an output that stays, and cannot be folded into the bias."""
        if self._layer.activation not in ELEMENTWISE:
            output[:] = True
        inputs[0] |= self._reaches[:, output].any(1) & ~self._foldable(constants[0])

    def shrink(
        self, inputs: list[Channels], output: Channels, constants: list[Constants]
    ) -> Change:
        """Folds the constants that go into the bias."""
        goes = ~inputs[0] & ~np.isnan(constants[0])
        folded = (np.where(goes, constants[0], 0) @ self._sums)[output]
        has_bias = self._layer.use_bias or bool(folded.any())
        weights = [self._kernel[..., inputs[0], :][..., output]]
        if has_bias:
            weights.append(self._bias[output] + folded)
        return {self._width: int(output.sum()), "use_bias": has_bias}, weights

    def _foldable(self, constants: Constants) -> Channels:
        return constants == 0 if self._is_padded else ~np.isnan(constants)


@dataclasses.dataclass(frozen=True)
class Channelwise:
    """A layer whose output channels come from one channel of each input.

    Attributes:
        layer: the layer; its weights, if any, have the channels as their last axis.
        link: the channel, of each input, that each output channel comes from.
        constants: gives the output's constants, from the inputs'.
    """

    layer: keras.layers.Layer
    link: np.ndarray
    constants: Callable[[list[Constants]], Constants]

    def grow(self, inputs: list[Channels], output: Channels, constants: list[Constants]) -> None:
        """Linked channels stay together."""
        for channels in inputs:
            channels[self.link[output]] = True
            output |= channels[self.link]

    def shrink(
        self, inputs: list[Channels], output: Channels, constants: list[Constants]
    ) -> Change:
        """Takes the channels that stay out of all weights."""
        return {}, [weight[..., output] for weight in self.layer.get_weights()]


Tensors = Sequence[Any]  # symbolic tensors, with a shape


def _dense(layer: keras.layers.Layer, inputs: Tensors) -> Rule:
    return Mixing(layer, "units", is_padded=False)


def _convolution(layer: keras.layers.Layer, inputs: Tensors) -> Rule | None:
    is_padded = layer.padding != "valid" and max(layer.kernel_size) > 1
    return Mixing(layer, "filters", is_padded) if layer.groups == 1 else None


def _elementwise(layer: keras.layers.Layer, inputs: Tensors) -> Rule | None:
    """A layer that does the same at each position, and to each channel by itself."""
    shapes = {(each.shape.rank, each.shape[-1]) for each in inputs}
    if len(shapes) > 1:
        return None
    rank, width = shapes.pop()

    def constants(values: list[Constants]) -> Constants:
        return _apply(layer, *(each.reshape([1] * (rank - 1) + [-1]) for each in values)).ravel()

    return Channelwise(layer, np.arange(width), constants)


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


def _apply(function: Callable[..., Any], *constants: Constants) -> Constants:
    """Applies an elementwise function or layer to constants; what varies stays so."""
    varies = np.isnan(constants).any(0)
    tensors = [tf.constant(np.where(varies, 0, each), tf.float32) for each in constants]
    found = np.asarray(function(tensors if len(tensors) > 1 else tensors[0]), np.float64)
    return np.where(varies | ~np.isfinite(found), np.nan, found)


_NAMES = (
    "elu", "exponential", "gelu", "hard_sigmoid", "linear", "mish", "relu", "selu", "sigmoid",
    "softplus", "softsign", "swish", "tanh",
)  # fmt: skip
ELEMENTWISE = [keras.activations.get(name) for name in _NAMES]

RULES: dict[type, Callable[[keras.layers.Layer, Tensors], Rule | None]] = {
    keras.layers.Activation: _activation,
    keras.layers.Add: _elementwise,
    keras.layers.AveragePooling2D: _pooling,
    keras.layers.BatchNormalization: _batch_normalization,
    keras.layers.Conv1D: _convolution,
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
