"""Ensembles: what several networks say together, by soft vote, and how good and sure that is.

Log-probabilities are float64 [members, examples, classes]; a vote is that of one ensemble,
[examples, classes]. In logarithms no probability is too small to have one.
"""

import itertools
import math

import numpy as np

# Of each size; all of them up to ten members.
_SUBSETS = math.comb(10, 5)
_BINS = 15  # Guo et al. (2017)
_RESAMPLES = 9_999
_CONFIDENCE = 0.95


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Returns the logarithms of the softmax over the last axis."""
    logits = np.asarray(logits, np.float64)
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def soft_vote(members: np.ndarray) -> np.ndarray:
    """Returns the logarithms of the members' mean probabilities."""
    return np.logaddexp.reduce(members, axis=0) - np.log(len(members))


def correct(vote: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Says for each example whether the likeliest class is its label; bool [..., examples].

    Args:
        vote: log-probabilities, float64 [..., examples, classes].
        labels: class indices, int [examples].
    """
    return vote.argmax(-1) == labels


def negative_log_likelihood(vote: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean of -log(probability of the label), in nats.

    Args:
        vote: log-probabilities of an ensemble, float64 [examples, classes].
        labels: class indices, int [examples].
    """
    return -float(vote[np.arange(len(labels)), labels].mean())


def calibration_error(vote: np.ndarray, labels: np.ndarray, bins: int = _BINS) -> float:
    """Returns the expected calibration error: the mean gap of confidence and accuracy.

    Examples are binned by the probability of their likeliest class, in bins of equal width that
    are closed above (Guo et al., 2017, equation 3).

    Args:
        vote: log-probabilities of an ensemble, float64 [examples, classes].
        labels: class indices, int [examples].
        bins: number of bins of confidence.
    """
    confidence = np.exp(vote.max(-1))
    # Where rounding takes a confidence above 1, the last bin has it.
    places = np.clip(np.ceil(confidence * bins) - 1, 0, bins - 1).astype(int)
    gaps = np.bincount(places, correct(vote, labels) - confidence)
    return float(np.abs(gaps).sum() / len(labels))


def disagreement(members: np.ndarray) -> float | None:
    """Returns the share of examples on which two members differ in class, mean over pairs.

    None of a single member.
    """
    classes = members.argmax(-1)
    pairs = itertools.combinations(classes, 2)
    shares = [float((one != other).mean()) for one, other in pairs]
    return sum(shares) / len(shares) if shares else None


def subsets(members: int, size: int, generator: np.random.Generator) -> list[tuple[int, ...]]:
    """Lists the subsets of a size, or, where there are more than 252, as many at random.

    Args:
        members: number of members.
        size: members in each subset.
        generator: where the randomness comes from.
    """
    if math.comb(members, size) <= _SUBSETS:
        return list(itertools.combinations(range(members), size))
    drawn = (generator.choice(members, size, replace=False) for _ in range(_SUBSETS))
    return [tuple(sorted(map(int, subset))) for subset in drawn]


def bootstrap(values: np.ndarray, generator: np.random.Generator) -> tuple[float, float]:
    """Returns the 95 % percentile bootstrap interval of a mean over test examples.

    A resample's mean depends only on how often it draws each value; these counts are multinomial,
    and as the values are few, drawing them is much faster than drawing examples.

    Args:
        values: one per example, of few different ones, such as correct or not.
        generator: where the randomness comes from.
    """
    distinct, counts = np.unique(values, return_counts=True)
    drawn = generator.multinomial(len(values), counts / len(values), _RESAMPLES)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(drawn @ distinct / len(values), [tail, 1 - tail])
    return float(low), float(high)
