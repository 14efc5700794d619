"""The torch network of a Keras model: the same layers, weights and outputs, kernels masked.

It is made by walking the Keras model's layers, so that it fits any network built of those that
`_convert` knows.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tf_keras as keras
import torch
from torch import nn
from torch.nn import functional

from lth_tf.errors import UserError


class TorchNetwork(nn.Module):
    """A functional Keras model with one input and one output, in torch."""

    def __init__(self, model: keras.Model, layout: torch.memory_format) -> None:
        """Converts a model's layers and copies its weights; masks are all ones.

        Args:
            model: the model.
            layout: the order of images and convolutions in memory.
        """
        super().__init__()
        self._layout = layout
        self._inputs = {layer.name: _inputs(layer) for layer in model.layers}
        self.steps = nn.ModuleDict({layer.name: _convert(layer) for layer in model.layers})
        self.to(memory_format=layout)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the logits of images [n, height, width, channels], as the Keras model does."""
        value = images.permute(0, 3, 1, 2).contiguous(memory_format=self._layout)
        values: dict[str, torch.Tensor] = {}
        for name, step in self.steps.items():
            inputs = [values[source] for source in self._inputs[name]] or [value]
            value = values[name] = step(*inputs)
        return value


class _Masked(nn.Module):
    """A layer whose kernel is multiplied by a mask at every call."""

    def __init__(self, layer: keras.layers.Layer, axes: Sequence[int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(_tensor(layer.kernel).permute(*axes).contiguous())
        self.bias = nn.Parameter(_tensor(layer.bias)) if layer.use_bias else None
        self.register_buffer("mask", torch.ones_like(self.weight))
        self.relu = layer.activation is keras.activations.relu
        if not self.relu and layer.activation is not keras.activations.linear:
            raise UserError(
                f"{layer.name}: its activation must be relu or none for torch's network"
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.apply_kernel(x, self.weight * self.mask)
        return functional.relu(x) if self.relu else x


class _Dense(_Masked):
    def __init__(self, layer: keras.layers.Dense) -> None:
        super().__init__(layer, (1, 0))

    def apply_kernel(self, x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, kernel, self.bias)


class _Conv2D(_Masked):
    def __init__(self, layer: keras.layers.Conv2D) -> None:
        super().__init__(layer, (3, 2, 0, 1))
        self.stride = layer.strides
        sizes = zip(layer.input_shape[1:3], layer.kernel_size, layer.strides, strict=True)
        same = layer.padding == "same"
        self.padding = [_same_padding(*size) if same else (0, 0) for size in sizes]

    def apply_kernel(self, x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        (top, bottom), (left, right) = self.padding
        if (top, left) == (bottom, right):
            return functional.conv2d(x, kernel, self.bias, self.stride, (top, left))
        # Keras pads a strided convolution more at the end; torch's own padding is symmetric.
        x = functional.pad(x, (left, right, top, bottom))
        return functional.conv2d(x, kernel, self.bias, self.stride)


class _Function(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.forward = function


@functools.singledispatch
def _convert(layer: keras.layers.Layer) -> nn.Module:
    """Returns the torch module that does what a Keras layer does."""
    raise UserError(f"{layer.name}: torch's network has no {type(layer).__name__} layer")


_convert.register(keras.layers.InputLayer, lambda layer: nn.Identity())
_convert.register(keras.layers.Dense, _Dense)
_convert.register(keras.layers.Conv2D, _Conv2D)
_convert.register(keras.layers.ReLU, lambda layer: nn.ReLU())
_convert.register(keras.layers.Dropout, lambda layer: nn.Dropout(layer.rate))
_convert.register(keras.layers.Add, lambda layer: _Function(torch.add))
_convert.register(
    keras.layers.GlobalAveragePooling2D, lambda layer: _Function(lambda x: x.mean((2, 3)))
)
_convert.register(
    keras.layers.Rescaling,
    lambda layer: _Function(lambda x: x.float() * layer.scale + layer.offset),
)
_convert.register(
    keras.layers.MaxPooling2D,
    lambda layer: nn.MaxPool2d(layer.pool_size, layer.strides, ceil_mode=layer.padding == "same"),
)
# In Keras's order; where images lie channels last, that copies nothing.
_convert.register(
    keras.layers.Flatten,
    lambda layer: _Function(lambda x: x.permute(0, 2, 3, 1).flatten(1)),
)


@_convert.register
def _(layer: keras.layers.BatchNormalization) -> nn.Module:
    module = nn.BatchNorm2d(layer.gamma.shape[0], layer.epsilon, 1 - layer.momentum)
    module.load_state_dict(
        {
            "weight": _tensor(layer.gamma),
            "bias": _tensor(layer.beta),
            "running_mean": _tensor(layer.moving_mean),
            "running_var": _tensor(layer.moving_variance),
            "num_batches_tracked": torch.tensor(0),
        }
    )
    return module


def _inputs(layer: keras.layers.Layer) -> list[str]:
    return [node.layer.name for node in layer.inbound_nodes[0].parent_nodes]


def _tensor(variable: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(variable, np.float32))


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
