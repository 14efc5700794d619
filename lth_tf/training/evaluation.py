"""Evaluation: what a model answers, and its mean loss and metric over a set of examples.

All inference goes through here, in pieces of a bounded size.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.errors import UserError
from lth_tf.training.arithmetic import layer_values
from lth_tf.training.autograph import rewritten
from lth_tf.training.objective import build_metrics, judging_metric

# Values at a time, of inputs or of all layers, whichever lets more examples through: memory is in
# proportion, and larger pieces than these are no faster.
_INPUTS, _LAYERS = 400_000, 40_000_000
# Values of all layers at a time that are too many, however few the inputs are.
_MOST = 10 * _LAYERS


def inference(model: keras.Model) -> Callable[[Any], Any]:
    """Returns a function that gives a model's outputs for any number of examples.

    It follows the model's weights as they change, and is compiled once.

    Args:
        model: the model.

    Returns:
        A function from inputs, an array or structure of arrays [n, ...], to the outputs, likewise
        and in float32.
    """
    compiled = tf.function(lambda inputs: _answer(model, inputs), autograph=False)

    def outputs(inputs: Any) -> Any:
        arrays = tf.nest.flatten(inputs)
        size = _at_a_time(model, sum(math.prod(array.shape[1:]) for array in arrays))
        # One program for pieces of all sizes.
        answer = compiled.get_concrete_function(tf.nest.map_structure(_any_number, inputs))
        starts = range(0, max(len(arrays[0]), 1), size)
        pieces = [answer(_piece(inputs, slice(start, start + size))) for start in starts]
        return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *pieces)

    return outputs


def _any_number(array: np.ndarray | tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec([None, *array.shape[1:]], array.dtype)


def _any_pieces(grid: tf.Tensor) -> tf.TensorSpec:
    _, replicas, _, *shape = grid.shape
    return tf.TensorSpec([None, replicas, None, *shape], grid.dtype)


def _piece(inputs: Any, rows: slice) -> Any:
    return tf.nest.map_structure(lambda array: tf.constant(array[rows]), inputs)


def _answer(model: keras.Model, inputs: Any) -> Any:
    """Returns a model's outputs as they are after training, in float32."""
    return in_float32(rewritten(model)(inputs, training=False))


def in_float32(outputs: Any) -> Any:
    """Returns outputs in float32, with the masks that Keras keeps with them for losses."""

    def convert(output: tf.Tensor) -> tf.Tensor:
        converted = tf.cast(output, tf.float32)
        if converted is not output and hasattr(output, "_keras_mask"):
            converted._keras_mask = output._keras_mask
        return converted

    return tf.nest.map_structure(convert, outputs)


class Sums:
    """Sums up a model's losses and its metric over sets of examples, by one compiled program.

    The examples go through the model in pieces of one size, and a last one of what remains: no
    example is weighted, as not every loss and metric takes weights.

    Attributes:
        model: the model.
    """

    def __init__(self, model: keras.Model, xla: bool, metric: str) -> None:
        """Prepares evaluation of a model.

        Args:
            model: a model that an `Objective` has compiled.
            xla: whether the evaluation is compiled with XLA.
            metric: the name of the metric that it is judged by; "loss" for its loss.
        """
        self.model = model
        self._run = tf.function(self._sums, jit_compile=xla, autograph=False)
        self._judge = metric

    def __call__(self, grids: Any, rest: Any) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Returns the sum of the losses, and the metric's sum and count or its result.

        Args:
            grids: inputs and targets by piece and replica, each [pieces, replicas, n, ...]; none
                where there is no such piece.
            rest: those of the last piece, each [n, ...]; none where nothing remains.
        """
        pieces = tf.nest.map_structure(_any_pieces, grids)
        number = tf.nest.map_structure(_any_number, rest)
        return self._run.get_concrete_function(pieces, number)(grids, rest)

    def _sums(self, grids: Any, rest: Any) -> tuple[tf.Tensor, list[tf.Tensor]]:
        self.model.compiled_metrics.reset_state()
        total = tf.constant(0.0)
        if tf.nest.flatten(grids):

            def add(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                piece = tf.nest.map_structure(lambda grid: grid[i], grids)
                return i + 1, total + self._sum(piece, _row)

            pieces = _length(grids)
            _, total = tf.while_loop(lambda i, _: i < pieces, add, [0, total])
        if tf.nest.flatten(rest):
            total += self._sum(rest, _every)
        return total, self._metric()

    def _sum(self, examples: tuple[Any, Any], share: Callable[..., tf.Tensor]) -> tf.Tensor:
        """Returns the sum of the losses of some examples, shared out among the replicas."""
        strategy = self.model.distribute_strategy
        sums = strategy.run(self._replica_sum, args=(*examples, share))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None)

    def _replica_sum(self, inputs: Any, targets: Any, share: Callable[..., tf.Tensor]) -> tf.Tensor:
        """Returns the sum of the losses of a replica's share of some examples."""
        context = tf.distribute.get_replica_context()
        replica, replicas = context.replica_id_in_sync_group, context.num_replicas_in_sync
        replica = tf.get_static_value(tf.convert_to_tensor(replica))
        inputs, targets = tf.nest.map_structure(
            lambda array: share(array, replica, replicas), (inputs, targets)
        )
        outputs = _answer(self.model, inputs)
        rewritten(self.model.compiled_metrics.update_state)(targets, outputs)
        mean = rewritten(self.model.compute_loss)(inputs, targets, outputs)
        # Keras divides by the replicas, to add up what each returns.
        return mean * tf.cast(_length(inputs) * replicas, mean.dtype)

    def _metric(self) -> list[tf.Tensor]:
        """Returns the metric's sum and count, or its result if it is no mean."""
        metric = judging_metric(self.model, self._judge)
        if metric is None:
            return []
        if getattr(type(metric), "result", None) is keras.metrics.Mean.result:
            return [metric.total.read_value(), metric.count.read_value()]
        return [metric.result()]


