"""The canvas: what all figures look like, and how they become files, the same bits every time."""

import contextlib
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from lth_tf import files

# Every colour of the figures, on a light and on a dark page. Blue to sky are Okabe and Ito's, which
# the colour-blind tell apart; those of levels rise in lightness, so that print keeps their order.
SCHEME = {
    "surface": ("#ffffff", "#14181d"),
    "ink": ("#24292f", "#dfe3e8"),
    "muted": ("#6b7480", "#98a2ad"),
    "grid": ("#e4e7eb", "#2b323a"),
    "blue": ("#0072b2", "#4fa8e8"),
    "vermilion": ("#d55e00", "#f5834a"),
    "green": ("#009e73", "#2fc493"),
    "pink": ("#cc79a7", "#e59cc7"),
    "orange": ("#e69f00", "#f2b84b"),
    "sky": ("#56b4e9", "#a5dcff"),
    "level-1": ("#440154", "#a78bfa"),
    "level-2": ("#31688e", "#5aa9d6"),
    "level-3": ("#35b779", "#4fd394"),
    "level-4": ("#d8a510", "#f0d264"),
}
SURFACE, INK, GREY, _GRID = (SCHEME[name][0] for name in ("surface", "ink", "muted", "grid"))
COLOURS = tuple(
    SCHEME[name][0] for name in ("blue", "vermilion", "green", "pink", "orange", "sky", "ink")
)
MARKERS = ("o", "s", "^", "v", "D", "P", "X")
# From the densest to the sparsest of up to four levels.
LEVEL_COLOURS = tuple(light for name, (light, _) in SCHEME.items() if name.startswith("level"))

_STYLE = {
    "font.size": 11,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    # Names of runs stand in figures, and may hold what would be a formula.
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "lth_tf",
    **dict.fromkeys(("text.color", "axes.titlecolor", "axes.labelcolor"), INK),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), GREY),
    **dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor"), INK),
    **dict.fromkeys(("axes.facecolor", "figure.facecolor"), SURFACE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlepad": 10,
    "axes.grid": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.title_fontsize": 10,
    "legend.fontsize": 10,
    "errorbar.capsize": 2,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
}
# The most ticks that an axis of densities has room for.
_TICKS = 11
# The most characters of a line of a title.
_WIDTH = 44
# The most characters of a label beside another one, and alone.
_SHORT, _LONG = 27, 56
# The height of a line of a legend, in inches.
_LINE = 0.2
# How far apart, as a ratio, values are that a logarithmic axis suits.
_FAR = 5


def style() -> contextlib.AbstractContextManager:
    """Returns the context in which figures are made and written."""
    return matplotlib.rc_context(_STYLE)


def new_figure(width: float = 5.2, height: float = 3.4) -> Figure:
    """Returns an empty figure, to which a legend adds its height.

    Sizes are in inches, such that it is readable on a phone.

    Args:
        width: in inches.
        height: in inches.
    """
    return Figure(figsize=(width, height), layout="constrained")


def write_figure(draw: Callable[[], Figure], folder: Path, name: str) -> tuple[Path, Path]:
    """Draws a figure into `name`.png and `name`.svg, and returns their paths.

    Args:
        draw: makes the figure.
        folder: where the files go.
        name: of the files, without their endings.

    Raises:
        UserError: if they cannot be written.
    """
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    with style():
        figure = draw()
        with files.atomic(svg) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})
        # The layout that was found is kept: finding it costs as much as drawing.
        figure.set_layout_engine(None)
        with files.atomic(png) as temporary:
            figure.savefig(temporary, format="png", dpi=200)
    return png, svg


def title(axes: Axes, text: str) -> None:
    """Says over the axes what they show, in lines that the figure has room for.

    Args:
        axes: the axes of a figure.
        text: what they show.
    """
    axes.set_title(textwrap.fill(text[0].upper() + text[1:], _WIDTH))


