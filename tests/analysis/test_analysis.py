"""The table, the sentence and the figure at the end of a run, from results made by hand."""

import subprocess
import sys

import pytest
from rich.console import Console

from lth_tf.analysis.figures import draw_tickets
from lth_tf.analysis.results_table import by_level, headline, results_table
from lth_tf.experiment.results import Result

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


@pytest.mark.parametrize(
    ("results", "sentence"),
    [
        ([], "No ticket has been trained yet."),
        ([result(0, 0.9)], "No ticket has been trained yet."),
        (
            [result(0, 0.9), result(1, 0.89), result(2, 0.5)],
            "No ticket reached the dense network's test accuracy of 90.00%.",
        ),
        (  # the sparsest that is as good, not the best
            [result(0, 0.9), result(1, 0.95), result(2, 0.9)],
            "The ticket with 64.0% of the weights reaches 90.00% test accuracy at early stopping, "
            "the dense network 90.00% (1 replicate).",
        ),
        (  # by the means: one replicate's ticket is worse than its dense network
            [
                *(result(0, accuracy, r) for r, accuracy in enumerate((0.90, 0.80))),
                *(result(1, accuracy, r) for r, accuracy in enumerate((0.89, 0.83))),
                *(result(2, accuracy, r) for r, accuracy in enumerate((0.89, 0.80))),
            ],
            "The ticket with 80.0% of the weights reaches 86.00% test accuracy at early stopping, "
            "the dense network 85.00% (2 replicates).",
        ),
    ],
)
def test_the_headline(results, sentence):
    assert headline(results) == sentence


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


@pytest.mark.parametrize("levels", [1, 3])
def test_the_figure_is_a_whole_png(tmp_path, levels):
    path = tmp_path / "tickets.png"
    results = [result(level, 0.9 + 0.01 * r, r) for level in range(levels) for r in range(2)]
    draw_tickets(results, "a $title_ with signs", path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n") and content.endswith(b"IEND\xaeB`\x82")
    assert len(content) > 10_000
    assert [p.name for p in tmp_path.iterdir()] == ["tickets.png"]


def test_analysis_knows_no_tensorflow():
    code = (
        "import sys; import lth_tf.analysis.figures, lth_tf.analysis.results_table; "
        "sys.exit(bool({'tensorflow', 'tf_keras'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
