"""The table at the end of a run: each level's density, early stopping, accuracies and time."""

import statistics
from collections.abc import Sequence

from rich.table import Table

from lth_tf.analysis.figures.levels import by_level, density_of
from lth_tf.metric import ACCURACY, Metric
from lth_tf.runs.experiment import DENSE
from lth_tf.runs.results import Result


def results_table(results: Sequence[Result], metric: Metric = ACCURACY) -> Table:
    """Returns a table with a row per level and arm, means over the replicates.

    Args:
        results: finished trainings.
        metric: what their accuracies are.
    """
    caption = None if metric == ACCURACY else f"test: {metric.label}"
    table = Table(header_style="bold", caption=caption)
    for title in ("level", "arm", "density", "early stop", "test there", "test at end", "seconds"):
        table.add_column(title, justify="left" if title == "arm" else "right")
    dense = _mean(by_level(results).get((0, DENSE), []), "test_accuracy_at_early_stop")
    for (level, arm), group in by_level(results).items():
        accuracy = _mean(group, "test_accuracy_at_early_stop")
        table.add_row(
            str(level),
            arm,
            f"{density_of(group):.2%}",
            f"{_mean(group, 'early_stop_iteration'):,.0f}",
            metric.text(accuracy),
            metric.text(_mean(group, "test_accuracy_final")),
            f"{_mean(group, 'seconds'):.1f}",
            style="green" if level and metric.gain(accuracy) >= metric.gain(dense) else None,
        )
    return table


def _mean(group: Sequence[Result], name: str) -> float:
    return statistics.fmean(getattr(r, name) for r in group) if group else float("nan")
