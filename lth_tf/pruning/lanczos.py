"""The largest eigenvalues of a matrix of which only products with vectors are known (Lanczos)."""

from collections.abc import Callable

import numpy as np

_STEPS = 60  # at most
_TOLERANCE = 1e-3  # of the largest eigenvalue


def largest_eigenvalues(
    product: Callable[[np.ndarray], np.ndarray], start: np.ndarray, count: int = 1
) -> list[float]:
    """Returns the largest eigenvalues of a symmetric matrix, the largest first.

    It stops where their error is below a thousandth of the one that is largest in magnitude, or
    after 60 products. Of an eigenvalue that is there several times it finds one.

    Args:
        product: returns the matrix's product with a vector [n].
        start: a random vector [n].
        count: how many; fewer are returned where there are fewer.
    """
    basis = [_unit(np.asarray(start, np.float32))]
    diagonal: list[float] = []
    beside: list[float] = []
    steps = min(_STEPS, len(start))
    while True:
        vector = np.asarray(product(basis[-1]), np.float32)
        diagonal.append(float(vector @ basis[-1]))
        # Twice: in float32 one pass leaves too much of the vectors before.
        for _ in range(2):
            for known in basis:
                vector = vector - (vector @ known) * known
        length = float(np.linalg.norm(vector))
        matrix = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
        values, vectors = np.linalg.eigh(matrix)
        scale = np.abs(values).max() or 1.0
        errors = length * np.abs(vectors[-1, ::-1][:count])
        is_exact = length <= 1e-6 * scale
        is_near = len(diagonal) >= count and errors.max() <= _TOLERANCE * scale
        if is_exact or is_near or len(diagonal) == steps:
            return [float(value) for value in values[::-1][:count]]
        beside.append(length)
        basis.append(_unit(vector))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
