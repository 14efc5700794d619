"""Apportionment: dividing a number of weights among kernels, in whole weights and exactly."""

from collections.abc import Hashable, Mapping
from fractions import Fraction
from typing import TypeVar

_K = TypeVar("_K", bound=Hashable)


def apportion(shares: Mapping[_K, int], limits: Mapping[_K, int], total: int) -> dict[_K, int]:
    """Divides a total in proportion to shares, but for limits.

    By Webster's method: the n-th weight of a kernel of share s stands at `(n - 1/2) / s`, and the
    total goes to those that stand first; of equal ones, to the earlier kernel's. So the counts add
    up, each differs little from its exact part, and, unlike parts that are rounded by their largest
    remainders, none grows where the total shrinks: masks can be nested.

    Args:
        shares: what the counts are in proportion to, positive.
        limits: the most that each can have.
        total: the sum of the counts, at most that of the limits.
    """
    level = _level(shares, limits, total)
    counts = {key: min(limit, (2 * level * shares[key] + 1) // 2) for key, limit in limits.items()}
    order = {key: place for place, key in enumerate(limits)}

    def stands(key: _K, weight: int) -> tuple[Fraction, int]:
        return Fraction(2 * weight - 1, shares[key]), order[key]

    while (missing := total - sum(counts.values())) != 0:
        if missing > 0:
            fillable = [key for key in counts if counts[key] < limits[key]]
            counts[min(fillable, key=lambda key: stands(key, counts[key] + 1))] += 1
        else:
            taken = [key for key in counts if counts[key]]
            counts[max(taken, key=lambda key: stands(key, counts[key]))] -= 1
    return counts


def _level(shares: Mapping[_K, int], limits: Mapping[_K, int], total: int) -> Fraction:
    """Returns the factor of the shares at which their parts, but for the limits, are the total."""
    free, left, level = set(shares), total, Fraction(0)
    while free:
        level = Fraction(left, sum(shares[key] for key in free))
        full = {key for key in free if level * shares[key] >= limits[key]}
        if not full:
            break
        free -= full
        left -= sum(limits[key] for key in full)
    return level
