"""Levels: every number that is plotted, as points, and as levels.csv has them."""

import csv
import dataclasses
import io
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from lth_tf.analysis.curves import Run, read_curve
from lth_tf.analysis.results_table import by_level
from lth_tf.experiment.plan import Training
from lth_tf.experiment.results import AT_EARLY_STOP, AT_END, EARLY_STOP, Result, at_mark

CURVE = "validation_accuracy"
LAYER = "density of "

# The densities of the paper's Figure 3 that are far enough apart for one figure.
_SHOWN = (0.513, 0.211, 0.070, 0.019)


@dataclasses.dataclass(frozen=True)
class Point:
    """A number that is plotted; the names are the columns of levels.csv.

    Attributes:
        run: the run's name, or "paper".
        level: its level; None of the paper's numbers.
        density: remaining over all kernel weights.
        arm: the kind of arm.
        quantity: what it is; accuracies and densities are fractions.
        iteration: where on a curve it is; None if it is on none.
        n: the number of trainings.
        mean: their mean.
        min: their minimum; None of the paper's numbers.
        max: their maximum; None of the paper's numbers.
    """

    run: str
    level: int | None
    density: float
    arm: str
    quantity: str
    iteration: int | None
    n: int
    mean: float
    min: float | None
    max: float | None


def common_marks(results: Sequence[Result]) -> list[int]:
    """Lists the marks that all trainings have: one that rewinds to k has none before k."""
    marks = [set(result.test_accuracy_at) for result in results]
    return sorted(set.intersection(*marks)) if marks else []


def level_points(run: str, results: Sequence[Result]) -> list[Point]:
    """Returns what is plotted against density, replicates and draws together."""
    values: dict[str, Callable[[Result], float]] = {
        EARLY_STOP: lambda r: r.early_stop_iteration,
        AT_EARLY_STOP: lambda r: r.test_accuracy_at_early_stop,
        AT_END: lambda r: r.test_accuracy_final,
    }
    for mark in common_marks(results):
        values[at_mark(mark)] = lambda r, mark=mark: r.test_accuracy_at[mark]
    return [
        _point(run, group[0], arm, quantity, None, [value(result) for result in group])
        for (_, arm), group in by_level(results).items()
        for quantity, value in values.items()
    ]


def layer_points(run: str, results: Sequence[Result]) -> list[Point]:
    """Returns the density of each layer of the dense network and of the shown levels' tickets."""
    return [
        _point(run, group[0], arm, LAYER + layer, None, [_density(r, layer) for r in group])
        for (level, arm), group in by_level(results).items()
        if arm in ("dense", "ticket") and level in shown_levels(results)
        for layer in group[0].layers
    ]


def curve_points(run: Run) -> list[Point]:
    """Returns validation accuracy by iteration, of the shown levels' tickets and reinits.

    The paper's Figure 3 has test accuracy, which is not measured at every evaluation here.

    Raises:
        UserError: if a training's metrics.csv is missing or damaged.
    """
    points = []
    for (level, arm), group in by_level(run.results).items():
        if level not in shown_levels(run.results) or arm not in ("dense", "ticket", "reinit"):
            continue
        curves = [
            read_curve(run.store, Training(r.replicate, r.level, r.arm), CURVE) for r in group
        ]
        for iteration, values in _by_iteration(curves).items():
            points.append(_point(run.name, group[0], arm, CURVE, iteration, values))
    return points


def shown_levels(results: Sequence[Result]) -> list[int]:
    """Lists the levels that curves are drawn of: 0, and those nearest the paper's Figure 3."""
    densities = {result.level: result.density for result in results if result.level}
    if len(densities) <= len(_SHOWN):
        return [0, *sorted(densities)]
    nearest = {
        min(densities, key=lambda level: abs(math.log(densities[level] / shown)))
        for shown in _SHOWN
    }
    return [0, *sorted(nearest)]


def levels_csv(points: Iterable[Point]) -> str:
    """Returns levels.csv: a row for each point."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in dataclasses.fields(Point))
    for point in points:
        row = dataclasses.astuple(point)
        writer.writerow("" if value is None else value for value in row)
    return text.getvalue()


def _point(
    run: str,
    result: Result,
    arm: str,
    quantity: str,
    iteration: int | None,
    values: Sequence[float],
) -> Point:
    return Point(
        run=run,
        level=result.level,
        density=result.density,
        arm=arm,
        quantity=quantity,
        iteration=iteration,
        n=len(values),
        mean=statistics.fmean(values),
        min=min(values),
        max=max(values),
    )


def _density(result: Result, layer: str) -> float:
    remaining, total = result.layers[layer]
    return remaining / total


def _by_iteration(curves: Sequence[Mapping[int, float]]) -> dict[int, list[float]]:
    iterations = sorted({iteration for curve in curves for iteration in curve})
    return {i: [curve[i] for curve in curves if i in curve] for i in iterations}
