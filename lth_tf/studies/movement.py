"""Movement: how far weights move in training, and which of them change sign (Appendix F.5)."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lth_tf.analysis.figures.gallery import Picture
from lth_tf.analysis.pages.table import Table
from lth_tf.runs.experiment import Training
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
from lth_tf.training.mask_schedules import MASK_SCHEDULES, MaskSchedule, Promise

if TYPE_CHECKING:
    from lth_tf.lottery.opened_run import OpenedRun

_BINS = 60
_COLUMNS = (
    "level", "layer", "weights remaining (%)",
    "dense training: distance, ticket's weights", "others", "away from zero (%)", "others",
    "ticket's training: distance", "away from zero (%)", "other sign at its end (%)",
)  # fmt: skip
_NOTE = (
    "In the training of the dense network: the mean distance between a weight's initial and final "
    "value, and how many weights moved away from zero, of those that the level's mask keeps and of "
    "the others. In the ticket's own training: the same of the weights that it has, from what it "
    "started with, and how many ended with another sign. What never moves, such as the weights of "
    "pixels that are always black, counts as not away from zero. Means over the replicates."
)
_CAPTION = (
    "Final minus initial value in the training of the dense network, positive where the weight "
    "moved away from zero. Grey: all of a layer's weights. Lines: those that the mask of a level "
    "keeps. Each is a density of its own, over all replicates (Appendix F.5)."
)


@dataclasses.dataclass(frozen=True)
class Movement:
    """How far a layer's weights moved.

    Attributes:
        replicate: the replicate.
        level: the level; 0 is the dense network, where the mask keeps all weights.
        layer: the kernel's name.
        density: remaining over all weights of the kernel.
        dense_kept: mean distance in the dense training of the weights that the level's mask keeps.
        dense_others: that of the others; None where there are none, here and below.
        dense_kept_away: share of the kept weights that moved away from zero in that training.
        dense_others_away: that of the others.
        distance: mean distance of the remaining weights in the level's own training.
        away: share of them that moved away from zero there.
        sign_changes: share of them that ended there with another sign.
        reach: the histogram is of `_BINS` bins of equal width from -reach to reach.
        histogram: of the kept weights' movement away from zero in the dense training.
    """

    replicate: int
    level: int
    layer: str
    density: float
    dense_kept: float | None
    dense_others: float | None
    dense_kept_away: float | None
    dense_others_away: float | None
    distance: float | None
    away: float | None
    sign_changes: float | None
    reach: float
    histogram: tuple[int, ...]


@STUDIES.register
class WeightMovement(Study):
    """Compares how far weights move that are in tickets with those that are not."""

    name = "movement"
    title = "how far weights move"
    help = (
        "how far weights move in training, towards zero or away from it, and how many change sign: "
        "those of a level's ticket beside the others (Appendix F.5)"
    )
    row = Movement
    place = 2

    def lacks(self, run: Run) -> str:
        """See `Study`."""
        if run.experiment.is_transfer:
            return "It needs tickets of the run's own dense networks; a transfer has another's."
        strategy = run.experiment.strategy
        if run.experiment.prunes_while_training and _grows(MASK_SCHEDULES[strategy]):
            return f"Weights that --strategy={strategy} grows start at zero, not at θ0."
        return super().lacks(run) or lacks_pairs(run)

    def compute(self, run: "OpenedRun") -> list[Movement]:
        """See `Study`."""
        rows: list[Movement] = []
        trainings = with_dense(run)
        moved = {each: _moved(run, each) for each in trainings if not each.level}
        reach = reaches(moved.values())
        for training in trainings:
            initial, final = run.initial_weights(training), run.weights(training)
            for name, mask in run.masks(training).items():
                dense = moved[training.dense][name]
                rows.append(
                    Movement(
                        replicate=training.replicate,
                        level=training.level,
                        layer=name,
                        density=float(mask.mean()),
                        **_of_dense(dense, mask),
                        **_of_ticket(initial[name][mask], final[name][mask]),
                        reach=reach[name],
                        histogram=histogram(dense[mask], reach[name], _BINS),
                    )
                )
        return rows

    def table(self, rows: Sequence[Movement]) -> Table:
        """Returns a row for each level and layer, means over the replicates."""
        columns = (
            ("dense_kept", ".4f"), ("dense_others", ".4f"),
            ("dense_kept_away", ".1%"), ("dense_others_away", ".1%"),
            ("distance", ".4f"), ("away", ".1%"), ("sign_changes", ".1%"),
        )  # fmt: skip
        cells = [
            [
                str(level),
                short(layer),
                f"{100 * mean(group, 'density'):.3g}",
                *(mean_text(group, name, form).removesuffix("%") for name, form in columns),
            ]
            for (level, layer), group in grouped(rows, "level", "layer").items()
        ]
        return Table("How far weights move", _COLUMNS, cells, _NOTE)

    def pictures(self, rows: Sequence[Movement]) -> list[Picture]:
        """Returns the figure of the movement in the dense training."""
        title = "Movement of the weights in the training of the dense network"
        labels = ("all weights", "weights of level")
        ends = {row.layer: (-row.reach, row.reach) for row in rows}
        draw = functools.partial(draw_histograms, rows, ends, "moved away from zero by", labels)
        return [Picture(self.name, title, _CAPTION, draw)]

    def sentence(self, rows: Sequence[Movement]) -> str:
        """Says of the last level how much further its weights moved, and how many changed sign."""
        last = max(row.level for row in rows)
        parts = []
        for layer, group in grouped([row for row in rows if row.level == last], "layer").items():
            kept, others = mean(group, "dense_kept"), mean(group, "dense_others")
            signs = mean(group, "sign_changes")
            if kept is not None and others and signs is not None:
                parts.append(f"{kept / others:.2f} in {short(layer)} ({100 * signs:.1f}%)")
        return (
            f"At level {last} the ticket's weights had moved this many times as far in the dense "
            "network's training as the others, and in brackets are those that changed sign in the "
            f"ticket's: {', '.join(parts) or 'no layer has both'}."
        )


def _grows(schedule: type[MaskSchedule]) -> bool:
    """Says whether weights that were not there at first may come while others are trained."""
    return schedule.trains_weights and schedule.promise in (Promise.KEEP_COUNT, Promise.FREE)


def _moved(run: "OpenedRun", training: Training) -> dict[str, np.ndarray]:
    """Returns how far each weight moved away from zero, by kernel."""
    initial, final = run.initial_weights(training), run.weights(training)
    return {name: away_from_zero(initial[name], final[name]) for name in run.masks(training)}


def away_from_zero(initial: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Returns how far weights moved, positive where they moved away from zero.

    Args:
        initial: their initial values.
        final: their final values, of the same shape.
    """
    return np.where(initial < 0, initial - final, final - initial)


def _of_dense(moved: np.ndarray, mask: np.ndarray) -> dict[str, float | None]:
    parts = {"dense_kept": moved[mask], "dense_others": moved[~mask]}
    distances = {name: mean_of(np.abs(part)) for name, part in parts.items()}
    return distances | {f"{name}_away": mean_of(part > 0) for name, part in parts.items()}


def _of_ticket(initial: np.ndarray, final: np.ndarray) -> dict[str, float | None]:
    moved = away_from_zero(initial, final)
    return {
        "distance": mean_of(np.abs(moved)),
        "away": mean_of(moved > 0),
        "sign_changes": mean_of(initial * final < 0),
    }
