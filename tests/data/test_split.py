"""Tests of the split into training and validation examples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lth_tf.data import split
from lth_tf.errors import UserError


@given(st.data(), st.integers(2, 300), st.integers(0, 2**32))
def test_every_example_is_in_one_part(data, size, seed):
    validation_size = data.draw(st.integers(1, size - 1))
    parts = split(size, validation_size, np.random.default_rng(seed))
    assert [len(part) for part in parts] == [size - validation_size, validation_size]
    assert all((np.diff(part) > 0).all() for part in parts)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(size))
    again = split(size, validation_size, np.random.default_rng(seed))
    np.testing.assert_array_equal(parts[1], again[1])


def test_every_example_is_drawn_equally_often():
    generator = np.random.default_rng(0)
    drawn = sum(np.bincount(split(20, 5, generator)[1], minlength=20) for _ in range(4000))
    assert abs(drawn - 1000).max() < 5 * np.sqrt(4000 * 0.25 * 0.75)


@pytest.mark.parametrize("validation_size", [-1, 0, 100, 101])
def test_a_split_that_leaves_nothing_is_refused(validation_size):
    with pytest.raises(UserError, match=rf"--validation_size={validation_size} .* 1 to 99"):
        split(100, validation_size, np.random.default_rng(0))


@pytest.mark.parametrize("size", [0, 1])
def test_fewer_than_two_examples_are_refused(size):
    with pytest.raises(UserError, match=rf"from {size} training .*: there must be at least 2"):
        split(size, 1, np.random.default_rng(0))
