"""Metrics: which are better the lower they are, and how their values are written."""

import inspect
import re

import pytest
import tf_keras as keras
from hypothesis import given
from hypothesis import strategies as st

from lth_tf.errors import UserError
from lth_tf.metric import ACCURACY, Metric, known_direction
from lth_tf.runs.results import COLUMNS, METRICS, NEWER, at_mark

ERROR = Metric.named("mean_absolute_error")
VALUES = st.floats(-1e6, 1e6)


# Arguments of metrics that need some; these have no direction.
ARGUMENTS = {
    "num_classes": 2, "target_class_ids": [0, 1], "normalizer": [1.0, 1.0],
    "recall": 0.5, "precision": 0.9, "specificity": 0.5, "sensitivity": 0.5,
}  # fmt: skip
NEITHER = ("Metric", "Mean", "Sum", "MeanTensor", "MeanMetricWrapper")


KINDS = sorted(
    name
    for name, kind in vars(keras.metrics).items()
    if inspect.isclass(kind) and issubclass(kind, keras.metrics.Metric) and name not in NEITHER
)


@pytest.mark.parametrize("kind", KINDS)
def test_the_directions_of_keras_own_metrics_are_as_keras_computes_them(kind):
    known = ARGUMENTS | ({"k": 1} if "TopK" in kind else {})
    make = getattr(keras.metrics, kind)
    taken = inspect.signature(make).parameters.keys() & known.keys()
    metric = make(**{argument: known[argument] for argument in taken})
    labels, right = [[1.0, 0.0], [0.0, 1.0]], [[0.9, 0.1], [0.2, 0.8]]
    if kind in ("IoU", "MeanIoU", "Accuracy"):
        right = labels  # these take classes for predictions
    wrong = right[::-1]
    if "Sparse" in kind:
        labels = [0, 1]
    scores = []
    for predictions in (right, wrong):
        metric.reset_state()
        metric.update_state(labels, predictions)
        scores.append(float(keras.backend.mean(metric.result())))
    assert scores[0] != scores[1]
    higher = scores[0] > scores[1]
    assert known_direction(kind) is higher
    name = re.sub(r"_\d+$", "", metric.name)  # Keras numbers those made before in this process
    for known in (name, f"{name}_1", f"{name}_12"):
        assert Metric.named(known) == Metric(known, higher)


@pytest.mark.parametrize(
    ("names", "higher"),
    [
        ("logcosh log_cosh huber huber_loss kld brier_score perplexity poisson hinge mse mae mape "
         "msle crossentropy ce loss binary_focal_crossentropy MSE", False),
        ("acc accuracy AUC auc_1 precision_2 f1_score iou r2_score cosine_proximity", True),
    ],
)  # fmt: skip
def test_other_spellings_and_losses(names, higher):
    for name in names.split():
        assert Metric.named(name) == Metric(name, higher)


def test_cosine_proximity_is_the_similarity_itself_in_keras_2():
    same = keras.metrics.get("cosine_proximity")([[1.0, 0.0]], [[1.0, 0.0]])
    assert float(same[0]) == 1


@pytest.mark.parametrize("name", ["snr", "score_loss", "my_accuracy", "mean", "false"])
def test_a_name_that_is_not_keras_s_own_says_nothing(name):
    with pytest.raises(UserError, match=f"metric {name}: .*higher_is_better=True or False"):
        Metric.named(name)
    assert Metric.named(name, True) == Metric(name, True)
    assert Metric.named(name, False) == Metric(name, False)


@given(VALUES, VALUES)
def test_gains_order_values_as_the_metric_does(one, other):
    assert (ACCURACY.gain(one) > ACCURACY.gain(other)) == (one > other)
    assert (ERROR.gain(one) > ERROR.gain(other)) == (one < other)


def test_accuracies_are_in_per_cent_and_points():
    written = (ACCURACY.text(0.97654), ACCURACY.text(0.97654, 1), ACCURACY.number(0.97654))
    assert written == ("97.65%", "97.7%", "97.65")
    assert ACCURACY.difference(0.0012) == "+0.12" and ACCURACY.difference(-1e-9) == "+0.00"


@pytest.mark.parametrize(
    ("value", "number", "difference"),
    [
        (0.0312345, "0.03123", "+0.0312"), (2.0, "2.000", "+2.00"), (123.456, "123.5", "+123"),
        (1_234_567.8, "1,234,568", "+1,234,568"), (-0.5, "-0.5000", "-0.500"),
        (9_999.9, "10,000", "+10,000"), (999.99, "1000", "+1,000"), (-0.0, "0.000", "+0.00"),
    ],
)  # fmt: skip
def test_other_metrics_are_plain_numbers(value, number, difference):
    assert ERROR.text(value) == ERROR.number(value) == number
    assert ERROR.difference(value) == difference


@given(VALUES)
def test_no_per_cent_on_other_metrics(value):
    written = [ERROR.text(value), ERROR.short(value), ERROR.difference(value), ERROR.unit]
    assert "%" not in "".join(written) and "e+" not in "".join(written)


@pytest.mark.parametrize("name", ["mae", "loss", "f1.score(x)", "test_accuracy", "mean", "final"])
@given(quantity=st.sampled_from([*COLUMNS, *NEWER, *METRICS, at_mark(100), "density of accuracy"]))
def test_a_column_goes_by_the_metrics_name_and_back(name, quantity):
    metric = Metric(name)
    column = metric.column(quantity)
    assert metric.quantity(column) == quantity
    assert (column == quantity) == (metric.is_fraction or "_accuracy" not in quantity)
    header = [*COLUMNS, *METRICS, *NEWER, at_mark(100)]
    assert len({metric.column(each) for each in header}) == len(set(header))
