"""Sharpness: the largest eigenvalues of the loss's Hessian where trainings have ended."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from lth_tf.analysis.figures import canvas
from lth_tf.analysis.figures.arm_styles import in_order, label_of
from lth_tf.analysis.figures.gallery import Picture
from lth_tf.analysis.figures.points import shown_levels
from lth_tf.analysis.pages.table import Table
from lth_tf.arms.reinit import Reinit
from lth_tf.errors import UserError
from lth_tf.runs.experiment import DENSE, TICKET, kind_of
from lth_tf.runs.results import Result
from lth_tf.runs.run import Run
from lth_tf.studies import STUDIES, Study
from lth_tf.studies.levels import draw_against_density, grouped, mean, values_by_density

if TYPE_CHECKING:
    from lth_tf.lottery.opened_run import OpenedRun

_COMPARED = (DENSE, TICKET, Reinit.name)
_COLUMNS = (
    "level", "network", "weights remaining (%)", "trainings",
    "largest eigenvalue", "from", "to", "training loss",
)  # fmt: skip
_NOTE = (
    "Of the Hessian of the training loss with respect to the kernels' remaining weights, at the "
    "end of training (Lanczos, to a thousandth), and that loss, both of a fixed sample of each "
    "replicate's training examples. Means over the trainings, and the lowest and highest."
)
_CAPTION = (
    "Largest eigenvalue of the Hessian of the training loss with respect to the remaining weights, "
    "at the end of training. Means; bands from minimum to maximum."
)


@dataclasses.dataclass(frozen=True)
class Sharpness:
    """How sharp the minimum is that a training ended in.

    Attributes:
        replicate: the replicate.
        level: the level.
        arm: the arm, with the number of a control's draw.
        kind: the arm without it.
        density: remaining over all kernel weights.
        loss: the training loss of the sample.
        eigenvalues: the largest eigenvalues of its Hessian, the largest first.
    """

    replicate: int
    level: int
    arm: str
    kind: str
    density: float
    loss: float
    eigenvalues: tuple[float, ...]

    @property
    def largest(self) -> float:
        """The largest eigenvalue."""
        return self.eigenvalues[0]


@STUDIES.register
@dataclasses.dataclass(frozen=True)
class HessianSharpness(Study):
    """Compares how sharp the minima of tickets, their reinits and dense networks are.

    Attributes:
        levels: the levels; by default the dense network and up to four others.
        examples: the size of the sample of training examples; 0 for all.
        count: how many eigenvalues.
    """

    levels: tuple[int, ...] = ()
    examples: int = 500
    count: int = 1

    name = "sharpness"
    title = "sharpness of the minima"
    help = (
        "largest eigenvalue of the Hessian of the training loss at the end of training: tickets, "
        "reinits and the dense network; by default of up to four levels"
    )
    row = Sharpness
    place = 6

    def lacks(self, run: Run) -> str:
        """See `Study`."""
        none = "No dense network, ticket or reinit is finished."
        return super().lacks(run) or ("" if _compared(run) else none)

    def compute(self, run: "OpenedRun") -> list[Sharpness]:
        """See `Study`."""
        if self.count < 1:
            raise UserError(f"--count={self.count}: must be at least 1")
        compared = _compared(run)
        known = sorted({result.level for result in compared})
        for level in self.levels:
            if level not in known:
                raise UserError(
                    f"--levels={','.join(map(str, self.levels))}: {run.store.folder} must have a "
                    f"finished training of level {level}, has only of {', '.join(map(str, known))}"
                )
        rows, levels = [], self.levels or shown_levels(compared)
        for training in run.store.finished():
            if training.level in levels and training.kind in _COMPARED:
                rows.append(
                    Sharpness(
                        replicate=training.replicate,
                        level=training.level,
                        arm=training.arm,
                        kind=training.kind,
                        density=run.store.result(training).density,
                        loss=run.evaluate(training, "train", count=self.examples).loss,
                        eigenvalues=tuple(
                            run.hessian_eigenvalues(training, self.count, self.examples)
                        ),
                    )
                )
        return rows

    def table(self, rows: Sequence[Sharpness]) -> Table:
        """Returns a row for each level and kind of arm, means over the trainings."""
        cells = [
            [
                str(level),
                _label(kind),
                f"{100 * group[0].density:.3g}",
                str(len(group)),
                f"{mean(group, 'largest'):.4g}",
                *(f"{end(row.largest for row in group):.4g}" for end in (min, max)),
                f"{mean(group, 'loss'):.4f}",
            ]
            for (level, kind), group in grouped(rows, "level", "kind").items()
        ]
        return Table("Largest eigenvalues of the Hessian", _COLUMNS, cells, _NOTE)

    def pictures(self, rows: Sequence[Sharpness]) -> list[Picture]:
        """Returns the figure of the largest eigenvalue against density, if there are levels."""
        title = "Largest eigenvalue of the Hessian against density"
        pictures = [Picture(self.name, title, _CAPTION, functools.partial(_draw, rows))]
        return pictures if any(row.level for row in rows) else []

    def sentence(self, rows: Sequence[Sharpness]) -> str:
        """Compares the networks of the last level with the dense network."""
        last = max(row.level for row in rows)
        groups = grouped(rows, "level", "kind")
        said = {(0, DENSE), *((last, kind) for kind in (TICKET, Reinit.name))}
        parts = [
            f"{mean(group, 'largest'):.3g} of the {_label(kind)}"
            for (level, kind), group in groups.items()
            if (level, kind) in said
        ]
        return (
            "The largest eigenvalue of the Hessian at the end of training is "
            f"{', '.join(parts)} (level {last})."
        )


def _compared(run: Run) -> list[Result]:
    """Returns the results of the networks that are compared."""
    return [result for result in run.results if kind_of(result.arm) in _COMPARED]


def _label(kind: str) -> str:
    return "dense network" if kind == DENSE else label_of(kind)


def _draw(rows: Sequence[Sharpness]) -> Figure:
    figure = canvas.new_figure()
    axes = figure.subplots()
    by_arm = grouped(rows, "kind")
    dense = by_arm.pop(DENSE, [])
    lines = {
        label_of(kind): values_by_density([*dense, *by_arm[kind]], "largest")
        for kind in in_order(by_arm)
    }
    draw_against_density(axes, lines, "largest eigenvalue of the Hessian")
    canvas.logarithmic_y(axes, [row.largest for row in rows])
    canvas.legend_below(axes)
    return figure
