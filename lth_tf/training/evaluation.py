"""Evaluation: what a model answers, and its mean loss and metric over a set of examples.

All inference goes through here, in pieces of a bounded size.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

_VALUES = 400_000  # input values at a time: activations take memory in proportion


def inference(model: keras.Model) -> Callable[[Any], Any]:
    """Returns a function that gives a model's outputs for any number of examples.

    It follows the model's weights as they change, and is compiled once.

    Args:
        model: the model.

    Returns:
        A function from inputs, an array or structure of arrays [n, ...], to the outputs, likewise
        and in float32.
    """
    compiled = tf.function(lambda inputs: _answer(model, inputs))

    def outputs(inputs: Any) -> Any:
        arrays = tf.nest.flatten(inputs)
        size = max(1, _VALUES // sum(math.prod(array.shape[1:]) for array in arrays))
        # One program for pieces of all sizes.
        answer = compiled.get_concrete_function(tf.nest.map_structure(_any_number, inputs))
        starts = range(0, len(arrays[0]), size)
        pieces = [answer(_piece(inputs, slice(start, start + size))) for start in starts]
        return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *pieces)

    return outputs


def _any_number(array: np.ndarray) -> tf.TensorSpec:
    return tf.TensorSpec([None, *array.shape[1:]], array.dtype)


def _piece(inputs: Any, rows: slice) -> Any:
    return tf.nest.map_structure(lambda array: tf.constant(array[rows]), inputs)


def _answer(model: keras.Model, inputs: Any) -> Any:
    """Returns a model's outputs as they are after training, in float32."""
    return tf.nest.map_structure(
        lambda output: tf.cast(output, tf.float32), model(inputs, training=False)
    )


class Evaluator:
    """Evaluates a model on one set of examples, shared out among the replicas."""

    def __init__(self, model: keras.Model, xla: bool) -> None:
        """Prepares evaluation of a model.

        Args:
            model: a model that an `Objective` has compiled.
            xla: whether the evaluation is compiled with XLA.
        """
        self._model = model
        self._run = tf.function(self._sums, jit_compile=xla)

    def set_examples(self, inputs: Any, targets: Any) -> None:
        """Sets the examples; as many as before keep the compiled program.

        Args:
            inputs: array or structure of arrays, each [n, ...].
            targets: likewise.
        """
        arrays = tf.nest.flatten(inputs)
        replicas = self._model.distribute_strategy.num_replicas_in_sync
        self._count = len(arrays[0])
        steps = -(-sum(math.prod(array.shape) for array in arrays) // _VALUES)
        self._share = -(-self._count // (steps * replicas))
        places = tf.range(steps * replicas * self._share)
        # The last example fills up the grid, at a weight of 0.
        rows = tf.minimum(places, self._count - 1)

        def grid(array: tf.Tensor) -> tf.Tensor:
            shape = [steps, replicas, self._share, *array.shape[1:]]
            return tf.reshape(tf.gather(array, rows), shape)

        counted = tf.reshape(tf.cast(places < self._count, tf.float32), [steps, replicas, -1])
        self._grids = tf.nest.map_structure(grid, (inputs, targets)), counted
        self._build_metrics()

    def __call__(self) -> tuple[float, float]:
        """Returns the mean loss, and the first metric: the loss too where there is none."""
        sums, extra, metric = self._run(*self._grids)
        loss = float(sums) / self._count + float(extra) / len(self._grids[1])
        if not metric:
            return loss, loss
        # A mean is divided here: in float32 it would not be the nearest to the fraction.
        return loss, float(metric[0]) / float(metric[1]) if len(metric) == 2 else float(metric[0])

    def _build_metrics(self) -> None:
        """Lets Keras make the metrics, before the evaluation is compiled."""
        model = self._model
        if not model.compiled_metrics.built:
            targets = tf.nest.map_structure(
                lambda grid: tf.constant(grid[0, 0, :1]), self._grids[0][1]
            )
            outputs = tf.nest.map_structure(
                lambda tensor: tf.zeros([n or 1 for n in tensor.shape], tensor.dtype), model.output
            )
            with model.distribute_strategy.scope():
                model.compiled_metrics.build(outputs, targets)

    def _sums(self, examples: tuple[Any, Any], counted: tf.Tensor) -> tuple[Any, Any, list]:
        strategy = self._model.distribute_strategy
        self._model.compiled_metrics.reset_state()
        loss, extra = tf.constant(0.0), tf.constant(0.0)
        for step in tf.range(counted.shape[0]):
            arrays = tf.nest.map_structure(lambda grid, i=step: grid[i], (*examples, counted))
            sums = strategy.run(self._replica_sums, args=arrays)
            step_loss, step_extra = (
                strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None) for value in sums
            )
            loss += step_loss
            extra += step_extra
        return loss, extra, self._metric()

    def _replica_sums(self, *arrays: Any) -> tuple[tf.Tensor, tf.Tensor]:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        inputs, targets, counted = tf.nest.map_structure(lambda array: array[replica], arrays)
        model = self._model
        outputs = _answer(model, inputs)
        model.compiled_metrics.update_state(targets, outputs, sample_weight=counted)
        # Keras divides by the examples of all replicas, and their weights do not count in that.
        mean = model.compiled_loss(targets, outputs, sample_weight=counted)
        replicas = model.distribute_strategy.num_replicas_in_sync
        extra = tf.add_n([tf.reduce_sum(loss) for loss in model.losses] or [tf.constant(0.0)])
        return mean * (self._share * replicas), extra / replicas

    def _metric(self) -> list[tf.Tensor]:
        """Returns the first metric's sum and count, or its result if it is no mean."""
        metrics = self._model.compiled_metrics.metrics
        if not metrics:
            return []
        first = metrics[0]
        if getattr(type(first), "result", None) is keras.metrics.Mean.result:
            return [first.total.read_value(), first.count.read_value()]
        return [first.result()]
