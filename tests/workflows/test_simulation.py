"""A simulated plan is never faster than what it is bound by, and never lazier than it must be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lth_tf.workflows.simulation import critical_path, time_taken


@st.composite
def plans(draw):
    """Seconds by number, and which earlier number each needs, if any."""
    seconds = draw(st.lists(st.floats(0.1, 100), min_size=1, max_size=40))
    needs = [draw(st.none() | st.integers(0, n - 1)) if n else None for n in range(len(seconds))]
    return dict(enumerate(seconds)), dict(enumerate(needs))


@given(plans(), st.integers(1, 50))
def test_a_plan_takes_no_less_than_its_bounds_and_no_more_than_grahams(plan, workers):
    seconds, needs = plan
    total, longest = sum(seconds.values()), critical_path(seconds, needs.get)
    taken = time_taken(seconds, needs.get, workers)
    assert taken >= max(longest, total / workers) - 1e-6
    # Graham (1969): no worker is idle while anything is ready.
    assert taken <= total / workers + (1 - 1 / workers) * longest + 1e-6


@given(plans())
def test_one_worker_takes_the_sum_and_one_for_each_takes_the_longest_chain(plan):
    seconds, needs = plan
    assert time_taken(seconds, needs.get, 1) == pytest.approx(sum(seconds.values()))
    enough = time_taken(seconds, needs.get, len(seconds))
    assert enough == pytest.approx(critical_path(seconds, needs.get))


def test_a_plan_worked_out_by_hand():
    # Two chains of 3 + 2 and 1 + 4 s, and 2 s that need nothing, on two workers:
    # a 0-3, b 0-1, then "alone" before what needs b, as it comes first: 1-3, c 3-5, d 3-7.
    seconds = {"a": 3.0, "b": 1.0, "alone": 2.0, "c": 2.0, "d": 4.0}
    needs = {"c": "a", "d": "b"}
    assert time_taken(seconds, needs.get, 2) == 7
    assert critical_path(seconds, needs.get) == 5


def test_what_needs_something_finished_before_is_ready():
    assert time_taken({"b": 1.0}, {"b": "a"}.get, 3) == 1
    assert time_taken({}, {}.get, 3) == critical_path({}, {}.get) == 0
