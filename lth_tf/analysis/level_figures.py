"""Figures of chosen levels: the metric over iterations, and what is left of each layer."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from lth_tf.analysis import canvas
from lth_tf.analysis.figures import frame_of, with_unit
from lth_tf.analysis.levels import CURVE, LAYER, Point
from lth_tf.metric import ACCURACY, Metric, percent

# The share of a curve that sets its axis: the rise before it would squeeze the rest.
_SETTLED = 0.1


def draw_curves(points: Sequence[Point], metric: Metric = ACCURACY) -> Figure:
    """Draws the validation metric over iterations: tickets solid, reinits dotted (Figure 3).

    Bands are from minimum to maximum of the tickets; there are none of a single replicate.
    """
    curves = [point for point in points if point.quantity == CURVE]
    figure = canvas.new_figure(6.4, 4.8)
    axes = figure.subplots()
    for level, (colour, _) in _levels(curves).items():
        for arm, line in (("dense", "--"), ("ticket", "-"), ("reinit", ":")):
            chosen = [p for p in curves if p.level == level and p.arm == arm]
            if chosen:
                name = f"{percent(chosen[0].density)} {arm}"
                _draw_curve(axes, chosen, metric.scale, colour, line, name)
    last = max(point.iteration for point in curves)
    settled = [point for point in curves if point.iteration >= _SETTLED * last]
    frame = frame_of(settled, metric)
    axes.set_ylim(metric.scale * frame.low, metric.scale * frame.high)
    axes.set_xlim(0, last)
    canvas.thousands(axes.xaxis)
    axes.set_xlabel("iteration")
    axes.set_ylabel(with_unit(f"validation {metric.label}", metric))
    canvas.legend_below(axes, columns=3)
    return figure


def draw_layers(points: Sequence[Point]) -> Figure:
    """Draws what is left of each layer at the chosen levels, first layer to last."""
    densities = [point for point in points if point.quantity.startswith(LAYER) and point.level]
    names = list(dict.fromkeys(point.quantity for point in densities))
    many = len(names) > 5
    figure = canvas.new_figure(6.4, 6.4 if many else 4.8)
    axes = figure.subplots()
    for level, (colour, marker) in _levels(densities).items():
        chosen = [point for point in densities if point.level == level]
        places = [names.index(point.quantity) for point in chosen]
        means = [100 * point.mean for point in chosen]
        low = [max(0, m - 100 * p.min) for m, p in zip(means, chosen, strict=True)]
        high = [max(0, 100 * p.max - m) for m, p in zip(means, chosen, strict=True)]
        name = f"{percent(chosen[0].density)} in all"
        axes.errorbar(places, means, [low, high], color=colour, marker=marker, label=name)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    short = [name.removeprefix(LAYER).removesuffix("/kernel") for name in names]
    turned = {"rotation": 90, "fontsize": 9} if many else {}
    axes.set_xticks(range(len(names)), short, **turned)
    axes.set_xlim(-0.4, len(names) - 0.6)
    axes.set_ylabel("weights remaining in the layer (%)")
    axes.set_xlabel("layer")
    canvas.legend_below(axes, columns=4)
    return figure


def _draw_curve(
    axes: Axes, points: Sequence[Point], scale: int, colour: str, line: str, name: str
) -> None:
    iterations = [point.iteration for point in points]
    means = [scale * point.mean for point in points]
    axes.plot(iterations, means, color=colour, linestyle=line, linewidth=1.4, label=name)
    if line != ":":
        low, high = [scale * point.min for point in points], [scale * point.max for point in points]
        axes.fill_between(iterations, low, high, color=colour, alpha=0.15, linewidth=0)


def _levels(points: Sequence[Point]) -> dict[int, tuple[str, str]]:
    """Returns colour and marker of each level, the same in every figure; 0 is grey."""
    levels = sorted({point.level for point in points})
    styles = iter(zip(canvas.LEVEL_COLOURS, canvas.MARKERS, strict=False))
    return {level: next(styles) if level else (canvas.GREY, "") for level in levels}
