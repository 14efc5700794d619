"""Published: runs without their trainings' folders, whose weights are too large to be kept.

Such a folder has experiment.json, results.csv, and the levels.csv of the run's report: what is
drawn over iterations and by layer cannot be made of results.csv.
"""

import dataclasses
import os
from collections.abc import Mapping

from lth_tf.analysis.figures.paper_points import PAPER
from lth_tf.analysis.figures.points import LAYER, Point
from lth_tf.errors import UserError
from lth_tf.reading import Count, conform_row, read_table
from lth_tf.runs.run import Run


@dataclasses.dataclass(frozen=True)
class _Row:
    """What a row of a run's levels.csv has; see `Point`."""

    run: str
    level: Count
    density: float
    arm: str
    quantity: str
    n: Count
    mean: float
    min: float
    max: float
    iteration: Count | None = None


_COLUMNS = frozenset(field.name for field in dataclasses.fields(_Row))


def kept_points(run: Run) -> list[Point]:
    """Returns the points of curves and layers that a published run's levels.csv keeps.

    Args:
        run: the run; without the file it has none.

    Raises:
        UserError: if the file is damaged, or of several runs.
    """
    path = run.store.folder / "levels.csv"
    if not os.path.lexists(path):
        return []
    rows = enumerate(read_table(path, _COLUMNS), 2)
    points = [_point(f"{path}: row {n}", row) for n, row in rows if not _is_papers(row)]
    runs = sorted({point.run for point in points})
    if len(runs) > 1:
        raise UserError(f"{path}: must be of one run's report, has {', '.join(runs)}")
    return [
        dataclasses.replace(point, run=run.name, quantity=run.metric.quantity(point.quantity))
        for point in points
        if point.iteration is not None or point.quantity.startswith(LAYER)
    ]


def _is_papers(row: Mapping[str, str]) -> bool:
    """Says whether a row has a number of the paper's, and not of a run of that name."""
    return row["run"] == PAPER and row["level"] == ""


def _point(where: str, row: Mapping[str, str]) -> Point:
    texts = {name: row[name] for name in _COLUMNS}
    return Point(**vars(conform_row(where, texts, _Row)))
