"""Results by level and kind of arm, in the order in which they are drawn and tabled."""

from collections.abc import Sequence

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