class Evaluator:
    """Evaluates a model on one set of examples, shared out among the replicas."""

    def __init__(self, sums: Sums, inputs: Any, targets: Any) -> None:
        """Puts the examples on the device.

        Args:
            sums: the model's.
            inputs: array or structure of arrays, each [n, ...].
            targets: likewise.

        Raises:
            UserError: if there are fewer examples than replicas.
        """
        self._sums = sums
        model = sums.model
        examples = inputs, targets
        arrays = tf.nest.flatten(examples)
        replicas = model.distribute_strategy.num_replicas_in_sync
        self._count = len(arrays[0])
        if self._count < replicas:
            raise UserError(
                f"--distribution: {replicas} devices cannot share a set of {self._count} examples"
            )
        values = sum(math.prod(array.shape) for array in tf.nest.flatten(inputs))
        size = _at_a_time(model, values // self._count)
        steps, share = _shares(self._count, replicas, size)
        ends = steps * replicas * share

        def grid(array: tf.Tensor) -> tf.Tensor:
            return tf.reshape(array[:ends], [steps, replicas, share, *array.shape[1:]])

        def rest(array: tf.Tensor) -> tf.Tensor:
            return tf.convert_to_tensor(array[ends:])

        self._grids = tf.nest.map_structure(grid, examples) if ends else ()
        self._rest = tf.nest.map_structure(rest, examples) if ends < self._count else ()
        if not model.compiled_metrics.built:
            # Keras makes the metrics before the evaluation is compiled.
            first = tf.nest.map_structure(lambda array: tf.convert_to_tensor(array[:1]), targets)
            with model.distribute_strategy.scope():
                build_metrics(model, first)

    def __call__(self) -> tuple[float, float]:
        """Returns the mean loss, and the metric: the loss too where there is none."""
        total, metric = self._sums(self._grids, self._rest)
        loss = float(total) / self._count
        if not metric:
            return loss, loss
        # A mean is divided here: in float32 it would not be the nearest to the fraction.
        return loss, float(metric[0]) / float(metric[1]) if len(metric) == 2 else float(metric[0])

    def compiles(self) -> bool:
        """Says whether XLA can compile the model, its loss and metrics: it knows no text."""
        try:
            self()
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return False
        return True


def _length(arrays: Any) -> tf.Tensor:
    """Returns how many rows a structure's arrays have."""
    return tf.shape(tf.nest.flatten(arrays)[0])[0]


def _at_a_time(model: keras.Model, values: int) -> int:
    """Returns how many examples go through a model at a time, of so many input values each."""
    found, of_layers = _INPUTS // max(values, 1), layer_values(model)
    if of_layers is not None:
        found = min(max(found, _LAYERS // of_layers), _MOST // of_layers)
    return max(1, found)


def _shares(count: int, replicas: int, size: int) -> tuple[int, int]:
    """Returns in how many steps examples are evaluated, and how many on each replica.

    If possible these are all; otherwise each replica has part of what remains, at most one example
    more than in a step.

    Args:
        count: the examples, as many as replicas at least.
        replicas: devices that share them.
        size: how many of them go at a time.
    """
    least = min(-(-count // size), count // replicas)
    whole = (n for n in range(least, 2 * least) if count % (n * replicas) == 0)
    steps = next(whole, least)
    share = -(-count // (steps * replicas))
    if count % (steps * replicas):
        steps = (count - replicas) // (share * replicas)
    return steps, share


def _row(array: tf.Tensor, replica: int, replicas: int) -> tf.Tensor:
    return array[replica]


def _every(array: tf.Tensor, replica: int, replicas: int) -> tf.Tensor:
    return array[replica::replicas]
