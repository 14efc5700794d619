"""The table at the end of a run, from results made by hand."""

import re
import subprocess
import sys

from rich.console import Console

from lth_tf.analysis.figures.levels import by_level
from lth_tf.analysis.report.results_table import results_table
from lth_tf.metric import Metric
from lth_tf.runs.results import Result

DENSITIES = [1.0, 0.8, 0.64]


def result(level, accuracy, replicate=0, iteration=100):
    return Result(
        replicate=replicate,
        level=level,
        arm="ticket" if level else "dense",
        density=DENSITIES[level],
        remaining=round(1000 * DENSITIES[level]),
        early_stop_iteration=iteration,
        validation_loss_at_early_stop=0.3,
        test_accuracy_at_early_stop=accuracy,
        test_accuracy_final=accuracy - 0.01,
        iterations=2000,
        seconds=2.0,
        test_accuracy_at={},
        layers={"a/kernel": (round(1000 * DENSITIES[level]), 1000)},
    )


def test_results_are_grouped_by_level_with_the_replicates_in_order():
    results = [result(level, 0.9, replicate) for replicate in (2, 0, 1) for level in (1, 0, 2)]
    groups = by_level(results)
    assert list(groups) == [(0, "dense"), (1, "ticket"), (2, "ticket")]
    for group in groups.values():
        assert [r.replicate for r in group] == [0, 1, 2]


def test_the_table_has_the_means_and_marks_winning_tickets():
    results = [
        result(0, 0.90, 0, 100), result(0, 0.80, 1, 3000),
        result(1, 0.89, 0, 100), result(1, 0.83, 1, 200), result(2, 0.84, 0, 50),
    ]  # fmt: skip
    table = results_table(results)
    assert [row.style for row in table.rows] == [None, "green", None]
    console = Console(width=120, record=True)
    with console.capture() as capture:
        console.print(table)
    cells = [[c.strip() for c in line.split("│")[1:-1]] for line in capture.get().splitlines()]
    assert [row for row in cells if row] == [
        ["0", "dense", "100.00%", "1,550", "85.00%", "84.00%", "2.0"],
        ["1", "ticket", "80.00%", "150", "86.00%", "85.00%", "2.0"],
        ["2", "ticket", "64.00%", "50", "84.00%", "83.00%", "2.0"],
    ]


def test_the_table_of_an_error_marks_tickets_that_err_less():
    results = [result(0, 0.30), result(1, 0.29), result(2, 0.31)]
    table = results_table(results, Metric.named("mean_absolute_error"))
    assert [row.style for row in table.rows] == [None, "green", None]
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table)
    assert "test: mean absolute error" in capture.get()
    assert re.search(r"0\.2900 │ +0\.2800", capture.get())


def test_analysis_knows_no_tensorflow():
    code = (
        "import sys; import lth_tf.analysis.figures.lines, lth_tf.analysis.report.results_table; "
        "sys.exit(bool({'tensorflow', 'tf_keras'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
