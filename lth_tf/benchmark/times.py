"""What a measurement gives: the time of an iteration, with validation and without."""

import time
from collections.abc import Callable
from typing import NamedTuple


class Times(NamedTuple):
    """Seconds of an iteration.

    Attributes:
        iteration: as the contestant trains.
        with_validation: with its share of a validation; None for one that cannot validate.
    """

    iteration: float
    with_validation: float | None


def add_validation(iteration: float, validate: Callable[[], object], eval_every: int) -> Times:
    """Times a validation and adds an iteration's share of it.

    Args:
        iteration: seconds of an iteration without validation.
        validate: validates, and returns when the result is known.
        eval_every: iterations that share a validation.
    """
    began = time.perf_counter()
    validate()
    validation = time.perf_counter() - began
    return Times(iteration, iteration + validation / eval_every)
