"""Linear mode connectivity: the error on the straight line between two trained networks.

Frankle et al. (2020) train a network twice in different orders: where the error hardly rises on the
line between the two, the network is stable, and its tickets match the dense network. Paul et al.
(2023) ask the same of the tickets of successive levels.
"""

import dataclasses
import functools
import statistics
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from lth_tf.analysis.figures import canvas
from lth_tf.analysis.figures.gallery import Picture
from lth_tf.analysis.figures.levels import listed
from lth_tf.analysis.pages.table import Table
from lth_tf.analysis.verdict.statistics import Estimate, estimate
from lth_tf.arms.dense_reorder import DenseReorder
from lth_tf.arms.reorder import Reorder
from lth_tf.errors import UserError
from lth_tf.metric import Metric
from lth_tf.runs.experiment import Training
from lth_tf.runs.run import Run
from lth_tf.studies import STUDIES, Study
from lth_tf.studies.levels import (
    dense_and_tickets,
    draw_against_density,
    grouped,
    mean,
    values_by_density,
    with_dense,
)

if TYPE_CHECKING:
    from lth_tf.lottery.opened_run import OpenedRun

OTHER_ORDER, LEVEL_BEFORE = "its copy in another order", "the level before"
_COPIES = (Reorder.name, DenseReorder.name)
_STABLE = 0.02  # below it a network is stable (Frankle et al., 2020)
_NOTE = (
    "Error, or what the networks are judged by, on the straight line between the weights of a "
    "level's network at the end of training and those of another. Instability: the highest error "
    "on the line minus the mean of its ends. Bound: one-sided 95% upper bound of its mean over "
    "replicates. Means over the pairs; the last column is of the whole test set at the end of "
    "training."
)
_CAPTION = (
    "Above: the highest error on the line between two networks minus the mean of its ends. Below: "
    "{} at the end of training. Means; bands from minimum to maximum."
)


@dataclasses.dataclass(frozen=True)
class ErrorPath:
    """The errors between two networks.

    Attributes:
        replicate: the replicate of both.
        level: the first network's.
        density: remaining over all kernel weights of it.
        other: what the second network is.
        arm: the second network's arm.
        metric: the metric that the networks are judged by.
        higher_is_better: whether more of it is better; the error is 1 minus it then, or else it.
        errors: the error at evenly spaced points of the line, both ends among them.
        difference: the first network's metric on the test set at the end of training minus the
            dense network's, such that more is better.
    """

    replicate: int
    level: int
    density: float
    other: str
    arm: str
    metric: str
    higher_is_better: bool
    errors: tuple[float, ...]
    difference: float

    @property
    def of_ends(self) -> float:
        """The mean error of both ends."""
        return (self.errors[0] + self.errors[-1]) / 2

    @property
    def highest(self) -> float:
        """The highest error on the line."""
        return max(self.errors)

    @property
    def instability(self) -> float:
        """The highest error on the line minus the mean of its ends."""
        return self.highest - self.of_ends


