"""Evaluation: mean loss and accuracy of a model over a set of examples on the device."""

import math

import tensorflow as tf
import tf_keras as keras

_VALUES = 400_000  # input values at a time: activations take memory in proportion


class Evaluator:
    """Evaluates a model on one set of examples, shared out among the replicas."""

    def __init__(self, model: keras.Model, xla: bool) -> None:
        """Prepares evaluation of a model.

        Args:
            model: a classifier that returns logits.
            xla: whether the evaluation is compiled with XLA.
        """
        self._model = model
        self._run = tf.function(self._sums, jit_compile=xla)

    def set_examples(self, images: tf.Tensor, labels: tf.Tensor) -> None:
        """Sets the examples; as many as before keep the compiled program.

        Args:
            images: uint8 [n, height, width, channels].
            labels: int [n].
        """
        replicas = self._model.distribute_strategy.num_replicas_in_sync
        self._count = len(labels)
        steps = -(-math.prod(images.shape) // _VALUES)
        share = -(-self._count // (steps * replicas))
        padding = steps * replicas * share - self._count

        def grid(array: tf.Tensor) -> tf.Tensor:
            padded = tf.pad(array, [[0, padding], *[[0, 0]] * (len(array.shape) - 1)])
            return tf.reshape(padded, [steps, replicas, share, *array.shape[1:]])

        counted = tf.ones([self._count])
        self._grids = grid(images), grid(tf.cast(labels, tf.int64)), grid(counted)

    def __call__(self) -> tuple[float, float]:
        """Returns mean cross-entropy and accuracy (a fraction)."""
        loss, correct = self._run(*self._grids)
        return float(loss) / self._count, float(correct) / self._count

    def _sums(
        self, images: tf.Tensor, labels: tf.Tensor, counted: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        strategy = self._model.distribute_strategy
        loss, correct = tf.constant(0.0), tf.constant(0.0)
        for step in tf.range(images.shape[0]):
            arrays = images[step], labels[step], counted[step]
            sums = strategy.run(self._replica_sums, args=arrays)
            step_loss, step_correct = (
                strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None) for value in sums
            )
            loss += step_loss
            correct += step_correct
        return loss, correct

    def _replica_sums(self, *arrays: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        images, labels, counted = (array[replica] for array in arrays)
        logits = tf.cast(self._model(images, training=False), tf.float32)
        losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        correct = tf.cast(tf.argmax(logits, axis=-1) == labels, tf.float32)
        return tf.reduce_sum(losses * counted), tf.reduce_sum(correct * counted)
