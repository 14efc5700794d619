"""Levels: results by level and kind of arm, in the order in which they are drawn and tabled."""

import statistics
from collections.abc import Iterable, Sequence

import numpy as np

from lth_tf.analysis.figures.arm_styles import in_order
from lth_tf.runs.experiment import DENSE, kind_of
from lth_tf.runs.results import Result


def by_level(results: Sequence[Result]) -> dict[tuple[int, str], list[Result]]:
    """Groups results by level and kind of arm, in order, replicates and draws together."""
    groups: dict[tuple[int, str], list[Result]] = {}
    arms = in_order({kind_of(result.arm) for result in results} - {DENSE})
    order = {kind: place for place, kind in enumerate((DENSE, *arms))}
    for result in sorted(results, key=lambda r: (r.level, order[kind_of(r.arm)], r.replicate)):
        groups.setdefault((result.level, kind_of(result.arm)), []).append(result)
    return groups


def density_of(results: Iterable[Result]) -> float:
    """Returns the mean density; replicates may differ where masks are learned or of filters.

    Equal ones keep their bits.
    """
    return statistics.mean(result.density for result in results)


def listed(levels: Sequence[int]) -> str:
    """Writes rising levels as a text has them, as in "levels 1 to 3, 5"."""
    if not levels:
        return "no level"
    runs = np.split(np.array(levels), np.flatnonzero(np.diff(levels) > 1) + 1)
    parts = [f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return f"level{'s' if len(levels) > 1 else ''} {', '.join(parts)}"