def density_axis(axes: Axes, densities: Sequence[float]) -> None:
    """Makes the x axis one of densities in per cent, logarithmic and running downwards.

    Args:
        axes: the axes of a figure.
        densities: the densities that are drawn, as fractions; the ticks are among them.
    """
    wanted = sorted({100 * density for density in densities}, reverse=True)
    ticks = _apart(wanted)
    _downwards(axes, wanted, ticks)
    axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    axes.set_xlabel("weights remaining (%)")


def weights_axis(axes: Axes, numbers: Sequence[float]) -> None:
    """Makes the x axis one of numbers of weights, logarithmic and running downwards.

    Args:
        axes: the axes of a figure.
        numbers: the numbers that are drawn.
    """
    first, last = max(numbers), min(numbers)
    powers = range(math.floor(math.log10(last)), math.ceil(math.log10(first)) + 1)
    round_numbers = [step * 10**power for power in powers for step in (1, 2, 5)]
    inside = [number for number in round_numbers if last <= number <= first]
    _downwards(axes, [first, last], _apart(inside[::-1]) if inside else [first])
    thousands(axes.xaxis)
    axes.set_xlabel("weights remaining")


def _downwards(axes: Axes, falling: Sequence[float], ticks: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(falling[0] * 1.08, falling[-1] / 1.08)


def legend_below(axes: Axes, counts: Mapping[str, str] | None = None) -> None:
    """Puts the legend under the axes, where it covers no data, and makes the figure that higher.

    Args:
        axes: what it explains.
        counts: by label, how much was measured; said once over the legend if it is the same of all.
    """
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    counts = {label: count for label, count in (counts or {}).items() if count}
    of_all = counts.popitem()[1] if len({*counts.values()}) == 1 else None
    if of_all is None:
        labels = [f"{label} ({counts[label]})" if label in counts else label for label in labels]
    labels = [textwrap.fill(label, _LONG) for label in labels]
    columns = 1 if max(map(len, labels)) > _SHORT else min(2, len(labels))
    figure = axes.figure
    lines = sum(label.count("\n") + 1 for label in labels) / columns + bool(of_all)
    figure.set_figheight(figure.get_figheight() + _LINE * math.ceil(lines))
    figure.legend(
        handles, labels, title=of_all, loc="outside lower center", ncols=columns, handlelength=2.6
    )


def band(
    axes: Axes, where: Sequence[float], low: Sequence[float], high: Sequence[float], colour: object
) -> None:
    """Shades what lies between minimum and maximum.

    Args:
        axes: the axes of a figure.
        where: positions on the x axis.
        low: the lower end at each.
        high: the upper end at each.
        colour: a colour as matplotlib takes it.
    """
    if list(low) != list(high):
        axes.fill_between(where, low, high, color=colour, alpha=0.13, linewidth=0)


def logarithmic_y(axes: Axes, values: Sequence[float]) -> None:
    """Makes the y axis logarithmic, with plain numbers, if these values are far apart.

    Args:
        axes: the axes of a figure.
        values: what is drawn.
    """
    if min(values) <= 0 or max(values) < _FAR * min(values):
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def look(place: int) -> dict[str, object]:
    """Returns the colour and marker of the line at a place among others, for matplotlib.

    No two of 49 are alike: where colours begin again, each has another marker.
    """
    again, colour = divmod(place, len(COLOURS))
    return {"color": COLOURS[colour], "marker": MARKERS[(colour + again) % len(MARKERS)]}


def visible(label: str) -> str:
    """Returns a label that a legend shows: it leaves out those that begin with an underscore."""
    return f"\u200b{label}" if label.startswith("_") else label


def thousands(axis: Axis) -> None:
    """Writes an axis's numbers with a comma between thousands, and with no digits too few."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: _plain(value)))


def _plain(value: float) -> str:
    whole = math.isclose(value, round(value), rel_tol=1e-9)
    return f"{value:,.0f}" if whole else f"{value:,g}"


def _apart(falling: Sequence[float]) -> list[float]:
    """Thins falling values out so that their labels do not touch on a logarithmic axis."""
    step = (falling[0] / falling[-1]) ** (1 / _TICKS)
    kept = [falling[0]]
    for value in falling[1:]:
        if kept[-1] / value >= 0.999 * step:
            kept.append(value)
    return kept
