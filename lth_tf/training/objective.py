"""Objective: the loss that a model is trained for and the metric that it is judged by.

The paper's networks have cross-entropy and accuracy; a user's model has those that it was compiled
with.
"""

import dataclasses
import json
from typing import Any

import tensorflow as tf
import tf_keras as keras

from lth_tf.errors import UserError
from lth_tf.metric import Metric, known_direction


@dataclasses.dataclass(frozen=True)
class Objective:
    """What `Model.compile` is given besides the optimizer.

    Attributes:
        loss: a loss, or a structure of losses for the outputs.
        metrics: likewise; the first is what the model is judged by. None: by its loss.
        loss_weights: the losses' weights, if they are not equal.
    """

    loss: Any
    metrics: Any
    loss_weights: Any = None

    def compile(self, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        """Compiles a model, ready to be trained and evaluated on weighted examples.

        Args:
            model: the model; what it was compiled with before is replaced.
            optimizer: its optimizer.
        """
        metrics = tf.nest.map_structure(_fresh, self.metrics)
        model.compile(
            optimizer, self.loss, weighted_metrics=metrics, loss_weights=self.loss_weights
        )

    def describe(self) -> str:
        """Returns the loss and the metrics as a text that differs where they differ."""
        parts = (self.loss, self.metrics, self.loss_weights)
        return json.dumps(tf.nest.map_structure(_name, parts), sort_keys=True)

    def metric(self, higher_is_better: bool | None = None) -> Metric:
        """Returns the metric that the model is judged by.

        Args:
            higher_is_better: whether more of it is better; None if Keras's own metrics tell.

        Raises:
            UserError: if that is not known.
        """
        first = next(iter(tf.nest.flatten(self.metrics)), None)
        if first is None:
            return Metric("loss", higher_is_better=False)
        if higher_is_better is None:
            higher_is_better = _direction(first)
        return Metric.named(_short_name(first), higher_is_better)


_LOSSES = keras.losses.mean_squared_error.__module__  # where Keras's losses are functions
CLASSIFICATION = Objective(keras.losses.SparseCategoricalCrossentropy(from_logits=True), "accuracy")


def objective_of(model: keras.Model) -> Objective:
    """Returns the objective that a model was compiled with, or classification's if it was not.

    Raises:
        UserError: if a loss does not average over the examples.
    """
    # Keras keeps what `compile` was given, as it was given, here only.
    config = getattr(model, "_compile_config", None)
    if config is None:
        return CLASSIFICATION
    compiled = config.config
    for loss in tf.nest.flatten(compiled["loss"]):
        reduction = getattr(loss, "reduction", "auto")
        if reduction not in ("auto", "sum_over_batch_size"):
            raise UserError(
                f"model {model.name}: its loss {_short_name(loss)} must average over the examples "
                f"(the default reduction), not {reduction}"
            )
    metrics = compiled["metrics"] or compiled["weighted_metrics"] or None
    return Objective(compiled["loss"], metrics, compiled["loss_weights"])


def _fresh(metric: Any) -> Any:
    """Returns a metric with a state of its own."""
    if isinstance(metric, keras.metrics.Metric):
        return type(metric).from_config(metric.get_config())
    return metric


def _direction(metric: Any) -> bool | None:
    """Says whether more of one of Keras's metrics is better, whatever it was named.

    A loss is better the lower it is: as a loss, cosine_similarity is negative, as a metric not.
    """
    if isinstance(metric, keras.losses.Loss) or _module(getattr(metric, "_fn", metric)) == _LOSSES:
        return False
    of_keras = _module(type(metric)).split(".")[0] == "tf_keras"
    return known_direction(type(metric).__name__) if of_keras else None


def _module(value: Any) -> str:
    return getattr(value, "__module__", "")


def _short_name(value: Any) -> str:
    if isinstance(value, str):
        return value
    return getattr(value, "name", None) or getattr(value, "__name__", type(value).__name__)


def _name(value: Any) -> Any:
    if isinstance(value, keras.losses.Loss | keras.metrics.Metric):
        return [type(value).__name__, json.loads(json.dumps(value.get_config(), default=str))]
    return value if isinstance(value, str | float | int | None) else _short_name(value)
