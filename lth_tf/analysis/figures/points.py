"""Points: every number that is plotted, as levels.csv has them."""

import dataclasses
import math
import operator
import statistics
from collections.abc import Iterable, Mapping, Sequence

from lth_tf.analysis.figures.levels import by_level, density_of
from lth_tf.arms.reinit import Reinit
from lth_tf.metric import ACCURACY, Metric
from lth_tf.runs.experiment import DENSE, TICKET, Training
from lth_tf.runs.results import (
    AT_EARLY_STOP,
    AT_END,
    EARLY_STOP,
    NEWER,
    SEARCH,
    SEARCH_WORK,
    WORK,
    Result,
    at_mark,
    csv_text,
)
from lth_tf.runs.run import Run, read_curve

CURVE = "validation_accuracy"
LOSSES = ("validation_loss", "train_loss")
LAYER = "density of "
COUNTS = (EARLY_STOP, SEARCH, WORK, SEARCH_WORK)  # quantities that are numbers, no accuracies

# The densities of the paper's Figure 3 that are far enough apart for one figure.
_SHOWN = (0.513, 0.211, 0.070, 0.019)


@dataclasses.dataclass(frozen=True)
class Point:
    """A number that is plotted; the names are the columns of levels.csv.

    Attributes:
        run: the run's name, or "paper".
        level: its level; None of the paper's numbers.
        density: remaining over all kernel weights, mean over the trainings.
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
    """Returns what is plotted against density, replicates and draws together.

    What runs of earlier versions did not measure is left out.

    Args:
        run: the run's name.
        results: of its finished trainings.
    """
    columns = (EARLY_STOP, AT_EARLY_STOP, AT_END, *NEWER)
    values = {column: operator.attrgetter(column) for column in columns}
    for mark in common_marks(results):
        values[at_mark(mark)] = lambda r, mark=mark: r.test_accuracy_at[mark]
    points = []
    for (_, arm), group in by_level(results).items():
        for quantity, value in values.items():
            known = [value(result) for result in group if value(result) is not None]
            if known:
                points.append(_point(run, group, arm, quantity, None, known))
    return points


def layer_points(run: str, results: Sequence[Result]) -> list[Point]:
    """Returns the density of each layer of the dense network and of the shown levels' tickets.

    Args:
        run: the run's name.
        results: of its finished trainings.
    """
    shown = shown_levels(results)
    return [
        _point(run, group, arm, LAYER + layer, None, [_density(r, layer) for r in group])
        for (level, arm), group in by_level(results).items()
        if arm in (DENSE, TICKET) and level in shown
        for layer in group[0].layers
    ]


def curve_points(run: Run) -> list[Point]:
    """Returns what is drawn by iteration, of the dense network and the shown levels' tickets.

    These are the validation metric, of reinits too, and the losses (Figures 3 and 11). The paper's
    Figure 3 has test accuracy, which is not measured at every evaluation here.

    Raises:
        UserError: if a training's metrics.csv is missing or damaged.
    """
    columns = {
        DENSE: (CURVE, *LOSSES),
        TICKET: (CURVE, *LOSSES),
        Reinit.name: (CURVE,),
    }
    shown = shown_levels(run.results)
    return [
        _point(run.name, group, arm, column, iteration, values)
        for (level, arm), group in by_level(run.results).items()
        if level in shown
        for column in columns.get(arm, ())
        for iteration, values in _by_iteration(_curves(run, group, column)).items()
    ]


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


def levels_csv(points: Iterable[Point], metrics: Mapping[str, Metric]) -> str:
    """Returns levels.csv: a row for each point, its quantity with the name of the run's metric.

    Args:
        points: the points.
        metrics: what the accuracies of each run are; those of others are accuracies.
    """
    named = (
        dataclasses.replace(p, quantity=metrics.get(p.run, ACCURACY).column(p.quantity))
        for p in points
    )
    return csv_text((f.name for f in dataclasses.fields(Point)), map(dataclasses.astuple, named))


def _point(
    run: str,
    group: Sequence[Result],
    arm: str,
    quantity: str,
    iteration: int | None,
    values: Sequence[float],
) -> Point:
    return Point(
        run=run,
        level=group[0].level,
        density=density_of(group),
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


def _curves(run: Run, group: Sequence[Result], column: str) -> list[dict[int, float]]:
    return [read_curve(run.store, Training(r.replicate, r.level, r.arm), column) for r in group]


def _by_iteration(curves: Sequence[Mapping[int, float]]) -> dict[int, list[float]]:
    iterations = sorted({iteration for curve in curves for iteration in curve})
    return {i: [curve[i] for curve in curves if i in curve] for i in iterations}
