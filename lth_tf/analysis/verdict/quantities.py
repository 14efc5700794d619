"""Quantities: what tickets are judged by, at early stopping or at marked iterations."""

import dataclasses
import math
from collections.abc import Callable

from lth_tf.analysis.verdict.verdict import Margins
from lth_tf.errors import UserError
from lth_tf.metric import ACCURACY, Metric
from lth_tf.runs.results import Result


@dataclasses.dataclass(frozen=True)
class Quantity:
    """Something that ticket and dense network are compared by.

    Attributes:
        name: what it is.
        measured: its value in a training.
        score: the same on the scale that it is tested on, where more is better.
        margin: how much lower a ticket's score may be.
        is_ratio: whether it is compared as a ratio; the score is then the negative logarithm.
    """

    name: str
    measured: Callable[[Result], float]
    score: Callable[[Result], float]
    margin: float
    is_ratio: bool = False


Earlier = Callable[[Result], int]


def at_early_stopping(
    margins: Margins, grid: int, metric: Metric = ACCURACY, earlier: Earlier | None = None
) -> list[Quantity]:
    """Returns the test metric at early stopping and the early-stopping iteration.

    Args:
        margins: how much worse a ticket may be.
        grid: iterations between evaluations, and the smallest iteration that is counted.
        metric: what the network is judged by.
        earlier: the iterations of the trainings before, which the weights come from and which
            count; None where no weights are kept.
    """

    def accuracy(result: Result) -> float:
        return result.test_accuracy_at_early_stop

    def gain(result: Result) -> float:
        return metric.gain(accuracy(result))

    def iteration(result: Result) -> int:
        return result.early_stop_iteration + (earlier(result) if earlier else 0)

    def speed(result: Result) -> float:
        return -math.log(max(iteration(result), grid))

    slack = math.log1p(margins.iterations)
    stop = "early-stopping iteration" + (", earlier trainings included" if earlier else "")
    return [
        Quantity(f"test {metric.label} at early stopping", accuracy, gain, margins.accuracy),
        Quantity(stop, iteration, speed, slack, is_ratio=True),
    ]


def at_mark(mark: int, margins: Margins, metric: Metric = ACCURACY) -> Quantity:
    """Returns the test metric at a marked iteration.

    Args:
        mark: the iteration.
        margins: how much worse a ticket may be.
        metric: what the network is judged by.
    """

    def accuracy(result: Result) -> float:
        if mark not in result.test_accuracy_at:
            raise UserError(
                f"replicate {result.replicate}, level {result.level}, {result.arm}: must have a "
                f"test accuracy at the mark {mark}, has them at {sorted(result.test_accuracy_at)}"
            )
        return result.test_accuracy_at[mark]

    def gain(result: Result) -> float:
        return metric.gain(accuracy(result))

    name = f"test {metric.label} at iteration {mark:,}"
    return Quantity(name, accuracy, gain, margins.accuracy)
