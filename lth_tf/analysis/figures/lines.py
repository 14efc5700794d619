"""Figures, drawn as the paper draws them: density on a logarithmic axis that runs downwards."""

import dataclasses
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lth_tf.analysis.figures import canvas
from lth_tf.analysis.figures.arm_styles import in_order, label_of, style_of
from lth_tf.analysis.figures.points import (
    AT_EARLY_STOP,
    AT_END,
    COUNTS,
    EARLY_STOP,
    SEARCH,
    Point,
)
from lth_tf.metric import ACCURACY, Metric
from lth_tf.runs.experiment import DENSE, TICKET
from lth_tf.runs.results import (
    SEARCH_WORK,
    TRAIN_AT_EARLY_STOP,
    TRAIN_AT_END,
    UNTRAINED,
    VALIDATION_AT_EARLY_STOP,
    WORK,
)

_NAMES = {
    EARLY_STOP: "early-stopping iteration",
    AT_EARLY_STOP: "test {} at early stopping",
    AT_END: "test {} at the end",
    TRAIN_AT_EARLY_STOP: "training {} at early stopping",
    TRAIN_AT_END: "training {} at the end",
    VALIDATION_AT_EARLY_STOP: "validation {} at early stopping",
    SEARCH: "iterations of the search",
    SEARCH_WORK: "multiply-adds of the search",
    WORK: "multiply-adds of the training",
    UNTRAINED: "test {} before training",
}
# Of the axis of accuracies, as a multiple of the best one's error: what is far worse would squeeze
# the differences that matter. 3 gives the paper's own axis of Figure 3, 94 to 99 %.
_WORST = 3
# The smallest error that counts for this: where the best one is about perfect, what is nearly so
# must still be inside.
_ERROR = 0.02


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of a figure.

    Attributes:
        label: its name in the legend; empty for none.
        points: what it joins, dense to sparse; empty for none.
        style: matplotlib's keywords.
        leads: whether the axes reach as far as it does.
        count: how much was measured for each of its points, for the legend; empty if unsaid.
        banded: whether a band shows minimum and maximum.
        size: kernel weights of its dense network, where the axis has the number of weights that
            remain; None where it has the density.
    """

    label: str
    points: Sequence[Point]
    style: dict[str, object]
    leads: bool = True
    count: str = ""
    banded: bool = True
    size: int | None = None

    def place(self, point: Point) -> float:
        """Returns where a point is on the axis: its number of weights, or density in per cent."""
        return point.density * (100 if self.size is None else self.size)


@dataclasses.dataclass(frozen=True)
class Frame:
    """The part of an axis of accuracies, or another metric, that is shown, as fractions.

    Attributes:
        low: its lower end.
        high: its upper end.
        cuts: whether something worse lies outside of it.
    """

    low: float
    high: float
    cuts: bool


def name_of(quantity: str, metric: Metric) -> str:
    """Returns a quantity's name in a text.

    Args:
        quantity: a column of results.csv that is plotted.
        metric: what the accuracies are.
    """
    if quantity in _NAMES:
        return _NAMES[quantity].format(metric.label)
    return f"test {metric.label} at iteration {int(quantity.rpartition('_')[2]):,}"


def label(quantity: str, metric: Metric) -> str:
    """Returns a quantity's name for an axis, with its unit.

    Args:
        quantity: a column of results.csv that is plotted.
        metric: what the accuracies are.
    """
    name = name_of(quantity, metric)
    return name if quantity in COUNTS else with_unit(name, metric)


def with_unit(name: str, metric: Metric) -> str:
    """Returns the name of something that the metric was measured of, with its unit.

    Args:
        name: what was measured.
        metric: what the accuracies are.
    """
    return f"{name} ({metric.unit})" if metric.unit else name


def draw_quantity(
    lines: Sequence[Line], quantity: str, frame: Frame | None = None, metric: Metric = ACCURACY
) -> Figure:
    """Draws a quantity against density.

    Args:
        lines: what to draw.
        quantity: what it is.
        frame: of an axis of accuracies; by default `frame_of` what is drawn.
        metric: what the accuracies are.
    """
    figure = canvas.new_figure()
    axes = figure.subplots()
    draw_lines(axes, lines, quantity, frame, metric)
    canvas.legend_below(axes, counts={line.label: line.count for line in lines})
    return figure


def arm_lines(points: Sequence[Point], quantity: str, draws: int = 1) -> list[Line]:
    """Returns a line for the dense network and one for each arm, from the dense network on.

    Args:
        points: those of a run.
        quantity: what is drawn of them.
        draws: how many draws of a control each replicate has.
    """
    chosen = [point for point in points if point.quantity == quantity]
    dense = [point for point in chosen if point.arm == DENSE]
    lines = [Line("dense network", dense, {}, count=count_of(dense))] if dense else []
    for arm in in_order({point.arm for point in chosen} - {DENSE}):
        of_arm = [point for point in chosen if point.arm == arm]
        count = count_of(of_arm, draws)
        before = dense if of_arm[0].level else []
        lines.append(Line(label_of(arm), [*before, *of_arm], style_of(arm), count=count))
    return lines


def count_of(points: Sequence[Point], draws: int = 1) -> str:
    """Says how many replicates, or trainings of several draws each, are behind each point, if any.

    Args:
        points: those of one arm.
        draws: how many draws of a control each replicate has.
    """
    numbers = sorted({point.n for point in points})
    if not numbers:
        return ""
    several = draws > 1 and any(point.arm not in (DENSE, TICKET) for point in points)
    what = "training" if several else "replicate"
    plural = "s" if numbers[-1] > 1 else ""
    return f"{' to '.join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))} {what}{plural}"


def paper_lines(points: Sequence[Point], quantity: str) -> list[Line]:
    """Returns a thin line of the paper's numbers, if there are any.

    Args:
        points: the paper's.
        quantity: a column of results.csv that is plotted.
    """
    chosen = [point for point in points if point.quantity == quantity]
    thin = {"color": canvas.INK, "linewidth": 0.8, "linestyle": ":"}
    return [Line("the paper's tickets", chosen, thin, leads=False)] if chosen else []


def framed_points(lines: Sequence[Line]) -> list[Point]:
    """Returns the points that the axes show: all of leading lines, of others those as dense."""
    leading = [point for line in lines if line.leads for point in line.points]
    sparsest = min((point.density for point in leading), default=1.0)
    others = [point for line in lines if not line.leads for point in line.points]
    return [*leading, *(point for point in others if point.density > sparsest / 1.05)]


def frame_of(points: Sequence[Point], metric: Metric = ACCURACY) -> Frame:
    """Returns the part of an axis of accuracies in which these points are shown.

    What is far worse than the best is outside, but never more than a quarter of the points are.

    Args:
        points: what is shown.
        metric: what the accuracies are.
    """
    lows, highs = (sorted(ends) for ends in zip(*map(_ends, points), strict=True))
    means = [point.mean for point in points]
    quarter = len(points) // 4
    low, high = lows[0], highs[-1]
    if metric.is_fraction:
        worst = 1 - _WORST * max(1 - max(means), _ERROR)
        low = max(low, min(worst, lows[quarter]))
    elif not metric.higher_is_better and min(means) > 0:
        worst = _WORST * min(means)
        high = min(high, max(worst, highs[-1 - quarter]))
    margin = 0.05 * (high - low) or 0.005 * max(1, abs(high))
    cuts = (low, high) != (lows[0], highs[-1])
    return Frame(low - margin, high + margin, cuts)


def draw_lines(
    axes: Axes,
    lines: Sequence[Line],
    quantity: str,
    frame: Frame | None = None,
    metric: Metric = ACCURACY,
) -> None:
    """Draws lines of a quantity against density, or number of weights, with bands of its range.

    Args:
        axes: the axes of a figure.
        lines: what to draw.
        quantity: a column of results.csv that is plotted.
        frame: of an axis of accuracies; by default `frame_of` what is drawn.
        metric: what the accuracies are.
    """
    points = framed_points(lines)
    scale = 1 if quantity == EARLY_STOP else metric.scale
    for line in lines:
        _draw_line(axes, line, scale)
    canvas.title(axes, label(quantity, metric))
    if points:
        leading = [line for line in lines if line.leads]
        if any(line.size for line in leading):
            canvas.weights_axis(axes, [line.place(p) for line in leading for p in line.points])
        else:
            canvas.density_axis(axes, [p.density for line in leading for p in line.points])
    if quantity == EARLY_STOP:
        axes.set_ylim(0, 1.05 * max((_ends(point)[1] for point in points), default=0) or 1)
        canvas.thousands(axes.yaxis)
    elif points:
        frame = frame or frame_of(points, metric)
        axes.set_ylim(scale * frame.low, scale * frame.high)


def _draw_line(axes: Axes, line: Line, scale: float) -> None:
    means = [scale * point.mean for point in line.points]
    if not line.style:  # the dense network: a level to compare with, not a line
        axes.axhline(means[0], color=canvas.GREY, linestyle="--", linewidth=1, label=line.label)
        return
    places = [line.place(point) for point in line.points]
    axes.plot(places, means, label=line.label or None, **line.style)
    if line.banded and line.points:
        ends = [[scale * end for end in _ends(point)] for point in line.points]
        canvas.band(axes, places, *zip(*ends, strict=True), line.style["color"])


def _ends(point: Point) -> tuple[float, float]:
    return (
        point.mean if point.min is None else point.min,
        point.mean if point.max is None else point.max,
    )
