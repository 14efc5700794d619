"""What replicates say of the mean: Student-t bounds, shares, and the test set's own error."""

import dataclasses
import math
import statistics
from collections.abc import Sequence

# scipy.special has the same quantiles as scipy.stats and is imported in a fraction of the time.
from scipy import special

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over replicates, its spread and its bounds, all in the unit of the values.

    Attributes:
        values: one per replicate.
        mean: their mean; the geometric one if they are ratios.
        lower: one-sided 95 % lower bound of the mean; None of a single replicate.
        upper: one-sided 95 % upper bound of the mean; None of a single replicate.
    """

    values: tuple[float, ...]
    mean: float
    lower: float | None
    upper: float | None

    @property
    def minimum(self) -> float:
        """The lower end of the paper's bars."""
        return min(self.values)

    @property
    def maximum(self) -> float:
        """The upper end of the paper's bars."""
        return max(self.values)


def estimate(values: Sequence[float]) -> Estimate:
    """Estimates a mean, with bounds `mean ± t(0.95, K - 1) * sd / sqrt(K)` of K replicates.

    Args:
        values: one per replicate, at least one.
    """
    # The module statistics computes exactly: equal values have a deviation of 0 and themselves as
    # mean, and the order of the replicates changes no bit.
    mean, count = statistics.mean(values), len(values)
    if count == 1:
        return Estimate(tuple(values), mean, None, None)
    quantile = float(special.stdtrit(count - 1, CONFIDENCE))
    margin = quantile * statistics.stdev(values) / math.sqrt(count)
    return Estimate(tuple(values), mean, mean - margin, mean + margin)


def estimate_ratio(logarithms: Sequence[float]) -> Estimate:
    """Estimates a ratio's geometric mean; the bounds are those of the logarithm.

    Args:
        logarithms: the ratio's natural logarithm, one per replicate, at least one.
    """
    found = estimate(logarithms)
    return Estimate(
        values=tuple(map(math.exp, found.values)),
        mean=math.exp(found.mean),
        lower=None if found.lower is None else math.exp(found.lower),
        upper=None if found.upper is None else math.exp(found.upper),
    )


def clopper_pearson(successes: int, trials: int) -> tuple[float, float]:
    """Returns the two-sided 95 % Clopper-Pearson interval of a probability.

    Args:
        successes: how many of the trials succeeded.
        trials: their number; of none the interval is all of 0 to 1.
    """
    failures, tail = trials - successes, (1 - CONFIDENCE) / 2
    lower = special.betaincinv(successes, failures + 1, tail) if successes else 0.0
    upper = special.betaincinv(successes + 1, failures, 1 - tail) if failures else 1.0
    return float(lower), float(upper)


def standard_error(accuracy: float, examples: int) -> float:
    """Returns the error that the test set's size leaves in one accuracy, a fraction.

    Differences of networks tested on the same examples are usually less uncertain than this.

    Args:
        accuracy: the test accuracy, a fraction.
        examples: number of test examples.
    """
    return math.sqrt(accuracy * (1 - accuracy) / examples)
