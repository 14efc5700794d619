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
    """What `Model.compile` takes besides the optimizer.

    Attributes:
        loss: a loss, or a structure of losses for the outputs.
        metrics: likewise; the first is what the model is judged by, if no other is chosen. None: by
            its loss.
        weighted_metrics: likewise; they come after `metrics`.
        loss_weights: the losses' weights, if they are not equal.
    """

    loss: Any
    metrics: Any
    weighted_metrics: Any = None
    loss_weights: Any = None

    def compile(self, model: keras.Model, optimizer: keras.optimizers.Optimizer | str) -> None:
        """Compiles a model, ready to be trained and evaluated.

        Args:
            model: the model; what it was compiled with before is replaced.
            optimizer: its optimizer.

        Raises:
            UserError: if a metric cannot be copied.
        """
        metrics, weighted = tf.nest.map_structure(_fresh, (self.metrics, self.weighted_metrics))
        model.compile(
            optimizer,
            self.loss,
            metrics=metrics,
            weighted_metrics=weighted,
            loss_weights=self.loss_weights,
        )

    @property
    def parts(self) -> list[Any]:
        """The losses and metrics, in one list."""
        parts = tf.nest.flatten((self.loss, self.metrics, self.weighted_metrics))
        return [part for part in parts if part is not None]

    def describe(self) -> str:
        """Returns the loss and the metrics as a text that differs where they differ."""
        parts = (self.loss, self.metrics or self.weighted_metrics, self.loss_weights)
        if self.metrics and self.weighted_metrics:
            parts += (self.weighted_metrics,)
        return json.dumps(tf.nest.map_structure(_name, parts), sort_keys=True)

    def metric(
        self, model: keras.Model, name: str | None = None, higher_is_better: bool | None = None
    ) -> Metric:
        """Returns the metric that a model is judged by.

        Args:
            model: the model, which is compiled anew.
            name: the metric's; None for the first.
            higher_is_better: whether more of it is better; None if Keras's own metrics tell.

        Raises:
            UserError: if there is no such metric, or that is not known.
        """
        self.compile(model, "sgd")
        try:
            build_metrics(model)
        except ValueError as error:
            raise UserError(f"model {model.name}: its metrics do not fit: {error}") from None
        metrics = {metric.name: metric for metric in model.compiled_metrics.metrics}
        name = name or next(iter(metrics), "loss")
        if name == "loss":
            return Metric("loss", higher_is_better=False)
        if name not in metrics:
            raise UserError(
                f"--metric={name}: must be one of the metrics that the model was compiled with: "
                f"{', '.join([*metrics, 'loss'])}"
            )
        if higher_is_better is None:
            higher_is_better = _direction(metrics[name])
        return Metric.named(name, higher_is_better)


def build_metrics(model: keras.Model, targets: Any = None) -> None:
    """Lets Keras make the metrics that a model was compiled with, in its order.

    Args:
        model: the compiled model.
        targets: one example's, an array or structure of arrays [1, ...]; by default such as the
            outputs.
    """
    outputs = tf.nest.map_structure(
        lambda tensor: tf.zeros([n or 1 for n in tensor.shape]), model.output
    )
    container = model.compiled_metrics
    targets = container._conform_to_outputs(outputs, outputs if targets is None else targets)
    container.build(outputs, targets)


def judging_metric(model: keras.Model, name: str) -> keras.metrics.Metric | None:
    """Returns the metric object that a model is judged by; None if that is its loss.

    Args:
        model: a model whose metrics are built.
        name: the metric's.
    """
    metrics = model.compiled_metrics.metrics
    if not metrics or name == "loss":
        return None
    # Runs older than metrics named by output were judged by the first.
    return next((metric for metric in metrics if metric.name == name), metrics[0])


_LOSSES = keras.losses.mean_squared_error.__module__  # where Keras's losses are functions
CLASSIFICATION = Objective(keras.losses.SparseCategoricalCrossentropy(from_logits=True), "accuracy")


def objective_of(model: keras.Model) -> Objective:
    """Returns the objective that a model was compiled with, or classification's if it was not.

    Raises:
        UserError: if a loss does not average over the examples.
    """
    # Keras keeps the arguments of `compile`, as they were, here only.
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
    kept = (compiled[name] for name in ("loss", "metrics", "weighted_metrics", "loss_weights"))
    return Objective(*kept)


def _fresh(metric: Any) -> Any:
    """Returns a metric with a state of its own."""
    if isinstance(metric, keras.metrics.Metric):
        try:
            return type(metric).from_config(metric.get_config())
        except (TypeError, NotImplementedError) as error:
            raise UserError(
                f"metric {metric.name} ({type(metric).__name__}): cannot be copied ({error}); its "
                "class must have get_config with the arguments that it was made with"
            ) from None
    return metric


def _direction(metric: keras.metrics.Metric) -> bool | None:
    """Says whether more of one of Keras's metrics is better, whatever it was named.

    A loss is better the lower it is: as a loss, cosine_similarity is negative, as a metric not.
    """
    function = getattr(metric, "_fn", None)
    if isinstance(function, keras.losses.Loss) or _module(function) == _LOSSES:
        return False
    if function is not None and type(metric) is keras.metrics.MeanMetricWrapper:
        return known_direction(_short_name(function)) if _is_keras(function) else None
    return known_direction(type(metric).__name__) if _is_keras(type(metric)) else None


def _is_keras(value: Any) -> bool:
    return _module(value).split(".")[0] == "tf_keras"


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
