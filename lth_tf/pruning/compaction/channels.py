"""Mixing and channelwise layers, by what they do to the channels of their tensors.

A mixing layer (dense, convolution) computes each output channel from all input channels through
its kernel. In a channelwise layer each output channel comes from one channel of each input, and
stays or goes with it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
import tf_keras as keras

Channels = np.ndarray  # bool: whether a channel stays
Constants = np.ndarray  # float64: what a channel always is, nan if it varies
Change = tuple[dict[str, Any], list[np.ndarray]]


_NAMES = (
    "elu", "exponential", "gelu", "hard_sigmoid", "linear", "mish", "relu", "selu", "sigmoid",
    "softplus", "softsign", "swish", "tanh",
)  # fmt: skip
ELEMENTWISE = [
    *(keras.activations.get(name) for name in _NAMES),
    *(tf.nn.elu, tf.nn.relu, tf.nn.relu6, tf.nn.sigmoid, tf.nn.tanh),
]


class Rule(Protocol):
    """What a layer does to the channels of its inputs and its output."""

    def constants(self, inputs: list[Constants]) -> Constants:
        """Returns the output's constants, from the inputs'."""

    def grow(self, inputs: list[Channels], output: Channels, constants: list[Constants]) -> None:
        """Marks, in place, what must stay because something else stays.

        Args:
            inputs: of each input, which channels stay, bool [channels].
            output: which channels of the output stay, bool [channels].
            constants: of each input, each channel's constant, float64 [channels]; nan if it varies.
        """

    def shrink(
        self, inputs: list[Channels], output: Channels, constants: list[Constants]
    ) -> Change:
        """Returns what changes in the layer's configuration, and its weights without the rest.

        Args:
            inputs: of each input, which channels stay, bool [channels].
            output: which channels of the output stay, bool [channels].
            constants: of each input, each channel's constant, float64 [channels]; nan if it varies.
        """


class Mixing:
    """A dense layer or a convolution."""

    def __init__(self, layer: keras.layers.Layer, units: str, is_inner: np.ndarray) -> None:
        """Reads a layer.

        Args:
            layer: the layer, with a kernel [..., inputs, outputs].
            units: the field of its configuration that says how many outputs it has.
            is_inner: the places of the kernel, in flat order, that never lie on padding. On padding
                a constant adds nothing, so that no bias can stand for it.
        """
        self._layer, self._units = layer, units
        self._kernel = layer.kernel.numpy()
        places = self._kernel.reshape(-1, *self._kernel.shape[-2:])
        self._reaches = (places != 0).any(0)
        self._reaches_from_edge = (places[~is_inner] != 0).any(0)
        self._sums = places.sum(0, dtype=np.float64)
        self._bias = layer.bias.numpy() if layer.use_bias else np.zeros_like(self._sums[0])

    def constants(self, inputs: list[Constants]) -> Constants:
        """An output is constant if all inputs that reach it can be folded."""
        if self._layer.activation not in ELEMENTWISE:
            return np.full_like(self._bias, np.nan)
        sums = np.nan_to_num(inputs[0]) @ self._sums + self._bias
        varies = self._unfoldable(inputs[0]).any(0)
        return apply(self._layer.activation, np.where(varies, np.nan, sums))

    def grow(self, inputs: list[Channels], output: Channels, constants: list[Constants]) -> None:
        """An input stays if an output that stays needs it, for more than a number in the bias."""
        if self._layer.activation not in ELEMENTWISE:
            output[:] = True
        inputs[0] |= self._unfoldable(constants[0])[:, output].any(1)

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
        config = {
            self._units: int(output.sum()),
            "use_bias": has_bias,
            # A user's function cannot be made from its name.
            "activation": self._layer.activation,
        }
        return config, weights

    def _unfoldable(self, constants: Constants) -> np.ndarray:
        """Says of which inputs (rows) what they add to which outputs is not one number."""
        varies, is_zero = np.isnan(constants)[:, None], (constants == 0)[:, None]
        return self._reaches & varies | self._reaches_from_edge & ~is_zero


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


def apply(function: Callable[..., Any], *constants: Constants) -> Constants:
    """Applies an elementwise function or layer to constants; what varies stays so."""
    varies = np.isnan(constants).any(0)
    tensors = [tf.constant(np.where(varies, 0, each), tf.float32) for each in constants]
    found = np.asarray(function(tensors if len(tensors) > 1 else tensors[0]), np.float64)
    return np.where(varies | ~np.isfinite(found), np.nan, found)
