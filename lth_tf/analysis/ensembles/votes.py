"""Votes: what was measured of ensembles, as rows of ensemble.csv."""

import dataclasses
import statistics
from collections.abc import Callable

import numpy as np

from lth_tf.analysis.ensembles import measures
from lth_tf.analysis.ensembles.groups import Group


@dataclasses.dataclass(frozen=True)
class Vote:
    """The soft vote of some of a group's members, mean over the subsets of a size.

    The names are the columns of ensemble.csv. Accuracies are fractions. Intervals are of 95 %, by
    bootstrap over test examples, and known of the whole group only.

    Attributes:
        group: what its members are.
        run: the run that they are from.
        level: the tickets' level that all groups are compared at.
        trainings: their folders in it, with a space between two.
        members: how many they are.
        size: how many of them vote.
        subsets: the number of subsets of this size that were measured.
        remaining: the voters' remaining kernel weights together, mean over the subsets.
        accuracy: the vote's test accuracy.
        negative_log_likelihood: the vote's, in nats.
        calibration_error: the vote's expected calibration error.
        disagreement: the share of test examples on which two voters differ; None of one.
        accuracy_low: lower end of the accuracy's interval.
        accuracy_high: its upper end.
        gain: the vote's accuracy minus the members' mean one.
        gain_low: lower end of the gain's interval.
        gain_high: its upper end.
    """

    group: str
    run: str
    level: int
    trainings: str
    members: int
    size: int
    subsets: int
    remaining: float
    accuracy: float
    negative_log_likelihood: float
    calibration_error: float
    disagreement: float | None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None


def measure(
    group: Group, logits: np.ndarray, labels: np.ndarray, generator: np.random.Generator
) -> list[Vote]:
    """Measures the soft votes of a group's members, and of subsets from one member on.

    Args:
        group: who they are.
        logits: [members, examples, classes].
        labels: the test examples' classes, int [examples].
        generator: where the randomness of subsets and resamples comes from.
    """
    members, count = measures.log_probabilities(logits), len(logits)
    votes = [_of_size(group, members, labels, k, generator) for k in range(1, count + 1)]
    alone = measures.correct(members, labels).sum(0) / count
    together = measures.correct(measures.soft_vote(members), labels)
    low, high = measures.bootstrap(together, generator)
    gain_low, gain_high = measures.bootstrap(together - alone, generator)
    votes[-1] = dataclasses.replace(
        votes[-1],
        accuracy_low=low,
        accuracy_high=high,
        gain=float((together - alone).mean()),
        gain_low=gain_low,
        gain_high=gain_high,
    )
    return votes


def _of_size(
    group: Group,
    members: np.ndarray,
    labels: np.ndarray,
    size: int,
    generator: np.random.Generator,
) -> Vote:
    chosen = measures.subsets(len(members), size, generator)
    votes = [measures.soft_vote(members[list(subset)]) for subset in chosen]
    differing = [measures.disagreement(members[list(subset)]) for subset in chosen if size > 1]

    def mean(quantity: Callable[[np.ndarray, np.ndarray], float]) -> float:
        return statistics.fmean(quantity(vote, labels) for vote in votes)

    return Vote(
        group=group.name,
        run=group.run.name,
        level=group.level,
        trainings=" ".join(training.path for training in group.trainings),
        members=len(members),
        size=size,
        subsets=len(chosen),
        remaining=size * group.remaining / len(members),
        accuracy=mean(lambda vote, labels: measures.correct(vote, labels).mean()),
        negative_log_likelihood=mean(measures.negative_log_likelihood),
        calibration_error=mean(measures.calibration_error),
        disagreement=statistics.fmean(differing) if differing else None,
    )
