"""Figures of chosen levels: the metric over iterations, and what is left of each layer."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lth_tf.analysis.figures import canvas
from lth_tf.analysis.figures.lines import count_of, frame_of, with_unit
from lth_tf.analysis.figures.points import CURVE, LAYER, LOSSES, Point
from lth_tf.arms.reinit import Reinit
from lth_tf.metric import ACCURACY, Metric, percent
from lth_tf.runs.experiment import DENSE, TICKET

# The share of a curve that sets its axis: the rise before it would squeeze the rest.
_SETTLED = 0.1


def draw_curves(points: Sequence[Point], metric: Metric = ACCURACY, draws: int = 1) -> Figure:
    """Draws the validation metric over iterations: tickets solid, reinits dotted (Figure 3).

    Bands are from minimum to maximum of tickets and dense network; there are none of a single
    replicate.

    Args:
        points: those of a run.
        metric: what the network is judged by.
        draws: how many draws of a control each replicate has.
    """
    curves = [point for point in points if point.quantity == CURVE]
    figure = canvas.new_figure(height=3.6)
    axes = figure.subplots()
    counts = _draw_arms(axes, curves, metric.scale, draws)
    last = max(point.iteration for point in curves)
    settled = [point for point in curves if point.iteration >= _SETTLED * last]
    frame = frame_of(settled, metric)
    axes.set_ylim(metric.scale * frame.low, metric.scale * frame.high)
    _over_iterations(axes, last)
    canvas.title(axes, with_unit(f"validation {metric.label}", metric))
    canvas.legend_below(axes, counts=counts)
    return figure


def draw_losses(points: Sequence[Point]) -> Figure:
    """Draws validation and training loss over iterations, of tickets and dense network (Figure 11).

    Bands are from minimum to maximum; there are none of a single replicate.
    """
    losses = [name for name in LOSSES if any(point.quantity == name for point in points)]
    figure = canvas.new_figure(height=0.6 + 2.2 * len(losses))
    panels = figure.subplots(len(losses), sharex=True, squeeze=False)[:, 0]
    counts = {}
    for axes, loss in zip(panels, losses, strict=True):
        curves = [point for point in points if point.quantity == loss]
        canvas.logarithmic_y(axes, [end for point in curves for end in (point.min, point.max)])
        counts |= _draw_arms(axes, curves, 1)
        canvas.title(axes, loss.replace("train_", "training ").replace("_", " "))
    _over_iterations(axes, max(point.iteration for point in curves))
    canvas.legend_below(panels[0], counts=counts)
    return figure


def draw_layers(points: Sequence[Point]) -> Figure:
    """Draws what is left of each layer at the chosen levels, first layer to last."""
    densities = [point for point in points if point.quantity.startswith(LAYER) and point.level]
    names = list(dict.fromkeys(point.quantity for point in densities))
    many = len(names) > 5
    figure = canvas.new_figure(height=4.4 if many else 3.4)
    axes = figure.subplots()
    counts = {}
    for level, (colour, marker) in _levels(densities).items():
        chosen = [point for point in densities if point.level == level]
        places = [names.index(point.quantity) for point in chosen]
        means = [100 * point.mean for point in chosen]
        name = f"{percent(chosen[0].density)} in all"
        axes.plot(places, means, color=colour, marker=marker, label=name)
        _draw_band(axes, places, chosen, 100, colour)
        counts[name] = count_of(chosen)
    ends = [100 * end for point in densities for end in (point.min, point.max)]
    canvas.logarithmic_y(axes, ends)
    short = [name.removeprefix(LAYER).removesuffix("/kernel") for name in names]
    turned = {"rotation": 90, "fontsize": 9} if many else {}
    axes.set_xticks(range(len(names)), short, **turned)
    axes.set_xlim(-0.4, len(names) - 0.6)
    canvas.title(axes, "weights remaining in each layer (%)")
    axes.set_xlabel("layer")
    canvas.legend_below(axes, counts=counts)
    return figure


def _draw_arms(axes: Axes, curves: Sequence[Point], scale: int, draws: int = 1) -> dict[str, str]:
    """Draws a curve for each level and arm; returns how much is behind each, by label."""
    counts = {}
    for level, (colour, _) in _levels(curves).items():
        for arm, line in ((DENSE, "--"), (TICKET, "-"), (Reinit.name, ":")):
            chosen = [point for point in curves if point.level == level and point.arm == arm]
            if chosen:
                name = f"{percent(chosen[0].density)} {arm}"
                iterations = [point.iteration for point in chosen]
                means = [scale * point.mean for point in chosen]
                style = {"color": colour, "linestyle": line, "linewidth": 1.4}
                axes.plot(iterations, means, label=name, **style)
                if arm != Reinit.name:
                    _draw_band(axes, iterations, chosen, scale, colour)
                counts[name] = count_of(chosen, draws)
    return counts


def _draw_band(
    axes: Axes, where: Sequence[float], points: Sequence[Point], scale: int, colour: str
) -> None:
    low, high = [scale * point.min for point in points], [scale * point.max for point in points]
    canvas.band(axes, where, low, high, colour)


def _over_iterations(axes: Axes, last: int) -> None:
    axes.set_xlim(0, last)
    canvas.thousands(axes.xaxis)
    axes.set_xlabel("iteration")


def _levels(points: Sequence[Point]) -> dict[int, tuple[str, str]]:
    """Returns colour and marker of each level, the same in every figure; 0 is grey."""
    levels = sorted({point.level for point in points})
    styles = iter(zip(canvas.LEVEL_COLOURS, canvas.MARKERS, strict=False))
    return {level: next(styles) if level else (canvas.GREY, "") for level in levels}
