"""Eigenvalues from products alone are the matrix's."""

import numpy as np
import pytest

from lth_tf.pruning.lanczos import largest_eigenvalues


def matrix_of(values, seed=0):
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values),) * 2))
    return rotation * values @ rotation.T


@pytest.mark.parametrize(
    ("values", "count", "found"),
    [
        ([3.0, 1.0, 0.5], 1, [3.0]),
        ([3.0, 1.0, -7.0], 2, [3.0, 1.0]),  # the largest, not the largest in magnitude
        ([2.0], 3, [2.0]),
        ([0.0, 0.0], 1, [0.0]),
        ([-1.0, -2.0], 1, [-1.0]),
        ([*np.linspace(0, 1, 300), 5.0, 6.0], 2, [6.0, 5.0]),
    ],
)
def test_the_largest_eigenvalues(values, count, found):
    matrix = matrix_of(np.array(values))
    start = np.random.default_rng(1).normal(size=len(values))
    asked = []

    def product(vector):
        asked.append(vector)
        return matrix @ vector

    largest = largest_eigenvalues(product, start, count)
    assert largest == pytest.approx(found, rel=1e-3, abs=1e-6)
    assert len(asked) <= min(len(values), 30)
