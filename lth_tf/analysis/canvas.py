"""The canvas: what all figures look like, and how they become files, the same bits every time."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from lth_tf import files

GREY = "#666666"
# Okabe and Ito's colours, which the colour-blind tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = ("o", "s", "^", "v", "D", "P", "X")
# From the densest to the sparsest of up to four levels: of rising lightness, so that print and the
# colour-blind keep the order.
LEVEL_COLOURS = ("#440154", "#31688e", "#35b779", "#d8a510")

_STYLE = {
    "font.size": 11,
    "font.family": ["sans-serif"],
    "svg.fonttype": "none",
    "svg.hashsalt": "lth_tf",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "errorbar.capsize": 2,
    "lines.markersize": 4.5,
}
# The most ticks that an axis of densities has room for.
_TICKS = 11


def style() -> contextlib.AbstractContextManager:
    """Returns the context in which figures are made and written."""
    return matplotlib.rc_context(_STYLE)


def new_figure(width: float = 6.4, height: float = 4.4) -> Figure:
    """Returns an empty figure; sizes are in inches, such that a phone's width is readable."""
    return Figure(figsize=(width, height), layout="constrained")


def write_figure(draw: Callable[[], Figure], folder: Path, name: str) -> tuple[Path, Path]:
    """Draws a figure into `name`.png and `name`.svg, and returns their paths.

    Raises:
        UserError: if they cannot be written.
    """
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    with style():
        figure = draw()
        with files.atomic(png) as temporary:
            figure.savefig(temporary, format="png", dpi=150)
        with files.atomic(svg) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})
    return png, svg


def density_axis(axes: Axes, densities: Sequence[float]) -> None:
    """Makes the x axis one of densities in per cent, logarithmic and running downwards."""
    axes.set_xscale("log")
    wanted = sorted({100 * density for density in densities}, reverse=True)
    ticks = _apart(wanted)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    axes.set_xlim(wanted[0] * 1.08, wanted[-1] / 1.08)
    axes.set_xlabel("weights remaining (%)")


def legend_below(axes: Axes, columns: int = 2) -> None:
    """Puts the legend under the axes, where it covers no data."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        columns = min(columns, len(labels))
        axes.figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=10)


def thousands(axis: Axis) -> None:
    """Writes an axis's numbers with a comma between thousands."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _apart(densities: Sequence[float]) -> list[float]:
    """Thins falling densities out so that their labels do not touch on a logarithmic axis."""
    step = (densities[0] / densities[-1]) ** (1 / _TICKS)
    kept = [densities[0]]
    for density in densities[1:]:
        if kept[-1] / density >= 0.999 * step:
            kept.append(density)
    return kept
