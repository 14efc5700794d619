"""Mask overlap: how alike masks are, between replicates, levels and runs, and by chance."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from lth_tf.analysis.figures import canvas
from lth_tf.analysis.figures.gallery import Picture
from lth_tf.analysis.pages.table import Table
from lth_tf.errors import UserError
from lth_tf.runs.experiment import TICKET, Training
from lth_tf.runs.run import Run, read_runs
from lth_tf.studies import STUDIES, Study
from lth_tf.studies.levels import (
    draw_against_density,
    grouped,
    lacks_tickets,
    mean,
    mean_text,
    short,
    values_by_density,
)

if TYPE_CHECKING:
    from lth_tf.lottery.opened_run import OpenedRun

REPLICATES, LEVELS = "replicates", "successive levels"
_ALL = "all layers"
_DEVIATIONS = 12  # what chance leaves further from the mean is less than float64 tells from 0
_COLUMNS = (
    "masks of", "level", "weights remaining (%)", "layer", "pairs",
    "Jaccard", "by chance", "Hamming", "by chance",
)  # fmt: skip
_NOTE = (
    "Jaccard: weights that both masks keep over those that either keeps; 1 if the masks are one. "
    "Hamming: the share of weights that one keeps and the other does not; 0 if they are one. By "
    "chance: the exact mean of random masks that keep as many weights of each layer. Means over "
    "the pairs. Tickets of successive levels lie within each other where one is pruned from the "
    "other: their overlap is the ratio of their densities."
)
_CAPTION = (
    "The share of the weights that either mask keeps which both keep, over all layers together. "
    "Means over the pairs; bands from minimum to maximum."
)


@dataclasses.dataclass(frozen=True)
class Overlap:
    """How alike two masks are in a layer, or in all together.

    Attributes:
        of: what is compared: replicates, successive levels, or this run and another, by its name.
        replicate: the first mask's.
        other_replicate: the second mask's.
        level: the first mask's.
        other_level: the second mask's.
        layer: the kernel's name, or "all layers".
        density: remaining over all weights of the first mask.
        jaccard: weights that both keep over those that either keeps.
        jaccard_by_chance: its mean over random masks that keep as many weights of each layer.
        hamming: weights that one of them keeps over all weights.
        hamming_by_chance: likewise.
    """

    of: str
    replicate: int
    other_replicate: int
    level: int
    other_level: int
    layer: str
    density: float
    jaccard: float
    jaccard_by_chance: float
    hamming: float
    hamming_by_chance: float


@STUDIES.register
@dataclasses.dataclass(frozen=True)
class MaskOverlap(Study):
    """Compares masks with each other, and with what chance does.

    Attributes:
        beside: directories of other runs, of another criterion say, whose tickets are compared with
            this run's of the same replicate and level.
    """

    beside: tuple[str, ...] = ()

    name = "mask_overlap"
    title = "overlap of masks"
    help = (
        "how many weights the masks of two replicates, of successive levels or of two runs have in "
        "common (Jaccard, normalised Hamming), beside random masks of the same layer-wise densities"
    )
    row = Overlap
    place = 4

    def lacks(self, run: Run) -> str:
        """See `Study`."""
        if lacks := super().lacks(run) or lacks_tickets(run):
            return lacks
        counts = {(r.replicate, r.level) for r in run.results if r.arm == TICKET}
        return "" if len(counts) > 1 or self.beside else "It needs two finished tickets."

    def compute(self, run: "OpenedRun") -> list[Overlap]:
        """See `Study`."""
        others = read_runs([run.store.folder, *map(Path, self.beside)])[1:]
        return [row for pair in _pairs(run, others) for row in overlaps(*pair)]

    def table(self, rows: Sequence[Overlap]) -> Table:
        """Returns a row for each comparison, level and layer, means over the pairs."""
        columns = ("jaccard", "jaccard_by_chance", "hamming", "hamming_by_chance")
        cells = [
            [
                of,
                str(level),
                f"{100 * mean(group, 'density'):.3g}",
                short(layer),
                str(len(group)),
                *(mean_text(group, name, ".3f") for name in columns),
            ]
            for (of, level, layer), group in grouped(rows, "of", "level", "layer").items()
        ]
        return Table("Overlap of masks", _COLUMNS, cells, _NOTE)

    def pictures(self, rows: Sequence[Overlap]) -> list[Picture]:
        """Returns the figure of the Jaccard index against density."""
        draw = functools.partial(_draw, rows)
        return [Picture(self.name, "Overlap of masks against density", _CAPTION, draw)]

    def sentence(self, rows: Sequence[Overlap]) -> str:
        """Says of the last level what its masks have in common, beside chance."""
        whole = grouped([row for row in rows if row.layer == _ALL], "of")
        parts = []
        for of, group in whole.items():
            last = [row for row in group if row.level == group[-1].level]
            parts.append(
                f"masks of {of} share {100 * mean(last, 'jaccard'):.1f}% of the weights that "
                f"either keeps at level {last[0].level}, by chance "
                f"{100 * mean(last, 'jaccard_by_chance'):.1f}%"
            )
        text = "; ".join(parts)
        return f"{text[0].upper()}{text[1:]}."


Masks = Mapping[str, np.ndarray]
_Pair = tuple[str, Training, Masks, Training, Masks]


def _pairs(run: Run, others: Sequence[Run]) -> Iterator[_Pair]:
    """Yields what is compared, with no more than two levels' masks in memory."""
    before: dict[Training, Masks] = {}
    finished = [each for each in run.store.finished() if each.arm == TICKET]
    for level, trainings in grouped(finished, "level").items():
        masks = {training: run.store.read_masks(training) for training in trainings}
        for one, other in itertools.combinations(trainings, 2):
            yield REPLICATES, one, masks[one], other, masks[other]
        for training in trainings:
            for earlier in (each for each in before if each.replicate == training.replicate):
                if earlier.level == level - 1:
                    yield LEVELS, training, masks[training], earlier, before[earlier]
            for beside in others:
                if beside.store.is_done(training):
                    theirs = beside.store.read_masks(training)
                    _check_alike(beside, masks[training], theirs)
                    of = f"this run and {beside.name}"
                    yield of, training, masks[training], training, theirs
        before = masks


