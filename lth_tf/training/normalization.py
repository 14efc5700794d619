"""Batch normalisation: over the whole batch where several devices share it; its statistics."""

import contextlib
import functools
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

_VALUES = 400_000  # input values at a time: activations take memory in proportion


class GlobalBatchNormalization(keras.layers.BatchNormalization):
    """Keras's synchronised batch normalisation, with the moving variance of the fused one.

    On one device Keras averages the unbiased variance of a batch, on several the biased one, which
    is smaller by 1 / n. Both are unbiased here, so that a network is the same on any number of
    devices.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Makes the layer; the arguments are those of Keras's."""
        super().__init__(**{**kwargs, "synchronized": True, "fused": None})
        # One for each thread: tf.distribute traces replicas in threads that take turns.
        self._correction = threading.local()

    def call(self, inputs: tf.Tensor, training: Any = None, mask: Any = None) -> tf.Tensor:
        """Normalises the inputs by the statistics of all devices' parts of the batch."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        rank, axis = len(inputs.shape), self.axis[0]
        values = tf.cast(tf.size(inputs) // inputs.shape[axis] * replicas, tf.float32)
        # Where Keras has a fused one: for images and volumes, channels first or last.
        fused = rank in (4, 5) and axis in (1, rank - 1)
        self._correction.factor = values / (values - 1) if fused else 1.0
        return super().call(inputs, training=training, mask=mask)

    def _assign_moving_average(self, variable: tf.Variable, value: tf.Tensor, *args: Any) -> Any:
        if variable is self.moving_variance:
            value *= self._correction.factor
        return super()._assign_moving_average(variable, value, *args)


def has_statistics(model: keras.Model) -> bool:
    """Says whether a model has batch normalisation."""
    return bool(_normalizations(model))


def recompute_statistics(model: keras.Model, inputs: Any) -> None:
    """Sets the statistics of a model's batch normalisation to those of some examples.

    They are the means, over batches of about equal size, of each batch's mean and variance. Other
    layers do what they do after training: nothing is dropped out.

    Args:
        model: the model.
        inputs: the examples, an array or structure of arrays, each [n, ...].
    """
    layers = _normalizations(model)
    arrays = tf.nest.flatten(inputs)
    values = sum(math.prod(array.shape) for array in arrays)
    count = len(arrays[0])
    batches = np.array_split(np.arange(count), min(count, -(-values // _VALUES)))
    with contextlib.ExitStack() as restored:
        for layer in layers:
            restored.callback(setattr, layer, "momentum", layer.momentum)
            restored.callback(delattr, layer, "call")
            layer.call = functools.partial(_in_training, layer.call)
        for number, rows in enumerate(batches):
            for layer in layers:
                layer.momentum = number / (number + 1)
            model(tf.nest.map_structure(lambda a, r=rows: tf.constant(a[r]), inputs))


def _in_training(call: Callable[..., tf.Tensor], inputs: tf.Tensor, **kwargs: Any) -> tf.Tensor:
    return call(inputs, **{**kwargs, "training": True})


def _normalizations(model: keras.Model) -> list[keras.layers.Layer]:
    kind = keras.layers.BatchNormalization
    return [each for each in model._flatten_layers() if isinstance(each, kind)]
