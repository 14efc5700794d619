"""The JAX network of a Keras network: a function of weights, masks and images.

It is made of the layers' description, so that it fits any network of the layers in `_LAYERS`.
"""

import dataclasses
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lth_tf.benchmark.layers import Layer
from lth_tf.errors import UserError

Arrays = Mapping[str, Mapping[str, jax.Array]]
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
_STATISTICS = ("moving_mean", "moving_variance")


@dataclasses.dataclass(frozen=True)
class Call:
    """One pass through the network.

    Attributes:
        weights: what is trained, by layer and name.
        masks: of each layer's kernel, by layer.
        statistics: batch normalisation's moving means and variances, by layer and name.
        training: whether it is training.
        dtype: what is computed in.
        key: dropout's random key.
    """

    weights: Arrays
    masks: Mapping[str, jax.Array]
    statistics: Arrays
    training: bool
    dtype: Any
    key: jax.Array


def initial_weights(layers: Sequence[Layer]) -> tuple[Arrays, Mapping[str, jax.Array], Arrays]:
    """Returns the network's weights, masks (all ones) and batch statistics."""
    weights: dict[str, dict[str, jax.Array]] = {}
    statistics: dict[str, dict[str, jax.Array]] = {}
    masks = {}
    for layer in layers:
        for name, array in layer.weights.items():
            group = statistics if name in _STATISTICS else weights
            group.setdefault(layer.name, {})[name] = jnp.asarray(array)
            if name == "kernel":
                masks[layer.name] = jnp.ones_like(array)
    return weights, masks, statistics


def logits_of(
    layers: Sequence[Layer], call: Call, images: jax.Array
) -> tuple[jax.Array, dict[str, Any]]:
    """Returns the float32 logits of images, and the batch statistics behind them.

    Args:
        layers: the network.
        call: its weights and how they are used.
        images: uint8 [n, height, width, channels].

    Raises:
        UserError: if it has a layer of another kind.
    """
    values: dict[str, jax.Array] = {}
    statistics = dict(call.statistics)
    for layer in layers:
        if layer.kind not in _LAYERS:
            raise UserError(f"{layer.name}: JAX's network has no {layer.kind} layer")
        inputs = [values[source] for source in layer.inputs] or [images]
        value, behind = _LAYERS[layer.kind](layer, call, *inputs)
        values[layer.name] = value
        if behind is not None:
            statistics[layer.name] = behind
    return value.astype(jnp.float32), statistics


def _kernel(layer: Layer, call: Call) -> jax.Array:
    return (call.weights[layer.name]["kernel"] * call.masks[layer.name]).astype(call.dtype)


def _activated(layer: Layer, call: Call, x: jax.Array) -> tuple[jax.Array, None]:
    if "bias" in layer.weights:
        x = x + call.weights[layer.name]["bias"].astype(x.dtype)
    return (jax.nn.relu(x) if layer.config["activation"] == "relu" else x), None


def _dense(layer: Layer, call: Call, x: jax.Array) -> tuple[jax.Array, None]:
    return _activated(layer, call, x @ _kernel(layer, call))


def _conv(layer: Layer, call: Call, x: jax.Array) -> tuple[jax.Array, None]:
    strides, padding = layer.config["strides"], layer.config["padding"].upper()
    x = lax.conv_general_dilated(
        x, _kernel(layer, call), strides, padding, dimension_numbers=_DIMENSIONS
    )
    return _activated(layer, call, x)


def _normalization(layer: Layer, call: Call, x: jax.Array) -> tuple[jax.Array, Any]:
    weights, kept = call.weights[layer.name], call.statistics[layer.name]
    mean, variance = (kept[name] for name in _STATISTICS)
    behind = None
    if call.training:
        axes, rate = tuple(range(x.ndim - 1)), layer.config["momentum"]
        # In float32, as Keras has them.
        wide = x.astype(jnp.float32)
        now = dict(zip(_STATISTICS, (wide.mean(axes), wide.var(axes)), strict=True))
        count = x.size // x.shape[-1]
        unbiased = now | {"moving_variance": now["moving_variance"] * count / (count - 1)}
        behind = {name: rate * kept[name] + (1 - rate) * unbiased[name] for name in _STATISTICS}
        mean, variance = (now[name] for name in _STATISTICS)
    factor = weights["gamma"] * lax.rsqrt(variance + layer.config["epsilon"])
    offset = weights["beta"] - mean * factor
    return x * factor.astype(x.dtype) + offset.astype(x.dtype), behind


def _dropout(layer: Layer, call: Call, x: jax.Array) -> tuple[jax.Array, None]:
    rate = layer.config["rate"]
    if not call.training or not rate:
        return x, None
    key = jax.random.fold_in(call.key, zlib.crc32(layer.name.encode()))
    kept = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(kept, x / (1 - rate), 0), None


def _pooling(layer: Layer, call: Call, x: jax.Array) -> tuple[jax.Array, None]:
    size, strides = ((1, *layer.config[name], 1) for name in ("pool_size", "strides"))
    padding = layer.config["padding"].upper()
    return lax.reduce_window(x, -jnp.inf, lax.max, size, strides, padding), None


def _rescaling(layer: Layer, call: Call, x: jax.Array) -> tuple[jax.Array, None]:
    scale, offset = (jnp.asarray(layer.config[name], jnp.float32) for name in ("scale", "offset"))
    return (x.astype(jnp.float32) * scale + offset).astype(call.dtype), None


_LAYERS: dict[str, Callable[..., tuple[jax.Array, Any]]] = {
    "InputLayer": lambda layer, call, x: (x, None),
    "Rescaling": _rescaling,
    "Dense": _dense,
    "Conv2D": _conv,
    "BatchNormalization": _normalization,
    "ReLU": lambda layer, call, x: (jax.nn.relu(x), None),
    "Dropout": _dropout,
    "Add": lambda layer, call, x, y: (x + y, None),
    "MaxPooling2D": _pooling,
    "GlobalAveragePooling2D": lambda layer, call, x: (x.mean((1, 2)), None),
    "Flatten": lambda layer, call, x: (x.reshape(len(x), -1), None),
}
