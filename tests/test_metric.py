"""Metrics: which are better the lower they are, and how their values are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lth_tf.metric import ACCURACY, Metric

ERROR = Metric.named("mean_absolute_error")
VALUES = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("name", "higher"),
    [
        ("mean_absolute_error", False), ("root_mean_squared_error", False), ("loss", False),
        ("mse", False), ("categorical_crossentropy", False), ("auc", True), ("r2_score", True),
        ("sparse_categorical_accuracy", True), ("cosine_similarity", True),
    ],
)  # fmt: skip
def test_a_name_tells_whether_more_is_better(name, higher):
    assert Metric.named(name) == Metric(name, higher)


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
