"""What studies share that go from level to level: which trainings, rows in groups, figures."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lth_tf.analysis.figures import canvas
from lth_tf.runs.experiment import DENSE, TICKET, Training
from lth_tf.runs.run import Run

_LAYERS, _LEVELS = 6, 4  # that a figure has room for
_T = TypeVar("_T")


def dense_and_tickets(run: Run) -> list[Training]:
    """Lists the finished dense networks and tickets, each replicate's level by level."""
    return [each for each in run.store.finished() if each.arm in (DENSE, TICKET)]


def with_dense(run: Run) -> list[Training]:
    """Lists those of the replicates whose dense network is finished.

    A ticket may be finished before it, where no level is pruned from it.
    """
    found = dense_and_tickets(run)
    finished = set(found)
    return [each for each in found if each.dense in finished]


def lacks_tickets(run: Run) -> str:
    """Says that no ticket is finished; nothing if one is."""
    return "" if any(r.arm == TICKET for r in run.results) else "No ticket is finished."


def lacks_pairs(run: Run) -> str:
    """Says that no replicate has both a ticket and its dense network; nothing if one has."""
    if lacks := lacks_tickets(run):
        return lacks
    dense, tickets = ({r.replicate for r in run.results if r.arm == a} for a in (DENSE, TICKET))
    both = dense & tickets
    return "" if both else "No replicate has both its dense network and a ticket finished."


def grouped(rows: Sequence[_T], *names: str) -> dict[Any, list[_T]]:
    """Groups rows by the values of one field, or by tuples of several, in order of levels.

    Args:
        rows: rows of a study, which have a level.
        *names: the fields.
    """
    groups: dict[Any, list[_T]] = {}
    for row in sorted(rows, key=lambda row: row.level):
        values = tuple(getattr(row, name) for name in names)
        groups.setdefault(values if len(names) > 1 else values[0], []).append(row)
    return groups


def mean(rows: Sequence[Any], name: str) -> float | None:
    """Returns the mean of a field; None where a row has none.

    Args:
        rows: rows of a study.
        name: the field.
    """
    values = [getattr(row, name) for row in rows]
    return None if None in values or not values else statistics.fmean(values)


def mean_text(rows: Sequence[Any], name: str, form: str = ".4f") -> str:
    """Writes the mean of a field; nothing where a row has none.

    Args:
        rows: rows of a study.
        name: the field.
        form: how the mean is written, as `format` takes it.
    """
    value = mean(rows, name)
    return "" if value is None else format(value, form)


def mean_of(values: np.ndarray) -> float | None:
    """Returns the mean of an array; None of an empty one."""
    return float(values.mean(dtype=np.float64)) if values.size else None


def reaches(networks: Iterable[Mapping[str, np.ndarray]]) -> dict[str, float]:
    """Returns the largest magnitude by name, over several networks; not 0, as histograms need."""
    found: dict[str, float] = {}
    for arrays in networks:
        for name, array in arrays.items():
            found[name] = max(found.get(name, 0.0), float(np.abs(array).max())) or 1.0
    return found


def histogram(values: np.ndarray, reach: float, bins: int) -> tuple[int, ...]:
    """Counts values in bins of equal width.

    Args:
        values: of any shape.
        reach: the bins are from -reach to reach.
        bins: how many there are.
    """
    return tuple(map(int, np.histogram(values, np.linspace(-reach, reach, bins + 1))[0]))


def short(layer: str) -> str:
    """Returns a kernel's name as tables and figures have it."""
    return layer.removesuffix("/kernel")


def draw_histograms(
    rows: Sequence[Any],
    ends: Mapping[str, tuple[float, float]],
    xlabel: str,
    labels: tuple[str, str],
) -> Figure:
    """Draws the rows' histograms, a panel for each layer: level 0 in grey, a line for each level.

    Each is a density of its own, over all replicates.

    Args:
        rows: have a layer, a level and a histogram: counts in bins of equal width.
        ends: where a layer's histograms begin and end.
        xlabel: of the x axis.
        labels: of level 0, or nothing to leave it out; and of the others, before their number.
    """
    layers = spread(list(dict.fromkeys(row.layer for row in rows)), _LAYERS)
    levels = spread(sorted({row.level for row in rows if row.level}), _LEVELS)
    figure = canvas.new_figure(height=0.6 + 1.7 * len(layers))
    panels = figure.subplots(len(layers), squeeze=False)[:, 0]
    groups = grouped(rows, "layer", "level")
    for axes, layer in zip(panels, layers, strict=True):
        for level in (*([0] if labels[0] else []), *levels):
            group = groups.get((layer, level), [])
            counts = np.sum([row.histogram for row in group], axis=0)
            if level:
                colour = canvas.LEVEL_COLOURS[levels.index(level)]
                line = {"color": colour, "label": f"{labels[1]} {level}"}
            if not np.sum(counts):
                if level and axes is panels[0]:  # which the legend is of
                    axes.plot([], [], **line)
                continue
            edges = np.linspace(*ends[layer], len(counts) + 1)
            density = counts / counts.sum() / (edges[1] - edges[0])
            if level:
                axes.stairs(density, edges, **line)
            else:
                grey = {"color": canvas.GREY, "alpha": 0.35}
                axes.stairs(density, edges, fill=True, label=labels[0], **grey)
        axes.set_yticks([])
        axes.locator_params(axis="x", nbins=5)
        axes.set_title(short(layer))
    panels[-1].set_xlabel(xlabel)
    canvas.legend_below(panels[0])
    return figure


def draw_against_density(
    axes: Axes, lines: Mapping[str, Mapping[float, Sequence[float]]], title: str
) -> None:
    """Draws lines of means over replicates, with bands from minimum to maximum.

    Args:
        axes: the axes of a figure.
        lines: by label, values by density, a fraction.
        title: what they are.
    """
    for number, (label, values) in enumerate(lines.items()):
        style = canvas.look(number)
        densities = sorted(values, reverse=True)
        where = [100 * density for density in densities]
        axes.plot(where, [statistics.fmean(values[d]) for d in densities], label=label, **style)
        low, high = ([end(values[d]) for d in densities] for end in (min, max))
        canvas.band(axes, where, low, high, style["color"])
    canvas.density_axis(axes, [density for values in lines.values() for density in values])
    canvas.title(axes, title)


def values_by_density(rows: Sequence[Any], name: str, scale: float = 1) -> dict[float, list[float]]:
    """Returns the values of a field by density, as `draw_against_density` takes a line.

    Args:
        rows: rows of a study, which have a density.
        name: the field.
        scale: what its values are multiplied by.
    """
    found = grouped(rows, "density")
    return {density: [scale * getattr(r, name) for r in group] for density, group in found.items()}


def spread(things: Sequence[_T], most: int) -> list[_T]:
    """Returns some of the things, evenly spread, the first and the last among them.

    Args:
        things: what is chosen from.
        most: at most so many are returned.
    """
    places = np.linspace(0, len(things) - 1, min(len(things), most))
    return [things[place] for place in sorted({round(place) for place in places})]
