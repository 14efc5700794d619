"""Published: runs without their trainings' folders, whose weights are too large to be kept.

Such a folder has experiment.json, results.csv, and the levels.csv of the run's report: what is
drawn over iterations and by layer cannot be made of results.csv.
"""

import csv
import dataclasses
from collections.abc import Mapping
from typing import Any

from lth_tf.analysis.figures.paper_points import PAPER
from lth_tf.analysis.figures.points import LAYER, Point
from lth_tf.errors import UserError
from lth_tf.runs.run import Run


def kept_points(run: Run) -> list[Point]:
    """Returns the points of curves and layers that a published run's levels.csv keeps.

    Args:
        run: the run; without the file it has none.

    Raises:
        UserError: if the file is damaged, or of several runs.
    """
    path = run.store.folder / "levels.csv"
    if not path.exists():
        return []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            points = [_point(row) for row in csv.DictReader(file) if row["run"] != PAPER]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: must be the levels.csv of the run's report, but {error}"
        ) from None
    runs = sorted({point.run for point in points})
    if len(runs) > 1:
        raise UserError(f"{path}: must be of one run's report, has {', '.join(runs)}")
    return [
        dataclasses.replace(point, run=run.name)
        for point in points
        if point.iteration is not None or point.quantity.startswith(LAYER)
    ]


def _point(row: Mapping[str, str]) -> Point:
    numbers: dict[str, Any] = {name: float(row[name]) for name in ("density", "mean", "min", "max")}
    return Point(
        run=row["run"],
        level=int(row["level"]),
        arm=row["arm"],
        quantity=row["quantity"],
        iteration=int(row["iteration"]) if row["iteration"] else None,
        n=int(row["n"]),
        **numbers,
    )