@STUDIES.register
@dataclasses.dataclass(frozen=True)
class Connectivity(Study):
    """Measures the error between networks.

    Attributes:
        points: how many points of the line are evaluated, the ends among them.
        examples: the size of the fixed sample of test examples that they are evaluated on, and of
            the training examples that batch normalisation's statistics are of; 0 for all.
    """

    points: int = 30
    examples: int = 2_000

    name = "connectivity"
    title = "linear mode connectivity"
    help = (
        "the error on the line between each level's network and its copy in another order "
        "(`--arms=ticket,reorder,dense_reorder`), and the level before; on a sample of the test "
        "examples"
    )
    row = ErrorPath
    place = 3

    def lacks(self, run: Run) -> str:
        """See `Study`."""
        if lacks := super().lacks(run):
            return lacks
        return "" if any(_pairs(run)) else "It needs a finished ticket and the level before it."

    def compute(self, run: "OpenedRun") -> list[ErrorPath]:
        """See `Study`."""
        if self.points < 2:
            raise UserError(f"--points={self.points}: must be at least 2")
        rows = []
        for one, other, second in _pairs(run):
            # As they are on the disk: a run that goes on has more results than when it was opened.
            result, of_dense = run.store.result(one), run.store.result(one.dense)
            gain = result.test_accuracy_final - of_dense.test_accuracy_final
            rows.append(
                ErrorPath(
                    replicate=one.replicate,
                    level=one.level,
                    density=result.density,
                    other=other,
                    arm=second.arm,
                    metric=run.metric.name,
                    higher_is_better=run.metric.higher_is_better,
                    errors=tuple(self._errors(run, one, second)),
                    difference=run.metric.gain(gain),
                )
            )
        return rows

    def _errors(self, run: "OpenedRun", one: Training, other: Training) -> Iterator[float]:
        first, second, replicate = run.weights(one), run.weights(other), one.replicate
        for share in np.linspace(0, 1, self.points, dtype=np.float32):
            weights = {name: (1 - share) * first[name] + share * second[name] for name in first}
            if run.normalizes:
                weights = run.renormalized(weights, replicate, self.examples)
            value = run.evaluate(weights, "test", count=self.examples).metric
            yield 1 - value if run.metric.higher_is_better else value

    def notes(self, run: "OpenedRun") -> list[str]:
        """Says what batch normalisation goes by, and which copies there are not."""
        notes = []
        if run.normalizes:
            notes.append(
                "Batch normalisation has, at each point and at both ends, statistics that are "
                "computed anew of training examples."
            )
        levels = {one.level for one, other, _ in _pairs(run) if other == OTHER_ORDER}
        missing = sorted({each.level for each in dense_and_tickets(run)} - levels)
        if missing:
            which = "any level" if not levels else f"level {', '.join(map(str, missing))}"
            notes.append(f"No copy in another order is finished of {which}.")
        return notes

    def table(self, rows: Sequence[ErrorPath]) -> Table:
        """Returns a row for each level and other network, means over the pairs."""
        metric = _metric(rows)
        unit = f" ({metric.unit})" if metric.unit else ""
        points = f" ({metric.points.strip()})" if metric.points else ""
        columns = (
            "level", "weights remaining (%)", "other network", "pairs", f"error of ends{unit}",
            f"highest{unit}", f"instability{points}", "bound", f"{_compared(metric)}{points}",
        )  # fmt: skip
        cells = []
        for (level, other), group in grouped(rows, "level", "other").items():
            found = _instability(group)
            cells.append(
                [
                    str(level),
                    f"{100 * group[0].density:.3g}",
                    other,
                    str(len(group)),
                    metric.number(mean(group, "of_ends")),
                    metric.number(mean(group, "highest")),
                    metric.difference(found.mean),
                    "" if found.upper is None else metric.difference(found.upper),
                    metric.difference(mean(group, "difference")),
                ]
            )
        return Table("Errors between networks", columns, cells, _NOTE)

    def pictures(self, rows: Sequence[ErrorPath]) -> list[Picture]:
        """Returns the figure of instability beside the difference to the dense network."""
        caption = _CAPTION.format(_compared(_metric(rows)))
        draw = functools.partial(_draw, rows)
        return [Picture(self.name, "Instability against density", caption, draw)]

    def sentence(self, rows: Sequence[ErrorPath]) -> str:
        """Says at which levels networks are stable, and at which they match the dense network."""
        metric = _metric(rows)
        parts = []
        for other, group in grouped(rows, "other").items():
            by_level = {n: _instability(paths).mean for n, paths in grouped(group, "level").items()}
            if metric.is_fraction:
                stable = [level for level, value in by_level.items() if value < _STABLE]
                parts.append(
                    f"is stable (instability below {metric.short(_STABLE)} points) against {other} "
                    f"at {listed(stable)} of {listed(list(by_level))}"
                )
            else:
                most = max(by_level, key=by_level.get)
                value = metric.difference(by_level[most])
                parts.append(f"is least stable against {other} at level {most}, by {value}")
        levels = grouped([row for row in rows if row.level], "level")
        match = [level for level, group in levels.items() if mean(group, "difference") >= 0]
        return (
            f"The network {', and '.join(parts)}; its test {metric.label} at the end is at least "
            f"the dense network's at {listed(match)}."
        )


def _pairs(run: Run) -> Iterator[tuple[Training, str, Training]]:
    """Yields each network, what it is compared with, and that network."""
    finished, networks = run.store.finished(), with_dense(run)
    for one in networks:
        for other in finished:
            same = (other.replicate, other.level) == (one.replicate, one.level)
            if same and other.kind in _COPIES:
                yield one, OTHER_ORDER, other
        for other in networks:
            if (other.replicate, other.level) == (one.replicate, one.level - 1):
                yield one, LEVEL_BEFORE, other


def _instability(rows: Sequence[ErrorPath]) -> Estimate:
    """Estimates it over replicates, each the mean of its pairs."""
    by_replicate = grouped(rows, "replicate").values()
    return estimate([statistics.fmean(row.instability for row in group) for group in by_replicate])


def _metric(rows: Sequence[ErrorPath]) -> Metric:
    return Metric(rows[0].metric, rows[0].higher_is_better)


def _compared(metric: Metric) -> str:
    return f"test {metric.label}, {metric.minus('network', 'dense network')}"


def _draw(rows: Sequence[ErrorPath]) -> Figure:
    metric = _metric(rows)
    points = f" ({metric.points.strip()})" if metric.points else ""
    figure = canvas.new_figure(height=5.6)
    above, below = figure.subplots(2, sharex=True)
    lines = {
        f"against {other}": values_by_density(group, "instability", metric.scale)
        for other, group in grouped(rows, "other").items()
    }
    draw_against_density(above, lines, f"instability{points}")
    above.set_xlabel("")
    if metric.is_fraction:
        thin = {"color": canvas.GREY, "linestyle": "--", "linewidth": 1}
        above.axhline(100 * _STABLE, label="stable below", **thin)
    differences = {"": values_by_density(rows, "difference", metric.scale)}
    draw_against_density(below, differences, f"{_compared(metric)}{points}")
    below.axhline(0, color=canvas.GREY, linestyle="--", linewidth=1)
    canvas.legend_below(above)
    return figure
