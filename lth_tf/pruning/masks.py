"""Masks: how many weights a round removes, exactly, and which.

A round removes `round(rate x remaining)` weights, from each kernel by its own rate or, in global
scope, from all prunable kernels together. Ties go by kernel order, then flat index: the earlier
weight goes first. Masks are dicts from kernel name to a boolean array, True where the weight
stays; kernels that are never pruned have no mask.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from lth_tf.errors import UserError

Masks = dict[str, np.ndarray]


def remaining_by_round(
    sizes: Mapping[str, int], rates: Mapping[str, float], scope: str, rounds: int
) -> list[int]:
    """Counts the weights that remain after each round, before anything is trained.

    Args:
        sizes: number of weights of each kernel, those that are never pruned included.
        rates: pruning rate of each kernel, 0 for never.
        scope: "layer" or "global".
        rounds: number of prunings.

    Returns:
        `rounds + 1` counts over all kernels, the dense network's first.
    """
    left = [remaining_by_group(sizes, rates, scope, n) for n in range(rounds + 1)]
    untouched = sum(sizes.values()) - sum(left[0].values())
    return [untouched + sum(counts.values()) for counts in left]


def remaining_by_group(
    sizes: Mapping[str, int], rates: Mapping[str, float], scope: str, rounds: int
) -> dict[tuple[str, ...], int]:
    """Counts the weights that some rounds leave of kernels that are ranked together.

    Args:
        sizes: number of weights of each kernel.
        rates: pruning rate of each kernel, 0 for never.
        scope: "layer" or "global".
        rounds: number of prunings.

    Returns:
        Counts by the kernels' names; those that are never pruned are not there.
    """
    counts = {}
    for rate, names in _groups(rates, scope).values():
        left = sum(sizes[name] for name in names)
        for _ in range(rounds):
            left -= round(rate * left)
        counts[tuple(names)] = left
    return counts


def prune(
    scores: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
    rates: Mapping[str, float],
    scope: str,
) -> Masks:
    """Removes the lowest-scored of the remaining weights, one round's worth.

    Args:
        scores: score of each weight, by kernel.
        masks: the masks of the round before, by kernel.
        rates: pruning rate of each kernel, 0 for never.
        scope: "layer" ranks within each kernel, "global" over all of them.

    Returns:
        New masks for the kernels in `masks`; each is a subset of the old one.

    Raises:
        UserError: if a remaining weight's score is not a number, or the rates do not fit the scope.
    """
    left = {}
    for rate, names in _groups(rates, scope).values():
        alive = sum(np.count_nonzero(masks[name]) for name in names)
        left[tuple(names)] = alive - round(rate * alive)
    return prune_to(left, scores, masks)


def prune_to(
    left: Mapping[tuple[str, ...], int],
    scores: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
) -> Masks:
    """Removes the lowest-scored of the remaining weights until no more than a number are left.

    Args:
        left: how many weights to leave of kernels that are ranked together, by their names.
        scores: score of each weight, by kernel.
        masks: the masks before, by kernel.

    Returns:
        New masks for the kernels in `masks`; each is a subset of the old one.

    Raises:
        UserError: if a remaining weight's score is not a number.
    """
    pruned = dict(masks)
    for names, count in left.items():
        alive = np.concatenate([np.asarray(scores[name])[masks[name]] for name in names])
        stays = _highest(alive, count, names)
        ends = np.cumsum([np.count_nonzero(masks[name]) for name in names])[:-1]
        for name, part in zip(names, np.split(stays, ends), strict=True):
            pruned[name] = masks[name].copy()
            pruned[name][masks[name]] = part
    return pruned


def random_masks(masks: Mapping[str, np.ndarray], rng: np.random.Generator) -> Masks:
    """Returns random masks that keep as many weights of each kernel as some masks do.

    With a generator at the same place, the masks for smaller counts lie within those for larger.

    Args:
        masks: masks by kernel.
        rng: what the kernels' weights are ranked by.
    """
    found = {}
    for name, mask in masks.items():
        kept = np.zeros(mask.size, bool)
        kept[rng.permutation(mask.size)[: np.count_nonzero(mask)]] = True
        found[name] = kept.reshape(mask.shape)
    return found


def pack(mask: np.ndarray) -> np.ndarray:
    """Packs a boolean mask, in flat order, eight weights to a byte (first weight highest bit)."""
    return np.packbits(mask)


def unpack(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the boolean mask of a shape that `pack` packed."""
    return np.unpackbits(packed, count=int(np.prod(shape))).astype(bool).reshape(shape)


def _groups(rates: Mapping[str, float], scope: str) -> dict[str, tuple[float, list[str]]]:
    """Groups the prunable kernels that are ranked together, with the group's rate."""
    prunable = {name: rate for name, rate in rates.items() if rate > 0}
    if scope == "layer":
        return {name: (rate, [name]) for name, rate in prunable.items()}
    if len(set(prunable.values())) > 1:
        found = ", ".join(f"{rate:g}" for rate in sorted(set(prunable.values())))
        raise UserError(
            f"--scope=global: must have one rate for all prunable kernels, not {found}; "
            "make --prune_conv, --prune_dense and --prune_output equal, or 0"
        )
    return {"all": (next(iter(prunable.values())), list(prunable))} if prunable else {}


def _highest(scores: np.ndarray, left: int, names: Iterable[str]) -> np.ndarray:
    """Returns which of the scores are the highest, as many as are to be left."""
    if np.isnan(scores).any():
        raise UserError(f"{', '.join(names)}: scores must be numbers, but some are not (nan)")
    stays = np.ones(scores.size, bool)
    count = scores.size - left
    if count > 0:
        cutoff = np.partition(scores, count - 1)[count - 1]
        np.greater_equal(scores, cutoff, out=stays)
        below = scores.size - np.count_nonzero(stays)
        stays[np.flatnonzero(scores == cutoff)[: count - below]] = False
    return stays
