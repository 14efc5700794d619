"""Connections: how many surviving connections each unit has, in and out (Appendix F.6)."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lth_tf.analysis.figures.gallery import Picture
from lth_tf.analysis.pages.table import Table
from lth_tf.runs.experiment import Training
from lth_tf.runs.run import Run
from lth_tf.studies import STUDIES, Study
from lth_tf.studies.levels import (
    dense_and_tickets,
    draw_histograms,
    grouped,
    lacks_tickets,
    mean,
    mean_text,
    short,
)

if TYPE_CHECKING:
    from lth_tf.lottery.opened_run import OpenedRun

INCOMING, OUTGOING = "incoming", "outgoing"
_BINS = 40
_COLUMNS = (
    "level", "layer", "connections", "weights remaining (%)", "units", "without any",
    "deviation between units (points)", "over chance",
)  # fmt: skip
_NOTE = (
    "Of each unit, or channel of a convolution: the share of its connections in the layer that "
    "survive. Incoming: those of the layer's own units; outgoing: those of the units of the layer "
    "before, or the inputs. Deviation: standard deviation of that share between the units. Over "
    "chance: divided by what a random mask of as many weights has (root mean square). Means over "
    "the replicates."
)
_CAPTION = (
    "How the share of surviving connections is spread over the units, at a level. Each is a "
    "density of its own, over all replicates (Appendix F.6)."
)


@dataclasses.dataclass(frozen=True)
class Connections:
    """What is left of the connections of a layer's units.

    Attributes:
        replicate: the replicate.
        level: the level.
        layer: the kernel's name.
        direction: incoming, of the units behind the kernel; or outgoing, of those before it.
        density: remaining over all weights of the kernel.
        units: the number of units.
        empty: those without any connection.
        deviation: standard deviation between the units of the share of connections that survive.
        deviation_by_chance: that of random masks of as many weights, root mean square.
        histogram: how many units have a share in each of `_BINS` bins of equal width from 0 to 1.
    """

    replicate: int
    level: int
    layer: str
    direction: str
    density: float
    units: int
    empty: int
    deviation: float
    deviation_by_chance: float
    histogram: tuple[int, ...]

    @property
    def over_chance(self) -> float | None:
        """The deviation as a multiple of chance's; None where chance leaves none."""
        return self.deviation / self.deviation_by_chance if self.deviation_by_chance else None


@STUDIES.register
class UnitConnections(Study):
    """Counts the surviving connections of each unit."""

    name = "connections"
    title = "surviving connections of the units"
    help = (
        "how evenly surviving connections are spread over the units, incoming and outgoing, beside "
        "a random mask (Appendix F.6)"
    )
    row = Connections
    place = 5

    def lacks(self, run: Run) -> str:
        """See `Study`."""
        return super().lacks(run) or lacks_tickets(run)

    def compute(self, run: "OpenedRun") -> list[Connections]:
        """See `Study`."""
        axes = run.unit_axes()
        return [
            connections(mask, axis, direction, name, training)
            for training in dense_and_tickets(run)
            if training.level
            for name, mask in run.masks(training).items()
            for direction, axis in zip((INCOMING, OUTGOING), axes[name], strict=True)
        ]

    def table(self, rows: Sequence[Connections]) -> Table:
        """Returns a row for each level, layer and direction, means over the replicates."""
        cells = [
            [
                str(level),
                short(layer),
                direction,
                f"{100 * mean(group, 'density'):.3g}",
                str(group[0].units),
                _count(mean(group, "empty")),
                f"{100 * mean(group, 'deviation'):.2f}",
                mean_text(group, "over_chance", ".2f"),
            ]
            for (level, layer, direction), group in grouped(
                rows, "level", "layer", "direction"
            ).items()
        ]
        return Table("Surviving connections of the units", _COLUMNS, cells, _NOTE)

    def pictures(self, rows: Sequence[Connections]) -> list[Picture]:
        """Returns a figure of incoming and one of outgoing connections."""
        return [
            Picture(
                f"{self.name}_{direction}",
                f"{direction.capitalize()} connections that survive, of each unit",
                _CAPTION,
                functools.partial(
                    draw_histograms,
                    group,
                    dict.fromkeys((row.layer for row in group), (0.0, 1.0)),
                    f"{direction} connections that survive, as a share of a unit's",
                    ("", "level"),
                ),
            )
            for direction, group in grouped(rows, "direction").items()
        ]

    def sentence(self, rows: Sequence[Connections]) -> str:
        """Says of the last level how uneven connections are, beside chance."""
        last = max(row.level for row in rows)
        found = []
        for direction in (INCOMING, OUTGOING):
            group = [r for r in rows if (r.level, r.direction) == (last, direction)]
            layers = {
                short(layer): mean(of_layer, "over_chance")
                for layer, of_layer in grouped(group, "layer").items()
            }
            by_layer = ", ".join(f"{x:.2f} in {name}" for name, x in layers.items() if x)
            found.append(f"{direction} {by_layer or 'not at all'}")
        return (
            f"At level {last} the shares of connections that units keep vary by these multiples of "
            f"what a random mask would leave: {'; '.join(found)}."
        )


def _count(units: float) -> str:
    return f"{units:.3g}" if units < 999.5 else f"{units:,.0f}"


def connections(
    mask: np.ndarray, axis: int, direction: str, layer: str, training: Training
) -> Connections:
    """Counts the connections that a mask leaves to each unit along one of its axes.

    Args:
        mask: a kernel's mask, of any shape.
        axis: the axis of the units.
        direction: incoming or outgoing.
        layer: the kernel's name.
        training: the training that has the mask.
    """
    by_unit = np.moveaxis(mask, axis, 0).reshape(mask.shape[axis], -1)
    units, each = by_unit.shape
    shares, density = by_unit.mean(1), float(mask.mean())
    # A unit's count is hypergeometric.
    others = (mask.size - each) / max(1, mask.size - 1)
    return Connections(
        replicate=training.replicate,
        level=training.level,
        layer=layer,
        direction=direction,
        density=density,
        units=units,
        empty=int((shares == 0).sum()),
        deviation=float(shares.std()),
        deviation_by_chance=math.sqrt(density * (1 - density) / each * others),
        histogram=tuple(map(int, np.histogram(shares, _BINS, (0, 1))[0])),
    )
