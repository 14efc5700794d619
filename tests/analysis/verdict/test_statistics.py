"""Means of replicates and their bounds; the numbers are worked out in the comments."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lth_tf.analysis.verdict.statistics import (
    clopper_pearson,
    estimate,
    estimate_ratio,
    standard_error,
)

close = pytest.approx


def test_two_values():
    # Mean 2. Standard deviation sqrt(2), so its error is sqrt(2)/sqrt(2) = 1; t(0.95, 1) = 6.314.
    found = estimate([1.0, 3.0])
    assert (found.mean, found.minimum, found.maximum) == (2, 1, 3)
    assert (found.lower, found.upper) == close((2 - 6.3137515, 2 + 6.3137515))


def test_five_values():
    # Mean 4, median 3. Variance (25+9+1+1+4)/4 = 10, error sqrt(10/5) = 1.4142136, times
    # t(0.95, 4) = 2.1318468 is 3.0148866.
    found = estimate([9.0, 1.0, 5.0, 3.0, 2.0])
    assert found.mean == 4
    assert (found.lower, found.upper) == close((4 - 3.0148866, 4 + 3.0148866))
    assert found.values == (9, 1, 5, 3, 2)


def test_one_value_has_no_bounds():
    found = estimate([0.5])
    assert (found.mean, found.minimum, found.maximum) == (0.5, 0.5, 0.5)
    assert found.lower is None and found.upper is None
    ratio = estimate_ratio([math.log(0.5)])
    assert ratio.mean == close(0.5) and ratio.lower is None and ratio.upper is None


@pytest.mark.parametrize("value", [0.1, -0.3, 1 / 3])
def test_equal_values_are_their_own_bounds(value):
    found = estimate([value] * 3)
    assert found.lower == found.mean == found.upper == value


def test_a_ratio_has_its_geometric_mean():
    # 1/4 and 1: the mean is 1/2, not 5/8; log2: -1 -+ 6.3137515.
    found = estimate_ratio([math.log(0.25), 0.0])
    assert (found.mean, found.minimum, found.maximum) == close((0.5, 0.25, 1))
    assert (found.lower, found.upper) == close((2**-7.3137515, 2**5.3137515), rel=1e-6)


@pytest.mark.parametrize(
    ("successes", "trials", "interval"),
    [
        (5, 5, (0.025**0.2, 1)),  # p^5 = 0.025
        (0, 5, (0, 1 - 0.025**0.2)),  # (1-p)^5 = 0.025
        (1, 2, (1 - 0.975**0.5, 0.975**0.5)),  # 1-(1-p)^2 = 0.025, 1-p^2 = 0.025
        (2, 3, (0.0942993, 0.9915962)),  # 3p^2-2p^3 = 0.025, p^3 = 0.975
        (0, 0, (0, 1)),
    ],
)
def test_clopper_pearson(successes, trials, interval):
    assert clopper_pearson(successes, trials) == close(interval, rel=1e-5)


def test_the_error_of_the_test_set():
    assert standard_error(0.9, 10_000) == close(0.003)  # sqrt(0.9 * 0.1 / 10,000)
    assert standard_error(1.0, 10) == 0


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=8))
def test_bounds_contain_the_mean(values):
    for found in (estimate(values), estimate_ratio(values)):
        assert found.lower <= found.mean <= found.upper