def _check_alike(beside: Run, ours: Masks, theirs: Masks) -> None:
    shapes, found = ({n: mask.shape for n, mask in masks.items()} for masks in (ours, theirs))
    if shapes != found:
        raise UserError(
            f"--beside={beside.store.folder}: must have the kernels of this run, {shapes}; "
            f"has {found}"
        )


def overlaps(
    of: str, one: Training, ones: Masks, other: Training, others: Masks
) -> Iterator[Overlap]:
    """Compares two masks layer by layer, and over all layers.

    Args:
        of: what they are masks of.
        one: the first mask's training.
        ones: the first mask, by kernel.
        other: the second mask's training.
        others: the second mask.
    """
    kept = {name: (m.size, int(m.sum()), int(others[name].sum())) for name, m in ones.items()}
    both = {name: int((mask & others[name]).sum()) for name, mask in ones.items()}
    for layer, names in {_ALL: list(ones), **{name: [name] for name in ones}}.items():
        size, first, second = (sum(kept[name][i] for name in names) for i in range(3))
        shared = sum(both[name] for name in names)
        expected = sum(kept[name][1] * kept[name][2] / kept[name][0] for name in names)
        yield Overlap(
            of=of,
            replicate=one.replicate,
            other_replicate=other.replicate,
            level=one.level,
            other_level=other.level,
            layer=layer,
            density=first / size,
            jaccard=_jaccard(shared, first, second),
            jaccard_by_chance=jaccard_by_chance([kept[name] for name in names]),
            hamming=(first + second - 2 * shared) / size,
            hamming_by_chance=(first + second - 2 * expected) / size,
        )


def jaccard_by_chance(kept: Sequence[tuple[int, int, int]]) -> float:
    """Returns the mean Jaccard index of two random masks that are independent of each other.

    In each layer the number of weights that both keep is hypergeometric; over all layers it is the
    sum of such numbers.

    Args:
        kept: of each layer its weights, those that the one mask keeps, and the other.
    """
    first, second = (sum(layer[i] for layer in kept) for i in (1, 2))
    least, chances = 0, np.ones(1)
    for layer in kept:
        low, of_layer = _shared(*layer)
        least += low
        chances = np.convolve(chances, of_layer)
    values = [_jaccard(least + more, first, second) for more in range(len(chances))]
    return float(chances @ np.array(values))


def _shared(size: int, one: int, other: int) -> tuple[int, np.ndarray]:
    """Returns the chances of how many weights both of two random masks keep, from a number on."""
    expected = one * other / size
    deviation = math.sqrt(expected * (size - one) / size * (size - other) / max(1, size - 1))
    reach = _DEVIATIONS * (deviation + 1)
    low = max(0, one + other - size, math.floor(expected - reach))
    high = min(one, other, math.ceil(expected + reach))
    n = np.arange(low, high, dtype=np.float64)
    ratios = (one - n) * (other - n) / ((n + 1) * (size - one - other + n + 1))
    logs = np.concatenate([[0.0], np.cumsum(np.log(ratios))])
    chances = np.exp(logs - logs.max())
    return low, chances / chances.sum()


def _jaccard(shared: int, one: int, other: int) -> float:
    either = one + other - shared
    return shared / either if either else 1.0


def _draw(rows: Sequence[Overlap]) -> Figure:
    figure = canvas.new_figure()
    axes = figure.subplots()
    lines = {}
    for of, group in grouped([row for row in rows if row.layer == _ALL], "of").items():
        lines[of] = values_by_density(group, "jaccard", 100)
        lines[f"{of}, by chance"] = values_by_density(group, "jaccard_by_chance", 100)
    draw_against_density(axes, lines, "weights that both masks keep, of those of either (%)")
    canvas.legend_below(axes)
    return figure
