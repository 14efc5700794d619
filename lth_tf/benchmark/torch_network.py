"""The torch network of a Keras network: the same layers, weights and outputs, kernels masked.

It is made of the layers' description, so that it fits any network of the layers in `_LAYERS`.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from lth_tf.benchmark.layers import Layer
from lth_tf.errors import UserError


class TorchNetwork(nn.Module):
    """A network of images [n, height, width, channels] to logits, in torch."""

    def __init__(self, layers: Sequence[Layer], layout: torch.memory_format) -> None:
        """Makes the layers and copies their weights; masks are all ones.

        Args:
            layers: the network.
            layout: the order of images and convolutions in memory.
        """
        super().__init__()
        self._layout = layout
        self._inputs = {layer.name: layer.inputs for layer in layers}
        self.steps = nn.ModuleDict({layer.name: _convert(layer) for layer in layers})
        self.to(memory_format=layout)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the logits of images, as the Keras network does."""
        value = images.permute(0, 3, 1, 2).contiguous(memory_format=self._layout)
        values: dict[str, torch.Tensor] = {}
        for name, step in self.steps.items():
            inputs = [values[source] for source in self._inputs[name]] or [value]
            value = values[name] = step(*inputs)
        return value


class _Masked(nn.Module):
    """A layer whose kernel is multiplied by a mask at every call."""

    def __init__(self, layer: Layer, axes: Sequence[int]) -> None:
        super().__init__()
        weights = layer.weights
        self.weight = nn.Parameter(_tensor(weights["kernel"]).permute(*axes).contiguous())
        self.bias = nn.Parameter(_tensor(weights["bias"])) if "bias" in weights else None
        self.register_buffer("mask", torch.ones_like(self.weight))
        activation = layer.config["activation"]
        if activation not in ("relu", "linear"):
            raise UserError(
                f"{layer.name}: its activation must be relu or none for torch's network"
            )
        self.relu = activation == "relu"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.apply_kernel(x, self.weight * self.mask)
        return functional.relu(x) if self.relu else x


class _Dense(_Masked):
    def __init__(self, layer: Layer) -> None:
        super().__init__(layer, (1, 0))

    def apply_kernel(self, x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, kernel, self.bias)


class _Conv2D(_Masked):
    def __init__(self, layer: Layer) -> None:
        super().__init__(layer, (3, 2, 0, 1))
        self._stride = layer.config["strides"]
        self._same = layer.config["padding"] == "same"

    def apply_kernel(self, x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        sizes = zip(x.shape[2:], kernel.shape[2:], self._stride, strict=True)
        padding = [_same_padding(*size) if self._same else (0, 0) for size in sizes]
        (top, bottom), (left, right) = padding
        if (top, left) == (bottom, right):
            return functional.conv2d(x, kernel, self.bias, self._stride, (top, left))
        # Keras pads a strided convolution more at the end; torch's own padding is symmetric.
        x = functional.pad(x, (left, right, top, bottom))
        return functional.conv2d(x, kernel, self.bias, self._stride)


class _Function(nn.Module):
    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.forward = function


def _normalization(layer: Layer) -> nn.Module:
    config, weights = layer.config, layer.weights
    module = nn.BatchNorm2d(len(weights["gamma"]), config["epsilon"], 1 - config["momentum"])
    names = {"weight": "gamma", "bias": "beta"}
    names |= {"running_mean": "moving_mean", "running_var": "moving_variance"}
    state = {theirs: _tensor(weights[name]) for theirs, name in names.items()}
    module.load_state_dict(state | {"num_batches_tracked": torch.tensor(0)})
    return module


def _rescaling(layer: Layer) -> nn.Module:
    scale, offset = (_tensor(layer.config[name]) for name in ("scale", "offset"))
    scale, offset = (value[:, None, None] if value.dim() else value for value in (scale, offset))
    return _Function(lambda x: x.float() * scale + offset)


def _pooling(layer: Layer) -> nn.Module:
    config = layer.config
    same = config["padding"] == "same"
    return nn.MaxPool2d(config["pool_size"], config["strides"], ceil_mode=same)


_LAYERS: dict[str, Callable[[Layer], nn.Module]] = {
    "InputLayer": lambda layer: nn.Identity(),
    "Rescaling": _rescaling,
    "Dense": _Dense,
    "Conv2D": _Conv2D,
    "BatchNormalization": _normalization,
    "ReLU": lambda layer: nn.ReLU(),
    "Dropout": lambda layer: nn.Dropout(layer.config["rate"]),
    "Add": lambda layer: _Function(torch.add),
    "MaxPooling2D": _pooling,
    "GlobalAveragePooling2D": lambda layer: _Function(lambda x: x.mean((2, 3))),
    # In Keras's order; where images lie channels last, that copies nothing.
    "Flatten": lambda layer: _Function(lambda x: x.permute(0, 2, 3, 1).flatten(1)),
}


def _convert(layer: Layer) -> nn.Module:
    """Returns the torch module that does what a Keras layer does."""
    if layer.kind not in _LAYERS:
        raise UserError(f"{layer.name}: torch's network has no {layer.kind} layer")
    return _LAYERS[layer.kind](layer)


def _tensor(array: np.ndarray | float) -> torch.Tensor:
    return torch.tensor(np.asarray(array, np.float32))


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
