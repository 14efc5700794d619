"""An iteration's batch is a function of the iteration; chunks end where they must."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lth_tf.streams import Streams
from lth_tf.training.order import Order, chunk_ends


@st.composite
def orders(draw):
    size = draw(st.integers(1, 40))
    rows = np.random.default_rng(0).permutation(100)[:size]
    streams = Streams(draw(st.integers(0, 2**40)), replicate=0)
    batch = draw(st.integers(1, size))
    return Order(rows, batch, lambda epoch: streams.generator("order", 0, epoch), 11, 12)


@given(orders(), st.sets(st.integers(0, 120), min_size=2))
def test_batches_do_not_depend_on_where_a_range_is_cut(order, cuts):
    cuts = sorted(cuts)
    parts = [order.batches(a, b) for a, b in itertools.pairwise(cuts)]
    whole = order.batches(cuts[0], cuts[-1])
    assert whole.shape == (cuts[-1] - cuts[0], order.batch_size)
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@given(orders(), st.integers(0, 5))
def test_an_epoch_visits_each_example_at_most_once_and_leaves_out_the_remainder_only(order, epoch):
    per_epoch = len(order.rows) // order.batch_size
    visited = order.batches(epoch * per_epoch, (epoch + 1) * per_epoch).ravel()
    assert len(set(visited)) == len(visited) == per_epoch * order.batch_size
    assert set(visited) <= set(order.rows)
    assert len(order.rows) - len(visited) < order.batch_size


def test_epochs_and_rounds_differ_in_order_and_in_whom_they_leave_out():
    def epoch(round_, number):
        streams = Streams(0, 0)
        order = Order(np.arange(103), 10, lambda e: streams.generator("order", round_, e), 0, 0)
        return order.batches(10 * number, 10 * number + 10).ravel()

    drawn = [epoch(round_, number) for round_ in range(3) for number in range(3)]
    assert len({array.tobytes() for array in drawn}) == 9
    left_out = {frozenset(set(range(103)) - set(array)) for array in drawn}
    assert len(left_out) > 1


def test_the_data_set_delivers_the_chunks_as_they_are():
    order = Order(np.arange(50), 8, np.random.default_rng, 11, 12)
    ends = [5, 7, 20]
    delivered = list(order.dataset(2, ends).as_numpy_iterator())
    for chunk, start, end in zip(delivered, [2, 5, 7], ends, strict=True):
        np.testing.assert_array_equal(chunk["rows"], order.batches(start, end).T)
        np.testing.assert_array_equal(chunk["position"], np.arange(8))
        for name, value in (("first", start), ("augment_key", 11), ("dropout_key", 12)):
            np.testing.assert_array_equal(chunk[name], [value] * 8)


@given(st.integers(0, 60), st.integers(1, 60), st.integers(1, 70), st.lists(st.integers(0, 200)))
def test_chunks_end_at_multiples_at_marks_and_at_the_end(start, length, every, also):
    stop = start + length
    ends = chunk_ends(start, stop, every, also)
    assert ends == sorted(set(ends)) and ends[-1] == stop
    wanted = {i for i in range(start + 1, stop) if i % every == 0 or i in also}
    assert set(ends[:-1]) == wanted


@pytest.mark.parametrize(("every", "expected"), [(10, [10, 20, 25]), (100, [25])])
def test_chunk_ends_by_example(every, expected):
    assert chunk_ends(0, 25, every) == expected


def test_a_training_does_not_wait_for_the_tuner_of_its_input(make):
    # With it, `fit` returned up to twice as late as its last step was done.
    assert make().order.dataset(0, [10]).options().autotune.enabled is False
