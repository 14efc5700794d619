"""Masks are packed into bits and back."""

import numpy as np
from hypothesis import given
from hypothesis.extra import numpy as hnp

from lth_tf.pruning.packing import pack, unpack


@given(hnp.arrays(bool, hnp.array_shapes(max_dims=4, max_side=7)))
def test_packing_loses_nothing(mask):
    np.testing.assert_array_equal(unpack(pack(mask), mask.shape), mask)


def test_the_first_weight_is_the_highest_bit():
    assert pack(np.array([[1, 0], [0, 0], [0, 0], [0, 1], [1, 0]], bool)).tolist() == [129, 128]
