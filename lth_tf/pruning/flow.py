"""Synaptic flow: what passes through a network whose weights are all positive.

SynFlow (Tanaka et al. 2020) asks no data which weights matter. All parameters and batch
normalisation's statistics become their absolute values, an all-ones input goes through the network
in inference mode, and R is the sum of its outputs. Along each path from an input to an output, R
has the product of the path's weights.

Such products leave float32's range in deep networks (VGG-19), so that this network is float64.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.arrays import Arrays
from lth_tf.errors import UserError
from lth_tf.pruning.kernels import kernel_variables, named_weights, snapshot
from lth_tf.pruning.walk import copy_model

# The ones are what the first kernel sees; standardised pixels would be negative.
_SCALING = (keras.layers.Rescaling, keras.layers.Normalization)
_LEAST = 1e-6  # of R, that must pass through a kernel


class Flow:
    """The positive float64 copy of a network, without the layers that scale its inputs."""

    def __init__(self, model: keras.Model) -> None:
        """Copies a network.

        Args:
            model: a plain network with any initial weights; it is left as it was.

        Raises:
            UserError: if nothing flows from its inputs to its outputs.
        """
        self._model = _positive_copy(model)
        self._variables = named_weights(self._model)
        self._kernels = kernel_variables(self._model)
        self._ones = tf.nest.map_structure(_ones_like, self._model.input)
        dense = snapshot(model)
        value, gradients = self._flow(dense)
        passed = max((float((np.abs(dense[n]) * g).sum()) for n, g in gradients.items()), default=0)
        if not (np.isfinite(value) and passed > _LEAST * abs(value)):
            raise UserError(
                f"--criterion: asks for synaptic flow, but an all-ones input does not flow through "
                f"model {model.name}; its inputs must be scaled by Rescaling or Normalization "
                "layers, and its outputs be logits"
            )

    def gradients(self, weights: Mapping[str, np.ndarray]) -> Arrays:
        """Returns the gradient of R with respect to the magnitudes of each kernel, by name.

        Args:
            weights: the weights of the network by name, pruned ones zero.

        Returns:
            float64 arrays of the kernels' shapes, those of pruned weights included.
        """
        return self._flow(weights)[1]

    def _flow(self, weights: Mapping[str, np.ndarray]) -> tuple[float, Arrays]:
        for name, variable in self._variables.items():
            variable.assign(np.abs(weights[name]).astype(variable.dtype.as_numpy_dtype))
        with tf.GradientTape() as tape:
            outputs = tf.nest.flatten(self._model(self._ones, training=False))
            value = tf.add_n([tf.reduce_sum(output) for output in outputs])
        found = tape.gradient(
            value, self._kernels, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return float(value), {n: tf.convert_to_tensor(g).numpy() for n, g in found.items()}


def _positive_copy(model: keras.Model) -> keras.Model:
    """Copies a network in float64, for layers that a user's layer makes as well."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("float64")
    try:
        return copy_model(model, _positive)
    except (TypeError, ValueError, tf.errors.OpError) as error:
        cause = " ".join(str(error).split())[:200]
        raise UserError(
            f"--criterion: asks for synaptic flow, but model {model.name} cannot be run in float64 "
            f"({cause})"
        ) from error
    finally:
        keras.mixed_precision.set_global_policy(before)


def _positive(layer: keras.layers.Layer) -> keras.layers.Layer:
    if isinstance(layer, _SCALING):
        # By one: it casts integers, as the layer does, and a linear activation does not.
        return keras.layers.Rescaling(1.0, name=layer.name, dtype="float64")
    return type(layer).from_config(_in_float64(layer.get_config()))


def _in_float64(config: Any) -> Any:
    """Returns a layer's configuration, and those of the layers inside it, in float64."""
    if isinstance(config, list | tuple):
        parts = map(_in_float64, config)
        return tuple(parts) if isinstance(config, tuple) else list(parts)
    if not isinstance(config, dict):
        return config
    return {k: "float64" if k == "dtype" else _in_float64(v) for k, v in config.items()}


def _ones_like(tensor: tf.Tensor) -> tf.Tensor:
    """Returns one example of ones for an input of a model."""
    return tf.ones([1, *(length or 1 for length in tensor.shape[1:])], tensor.dtype)
