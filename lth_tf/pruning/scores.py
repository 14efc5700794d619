"""Scores: what a weight is ranked by; the lowest are pruned.

A score is a function of a kernel's initial and final weights. The paper ranks by final magnitude;
the others are the criteria of Zhou et al. (2019), "Deconstructing Lottery Tickets".
A new score is one function and one line in `SCORES`.
"""

from collections.abc import Callable

import numpy as np

from lth_tf.errors import UserError

Score = Callable[[np.ndarray, np.ndarray], np.ndarray]

SCORES: dict[str, Score] = {
    "magnitude": lambda initial, final: np.abs(final),
    "small_final": lambda initial, final: -np.abs(final),
    "large_init": lambda initial, final: np.abs(initial),
    "small_init": lambda initial, final: -np.abs(initial),
    "large_init_large_final": lambda initial, final: np.minimum(np.abs(initial), np.abs(final)),
    "small_init_small_final": lambda initial, final: -np.maximum(np.abs(initial), np.abs(final)),
    "magnitude_increase": lambda initial, final: np.abs(final) - np.abs(initial),
    "movement": lambda initial, final: np.abs(final - initial),
    "same_sign": lambda initial, final: np.maximum(0, np.sign(initial) * final),
}


def score(name: str) -> Score:
    """Returns a score by name.

    Returns:
        A function of a kernel's initial and final weights (arrays of one shape) that gives their
        scores (an array of that shape).

    Raises:
        UserError: if there is no score of that name.
    """
    if name not in SCORES:
        raise UserError(f"--score={name}: must be one of {', '.join(SCORES)}")
    return SCORES[name]
