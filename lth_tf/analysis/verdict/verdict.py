"""Verdict: what is found on an experiment's tickets; `lth_tf.analysis.verdict.judging` finds it.

Accuracies and their differences are fractions; ratios are ticket over what it is compared with.
Where a network is judged by another metric, that is meant where "accuracy" is said, and differences
are counted so that they are positive where the ticket is better.
"""

import dataclasses
import enum
import math
import re
import statistics
from collections.abc import Sequence

from lth_tf.analysis.verdict.statistics import Estimate
from lth_tf.errors import UserError
from lth_tf.metric import ACCURACY, Metric
from lth_tf.runs.experiment import DENSE
from lth_tf.runs.results import Result

_MNIST_LIKE = ("mnist", "mnist_5k", "fashion_mnist", "kmnist")
_SHARE = 0.01


@dataclasses.dataclass(frozen=True)
class Margins:
    """How much worse a ticket may be and still pass, and where that is said, set before looking.

    Attributes:
        accuracy: by how much its test accuracy may be worse, a fraction (0.002: 0.2 points).
        iterations: by which share of j it may stop later, a fraction.
        is_share: whether `accuracy` was taken as a share of the dense networks' mean.
        claim_density: the most of the weights that a ticket of the claim has, a fraction: the
            hypothesis is of tickets with ||m||_0 << |theta| (Section 1).
    """

    accuracy: float
    iterations: float
    is_share: bool = False
    claim_density: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.claim_density <= 1:
            raise UserError(
                f"--claim_density={self.claim_density:g}: must be a share of the weights, above 0 "
                "and at most 1, as 0.25 is"
            )
        for name in ("accuracy", "iterations"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise UserError(
                    f"margin of {name}: must be a finite number, 0 or more, not {value}"
                )


def margins_for(dataset: str) -> Margins:
    """Returns a data set's margins: 0.2 points if it is like MNIST, else 0.5; and 10 %.

    Args:
        dataset: its name, perhaps with TFDS's config and version.
    """
    like_mnist = re.split("[/:]", dataset)[0] in _MNIST_LIKE
    return Margins(accuracy=0.002 if like_mnist else 0.005, iterations=0.10)


def share_of_dense(margins: Margins, results: Sequence[Result]) -> Margins:
    """Returns margins whose `accuracy` is a hundredth of the dense networks' mean.

    Points of accuracy mean nothing for a metric in other units.

    Args:
        margins: what else is allowed.
        results: finished trainings; without a dense network the margin is 0.
    """
    dense = [r.test_accuracy_at_early_stop for r in results if r.arm == DENSE]
    mean = abs(statistics.fmean(dense)) if dense else 0.0
    return dataclasses.replace(margins, accuracy=_SHARE * mean, is_share=True)


class Outcome(enum.StrEnum):
    """What the bounds say of an endpoint or a level, weakest first."""

    NOT_ENOUGH = "not enough replicates"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    SUPPORTED = "supported"
    SUPERIOR = "superior"

    @property
    def passes(self) -> bool:
        """Whether a fixed sequence goes on."""
        return self in (Outcome.SUPPORTED, Outcome.SUPERIOR)


class Tested(enum.StrEnum):
    """In which fixed sequence a level was tested; see `lth_tf.analysis.verdict.sequence`."""

    CLAIM = "claim"  # from the first level that is sparse enough for the claim, to sparser ones
    DENSER = "denser"  # from there to denser ones, no part of the claim
    NOT = "no"  # behind a level that did not pass: its outcome is for information


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One of the comparisons of ticket and dense network that a level must pass.

    Attributes:
        name: what is compared.
        is_ratio: whether the estimate is ticket / dense, j'/j; else it is ticket - dense, a' - a,
            as a fraction.
        estimate: of the level's replicates, in their order.
        outcome: the endpoint's own.
        censored: whether the outcome is inconclusive because every lowest validation loss, of the
            tickets or of the dense networks, is at the last evaluation, whatever the bounds say.
    """

    name: str
    is_ratio: bool
    estimate: Estimate
    outcome: Outcome
    censored: bool = False


@dataclasses.dataclass(frozen=True)
class Effect:
    """The lottery effect: how a ticket compares with a control at the same level.

    Attributes:
        control: the control's kind, such as reinit; its draws in a replicate are averaged first,
            iterations by their logarithms.
        name: what is compared.
        is_ratio: whether the estimate is ticket / control; else it is ticket - control.
        replicates: those that have both.
        estimate: of these replicates, in their order.
        shown: whether the bound is strictly on the ticket's side of no effect. Iterations never
            are where every ticket's lowest validation loss is at the last evaluation.
    """

    control: str
    name: str
    is_ratio: bool
    replicates: tuple[int, ...]
    estimate: Estimate
    shown: bool


@dataclasses.dataclass(frozen=True)
class Arm:
    """What was measured of an arm, without comparison.

    Attributes:
        replicates: those that have it.
        estimates: by name; accuracies as fractions, iterations as such, with arithmetic means.
        censored: in how many replicates a lowest validation loss is at the last evaluation, so that
            the true minimum may be later. 0 where accuracies at marks are judged.
    """

    replicates: tuple[int, ...]
    estimates: dict[str, Estimate]
    censored: int


@dataclasses.dataclass(frozen=True)
class LevelVerdict:
    """The verdict on the tickets of a level.

    Attributes:
        level: its number.
        density: remaining over all kernel weights, mean over the tickets.
        replicates: those that have both the ticket and the dense network: K of them.
        endpoints: test accuracy first, then the early-stopping iteration, or the later marks;
            none if K is 0.
        outcome: the weakest of the endpoints'.
        tested: in which sequence it was tested.
        holding: in how many replicates all of a' >= a and j' <= j are known to hold together.
        holding_interval: the share's two-sided 95 % Clopper-Pearson interval.
        effects: the lottery effects, by control, then in the endpoints' order.
        arms: all arms of the level by kind, and the dense network of `replicates`.
    """

    level: int
    density: float
    replicates: tuple[int, ...]
    endpoints: tuple[Endpoint, ...]
    outcome: Outcome
    tested: Tested
    holding: int
    holding_interval: tuple[float, float]
    effects: tuple[Effect, ...]
    arms: dict[str, Arm]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The verdict on an experiment.

    Attributes:
        margins: what it was judged by.
        levels: every level that has tickets, dense to sparse.
        dense: the dense networks of all replicates; None if there is none.
        metric: what is said of accuracies holds of.
        keeps_weights: whether what is called tickets here went on from trained weights, and is
            none: iterations are then those of all its trainings.
        prunes_while_training: whether its masks were made in its only training, so that it is none.
    """

    margins: Margins
    levels: tuple[LevelVerdict, ...]
    dense: Arm | None
    metric: Metric = ACCURACY
    keeps_weights: bool = False
    prunes_while_training: bool = False

    @property
    def is_of_tickets(self) -> bool:
        """Whether what was judged are tickets in the paper's sense."""
        return not (self.keeps_weights or self.prunes_while_training)

    @property
    def claimed(self) -> tuple[LevelVerdict, ...]:
        """The levels of the claim: those that passed before any that did not, dense to sparse."""
        return tuple(v for v in self.levels if v.tested is Tested.CLAIM and v.outcome.passes)

    @property
    def first(self) -> LevelVerdict | None:
        """The level that the claim's sequence begins with; None if no level is so sparse."""
        return next((v for v in self.levels if v.tested is Tested.CLAIM), None)

    @property
    def subject(self) -> str:
        """What is compared with the dense network."""
        return "ticket" if self.is_of_tickets else "pruned network"
