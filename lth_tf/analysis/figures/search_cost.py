"""One figure of several runs: how good tickets are against what it cost to find them."""

import dataclasses
import functools
import math
import statistics
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from lth_tf.analysis.figures import canvas
from lth_tf.analysis.figures.gallery import Picture
from lth_tf.analysis.figures.lines import label, name_of
from lth_tf.analysis.figures.points import SEARCH, SEARCH_WORK, WORK, Point
from lth_tf.metric import Metric, percent
from lth_tf.runs.experiment import DENSE, TICKET

# The densities that are shown, of those that two runs at least come near to.
_WANTED = (0.21, 0.05, 0.02)
# How far, as a ratio, a level's density may be from the one that is shown.
_NEAR = 1.25
_FILES = {SEARCH: "search_cost", SEARCH_WORK: "search_cost_in_operations"}
_UNITS = {SEARCH: "iterations", SEARCH_WORK: "multiply-adds"}
_AXES = {
    SEARCH: "iterations of the search",
    SEARCH_WORK: "multiply-adds of the search, per cent of a dense training's",
}


def search_costs(
    points: Sequence[Point], labels: Mapping[str, str], quantity: str, name: str, metric: Metric
) -> list[Picture]:
    """Returns the figure by iterations and the one by operations, where the costs are known.

    Args:
        points: those of the runs.
        labels: the runs' names in the legend, by run, in order.
        quantity: what the tickets are judged by: a column of results.csv.
        name: of the figures' files, and of their setting: model and data set.
        metric: what the accuracies are.
    """
    found = (
        search_cost(points, labels, quantity, name, metric),
        search_cost(in_dense_trainings(points), labels, quantity, name, metric, SEARCH_WORK),
    )
    return [picture for picture in found if picture]


def in_dense_trainings(points: Sequence[Point]) -> list[Point]:
    """Returns points whose multiply-adds of searches are per cent of a dense training's.

    Args:
        points: those of runs; a run whose dense network's are not known loses its searches'.
    """
    dense = {p.run: p.mean for p in points if p.arm == DENSE and p.quantity == WORK}
    others = [point for point in points if point.quantity != SEARCH_WORK]
    costs = [p for p in points if p.quantity == SEARCH_WORK and dense.get(p.run)]
    return others + [
        dataclasses.replace(p, mean=100 * p.mean / dense[p.run], min=None, max=None) for p in costs
    ]


def search_cost(
    points: Sequence[Point],
    labels: Mapping[str, str],
    quantity: str,
    name: str,
    metric: Metric,
    cost: str = SEARCH,
) -> Picture | None:
    """Returns the figure; None if there are no two runs of which the cost is known.

    Args:
        points: those of the runs.
        labels: the runs' names in the legend, by run, in order.
        quantity: what the tickets are judged by: a column of results.csv.
        name: of the figure's files, and of its setting: model and data set.
        metric: what the accuracies are.
        cost: what the tickets are drawn against, one of `_AXES`.
    """
    chosen = [point for point in points if point.run in labels]
    panels = panels_of(chosen, quantity, cost)
    if not panels:
        return None
    dense = [p.mean for p in chosen if p.arm == DENSE and p.quantity == quantity]
    return Picture(
        f"compare-{name}-{_FILES[cost]}",
        f"What the search cost, in {_UNITS[cost]}",
        f"Of each run's tickets, the {name_of(quantity, metric)} against the {_UNITS[cost]} that "
        "were spent before they could be trained; then all are trained alike. Each run has the "
        "level nearest to the density. Means; lines from minimum to maximum; dashed: the mean of "
        "the dense networks.",
        functools.partial(_draw, panels, labels, quantity, dense, metric, _AXES[cost]),
    )


def panels_of(
    points: Sequence[Point], quantity: str, cost: str = SEARCH
) -> dict[float, dict[str, tuple[Point, Point]]]:
    """Returns cost and quantity of each run's nearest level, by density and run.

    Args:
        points: those of the runs.
        quantity: what is drawn against the cost.
        cost: the cost's quantity.
    """
    pairs: dict[str, list[tuple[Point, Point]]] = {}
    found = {(p.run, p.level, p.quantity): p for p in points if p.arm == TICKET}
    for (run, level, name), spent in found.items():
        if name == cost and (run, level, quantity) in found:
            pairs.setdefault(run, []).append((spent, found[run, level, quantity]))
    panels = {density: _nearest(pairs, density) for density in _WANTED}
    panels = {density: runs for density, runs in panels.items() if len(runs) > 1}
    if not panels and len(pairs) > 1:
        # All are denser: the sparsest density that every run comes to.
        density = max(min(pair[1].density for pair in of_run) for of_run in pairs.values())
        panels = {density: _nearest(pairs, density)}
    return {density: runs for density, runs in panels.items() if len(runs) > 1}


def _nearest(
    pairs: Mapping[str, Sequence[tuple[Point, Point]]], density: float
) -> dict[str, tuple[Point, Point]]:
    def distance(pair: tuple[Point, Point]) -> float:
        return abs(math.log(pair[1].density / density))

    nearest = {run: min(of_run, key=distance) for run, of_run in pairs.items()}
    return {run: pair for run, pair in nearest.items() if distance(pair) <= math.log(_NEAR)}


def _draw(
    panels: Mapping[float, Mapping[str, tuple[Point, Point]]],
    labels: Mapping[str, str],
    quantity: str,
    dense: Sequence[float],
    metric: Metric,
    axis: str,
) -> Figure:
    figure = canvas.new_figure(height=0.6 + 2.2 * len(panels))
    rows = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    scale = metric.scale
    for axes, (density, runs) in zip(rows, panels.items(), strict=True):
        for place, (run, called) in enumerate(labels.items()):
            style = {
                **canvas.look(place),
                "linestyle": "",
                "label": canvas.visible(called),
            }
            if run not in runs:
                axes.plot([], [], **style)
                continue
            cost, found = runs[run]
            low, high = scale * (found.mean - found.min), scale * (found.max - found.mean)
            axes.errorbar([cost.mean], [scale * found.mean], [[low], [high]], **style)
        if dense:
            axes.axhline(scale * statistics.fmean(dense), color=canvas.GREY, linestyle="--")
        shown = f"{label(quantity, metric)}, {percent(density)} of the weights"
        canvas.title(axes, shown)
    costs = [cost.mean for runs in panels.values() for cost, _ in runs.values()]
    _cost_axis(rows[-1], costs, axis)
    canvas.legend_below(rows[0])
    return figure


def _cost_axis(axes: Axes, costs: Sequence[float], label: str) -> None:
    """Makes the x axis logarithmic, but with 0, which some searches cost."""
    least, most = min((cost for cost in costs if cost), default=1), max(*costs, 1)
    axes.set_xscale("symlog", linthresh=least)
    axes.set_xlim(-0.1 * least, 2 * max(most, least))
    steps = (1, 2, 5) if most < 50 * least else (1,)
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(2 * most)) + 1)
    ticks = [step * 10**power for power in powers for step in steps]
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks([0, *(tick for tick in ticks if least <= tick <= 2 * most)])
    canvas.thousands(axes.xaxis)
    axes.set_xlabel(label)
