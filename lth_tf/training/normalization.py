"""Batch normalisation over the whole batch where several devices share it."""

import threading
from typing import Any

import tensorflow as tf
import tf_keras as keras


class GlobalBatchNormalization(keras.layers.BatchNormalization):
    """Keras's synchronised batch normalisation, with the moving variance of the fused one.

    On one device Keras averages the unbiased variance of a batch, on several the biased one, which
    is smaller by 1 / n. Both are unbiased here, so that a network is the same on any number of
    devices.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Makes the layer; the arguments are those of Keras's."""
        super().__init__(**{**kwargs, "synchronized": True, "fused": None})
        # Each thread's own: tf.distribute traces replicas in threads that take turns.
        self._correction = threading.local()

    def call(self, inputs: tf.Tensor, training: Any = None, mask: Any = None) -> tf.Tensor:
        """Normalises the inputs by the statistics of all devices' parts of the batch."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        values = tf.cast(tf.size(inputs) // inputs.shape[-1] * replicas, tf.float32)
        # Keras's fused one is for images.
        self._correction.factor = values / (values - 1) if len(inputs.shape) == 4 else 1.0
        return super().call(inputs, training=training, mask=mask)

    def _assign_moving_average(self, variable: tf.Variable, value: tf.Tensor, *args: Any) -> Any:
        if variable is self.moving_variance:
            value *= self._correction.factor
        return super()._assign_moving_average(variable, value, *args)
