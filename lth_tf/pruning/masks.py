"""Masks: which weights a round removes, the lowest-scored, and that their number is exact.

How many remain where is a density's to say (`lth_tf.pruning.densities`). Ties go by kernel order,
then flat index: the earlier weight goes first. Masks are dicts from kernel name to a boolean array,
True where the weight stays; kernels that are never pruned have no mask.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from lth_tf.errors import UserError
from lth_tf.pruning.densities import DENSITIES, Counts, Density

Masks = dict[str, np.ndarray]


def remaining_by_round(
    shapes: Mapping[str, tuple[int, ...]], rates: Mapping[str, float], scope: str, rounds: int
) -> list[int]:
    """Counts the weights that remain after each round, before anything is trained.

    Args:
        shapes: shape of each kernel, those that are never pruned included.
        rates: pruning rate of each kernel, 0 for never.
        scope: one of `DENSITIES`.
        rounds: number of prunings.

    Returns:
        `rounds + 1` counts over all kernels, the dense network's first.

    Raises:
        UserError: if there is no such scope, or the rates do not fit it.
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    untouched = sum(size for name, size in sizes.items() if not rates[name])
    planned = _rounds(scope, shapes, rates, sizes, rounds)
    return [untouched + sum(counts.values()) for counts in planned]


def counts_after(
    masks: Mapping[str, np.ndarray], rates: Mapping[str, float], scope: str, rounds: int = 1
) -> Counts:
    """Counts the weights that remain after some more rounds, by the kernels ranked together.

    Args:
        masks: the masks before, by kernel.
        rates: pruning rate of each kernel, 0 for never.
        scope: one of `DENSITIES`.
        rounds: number of prunings.

    Raises:
        UserError: if there is no such scope, or the rates do not fit it.
    """
    shapes = {name: mask.shape for name, mask in masks.items()}
    left = {name: int(np.count_nonzero(mask)) for name, mask in masks.items()}
    *_, counts = _rounds(scope, shapes, rates, left, rounds)
    return counts


def in_steps(masks: Mapping[str, np.ndarray], counts: Counts, steps: int) -> Iterator[Counts]:
    """Yields what remains after each of a number of steps, down to some counts.

    After step k of n, `(kept / remaining) ** (k / n)` of what remained is left.

    Args:
        masks: the masks before.
        counts: what remains in the end, by the kernels ranked together.
        steps: the number of steps.
    """
    before = {group: sum(int(masks[name].sum()) for name in group) for group in counts}
    for step in range(1, steps):
        share = step / steps
        yield {g: round(n * (counts[g] / n) ** share) if n else 0 for g, n in before.items()}
    yield counts


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
        scope: how many weights each kernel keeps: "layer" goes by its own rate, "global" ranks
            all kernels together, "uniform" and "erk" share out what remains by size and shape.

    Returns:
        New masks for the kernels in `masks`; each is a subset of the old one.

    Raises:
        UserError: if a remaining weight's score is not a number, or the rates do not fit the scope.
    """
    return prune_to(scores, masks, counts_after(masks, rates, scope))


def prune_to(
    scores: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray], counts: Counts
) -> Masks:
    """Removes the lowest-scored of the remaining weights until some counts are left.

    Args:
        scores: score of each weight, by kernel.
        masks: the masks before, by kernel.
        counts: how many weights remain, by the kernels ranked together.

    Returns:
        New masks for the kernels in `masks`; each is a subset of the old one.

    Raises:
        UserError: if a kernel's scores are missing, of another shape, or not numbers.
    """
    pruned = dict(masks)
    for names, count in counts.items():
        alive = np.concatenate([_alive(scores, masks[name], name) for name in names])
        if np.isnan(alive).any():
            raise UserError(f"{', '.join(names)}: scores must be numbers, but some are not (nan)")
        stays = _highest(alive, count)
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


def _rounds(
    scope: str,
    shapes: Mapping[str, tuple[int, ...]],
    rates: Mapping[str, float],
    left: Mapping[str, int],
    rounds: int,
) -> Iterator[Counts]:
    """Yields what remains of the prunable kernels now, then after each of some rounds."""
    density = DENSITIES[scope]()
    prunable = {name: rate for name, rate in rates.items() if rate > 0}
    shapes = {name: shapes[name] for name in prunable}
    counts = {group: sum(left[name] for name in group) for group in density.groups(prunable)}
    yield counts
    for _ in range(rounds):
        counts = _keep(density, shapes, prunable, counts)
        yield counts


def _keep(
    density: Density,
    shapes: Mapping[str, tuple[int, ...]],
    rates: Mapping[str, float],
    left: Counts,
) -> Counts:
    if not left:
        return {}
    kept = density.keep(shapes, rates, left)
    for group, count in left.items():
        if not 0 <= kept.get(group, -1) <= count:
            raise UserError(
                f"--scope={density.name}: must keep 0 to {count} weights of {', '.join(group)}, "
                f"but keeps {kept.get(group)}"
            )
    return kept


def _alive(scores: Mapping[str, np.ndarray], mask: np.ndarray, name: str) -> np.ndarray:
    """Returns the scores of a kernel's remaining weights."""
    found = np.shape(scores[name]) if name in scores else "none"
    if found != mask.shape:
        raise UserError(f"{name}: must have scores of shape {mask.shape}, found {found}")
    return np.asarray(scores[name])[mask]


def _highest(scores: np.ndarray, count: int) -> np.ndarray:
    """Returns which scores are the highest, some number of them."""
    stays = np.ones(scores.size, bool)
    removed = scores.size - count
    if removed:
        cutoff = np.partition(scores, removed - 1)[removed - 1]
        np.greater_equal(scores, cutoff, out=stays)
        below = scores.size - np.count_nonzero(stays)
        stays[np.flatnonzero(scores == cutoff)[: removed - below]] = False
    return stays
