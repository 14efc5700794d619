"""Survivors: which weights survive pruning, by their initial and final values (Appendix F.1)."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lth_tf.analysis.figures.gallery import Picture
from lth_tf.analysis.pages.table import Table
from lth_tf.runs.experiment import DRAWN_EARLY, Training
from lth_tf.runs.run import Run
from lth_tf.studies import STUDIES, Study
from lth_tf.studies.levels import (
    draw_histograms,
    grouped,
    histogram,
    lacks_pairs,
    mean,
    mean_of,
    mean_text,
    reaches,
    short,
    with_dense,
)

if TYPE_CHECKING:
    from lth_tf.lottery.opened_run import OpenedRun

_BINS = 60
_COLUMNS = (
    "level", "layer", "weights remaining (%)",
    "mean |θ0|, survivors", "pruned", "mean |final|, survivors", "pruned",
)  # fmt: skip
_NOTE = (
    "Of the weights that the level's pruning chose from: those that it left, and those that it "
    "removed. θ0: initial weights. Final: as the training ended with them that the mask was pruned "
    "from. Means over the replicates."
)
_CAPTION = (
    "Grey: all of a layer's initial weights. Lines: those of the weights that survive at a level. "
    "Each is a density of its own, over all replicates."
)


@dataclasses.dataclass(frozen=True)
class Survival:
    """What a pruning left of a layer.

    Attributes:
        replicate: the replicate.
        level: the level; 0 is the dense network, where all weights survive.
        layer: the kernel's name.
        density: remaining over all weights of the kernel.
        initial_survivors: mean |theta_0| of the weights that the pruning left.
        initial_pruned: that of those that it removed; None where it removed none.
        final_survivors: likewise of the weights at the end of the training that it pruned.
        final_pruned: likewise.
        reach: the histogram is of `_BINS` bins of equal width from -reach to reach.
        histogram: how many of the surviving weights have their initial value in each.
    """

    replicate: int
    level: int
    layer: str
    density: float
    initial_survivors: float | None
    initial_pruned: float | None
    final_survivors: float | None
    final_pruned: float | None
    reach: float
    histogram: tuple[int, ...]


@STUDIES.register
class Survivors(Study):
    """Compares the weights that survive with those that are pruned."""

    name = "survivors"
    title = "which weights survive"
    help = (
        "initial and final magnitudes of the weights that survive pruning beside those of the "
        "pruned, by layer (Appendix F.1)"
    )
    row = Survival
    place = 1

    def lacks(self, run: Run) -> str:
        """See `Study`."""
        experiment = run.experiment
        before_or_while = experiment.prunes_at_init or experiment.prunes_while_training
        if experiment.is_transfer or before_or_while or experiment.strategy in DRAWN_EARLY:
            return (
                "It needs levels that are pruned from finished trainings; those of "
                f"--strategy={experiment.strategy} are not."
            )
        return super().lacks(run) or lacks_pairs(run)

    def compute(self, run: "OpenedRun") -> list[Survival]:
        """See `Study`."""
        rows = []
        trainings = with_dense(run)
        reach = reaches(run.initial_weights(each) for each in trainings if not each.level)
        for training in trainings:
            rows += _survivals(run, training, reach)
        return rows

    def table(self, rows: Sequence[Survival]) -> Table:
        """Returns a row for each level and layer, means over the replicates."""
        cells = [
            [
                str(level),
                short(layer),
                f"{100 * mean(group, 'density'):.3g}",
                *(mean_text(group, name) for name in ("initial_survivors", "initial_pruned")),
                *(mean_text(group, name) for name in ("final_survivors", "final_pruned")),
            ]
            for (level, layer), group in grouped(rows, "level", "layer").items()
            if level
        ]
        return Table("Weights that survive, and weights that are pruned", _COLUMNS, cells, _NOTE)

    def pictures(self, rows: Sequence[Survival]) -> list[Picture]:
        """Returns the figure of the survivors' initial weights."""
        title = "Initial weights of the survivors"
        labels = ("all weights", "survivors of level")
        ends = {row.layer: (-row.reach, row.reach) for row in rows}
        draw = functools.partial(draw_histograms, rows, ends, "initial weight", labels)
        return [Picture(self.name, title, _CAPTION, draw)]

    def sentence(self, rows: Sequence[Survival]) -> str:
        """Says of the last level how the survivors' initial weights differ."""
        last = max(row.level for row in rows)
        groups = grouped(rows, "level", "layer")
        means = {key: mean(group, "initial_survivors") for key, group in groups.items()}
        ratios = {
            short(layer): means[last, layer] / means[0, layer]
            for level, layer in groups
            if level == last and means[level, layer] is not None and means[0, layer]
        }
        by_layer = ", ".join(f"{ratio:.2f} in {layer}" for layer, ratio in ratios.items())
        return (
            f"At level {last} the surviving weights began with these multiples of their layer's "
            f"mean |θ0|: {by_layer}."
        )


def _survivals(run: "OpenedRun", training: Training, reach: dict[str, float]) -> list[Survival]:
    """Returns what the pruning before a training left of each layer that is pruned at all."""
    parent = run.experiment.parent(training) or training.dense
    initial, final = run.initial_weights(training.dense), run.weights(parent)
    before, after = run.masks(parent), run.masks(training)
    rows = []
    for name, mask in after.items():
        pruned = before[name] & ~mask
        rows.append(
            Survival(
                replicate=training.replicate,
                level=training.level,
                layer=name,
                density=float(mask.mean()),
                initial_survivors=_magnitude(initial[name], mask),
                initial_pruned=_magnitude(initial[name], pruned),
                final_survivors=_magnitude(final[name], mask),
                final_pruned=_magnitude(final[name], pruned),
                reach=reach[name],
                histogram=histogram(initial[name][mask], reach[name], _BINS),
            )
        )
    return rows


def _magnitude(weight: np.ndarray, mask: np.ndarray) -> float | None:
    return mean_of(np.abs(weight[mask]))
