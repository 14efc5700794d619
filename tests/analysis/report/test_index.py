"""The index: a page on several experiments, those that failed or never began among them."""

import re

import pytest

from lth_tf.analysis.report.index import Entry, write_index


@pytest.fixture(scope="module")
def written(make_run, tmp_path_factory):
    """The page of an index of three experiments, and its table."""
    runs = tmp_path_factory.mktemp("runs")
    whole = make_run(runs / "lenet-01", rounds=2, replicates=2)
    (whole / "report").mkdir()
    (whole / "report/report.html").touch()
    part = make_run(
        runs / "x=<1>", rounds=3, recipe={"learning_rate": 0.01}, finished=lambda t: t.level < 2
    )
    entries = [
        Entry(whole, "lenet_iterative"),
        Entry(part, "rate=0.01", "replicate_00/level_02/ticket: a loss is <nan>"),
        Entry(runs / "none", "never", "no such data set"),
    ]
    table = write_index(entries, runs / "index", "python -m lth_tf.sweep a b")
    return (runs / "index/index.html").read_text(), table


def test_the_table_has_each_run_that_has_begun_with_its_best_ticket(written):
    rows = written[1].rows
    assert [row[:2] for row in rows] == [["lenet_iterative", "6 of 6"], ["rate=0.01", "2 of 4"]]
    assert all(re.fullmatch(r"9\d\.\d\d%", cell) for row in rows for cell in row[2:4])
    assert all(re.fullmatch(r"\d\d\.\d%", row[4]) and row[5] == "-" for row in rows)


def test_the_page_has_headline_figures_state_and_fault_of_each(written):
    page = written[0]
    first, second, third = page.split("<article>")[1:]
    assert '<a href="../lenet-01/report/report.html">lenet_iterative</a>' in first
    assert "nothing is claimed" in first and "6 of 6 trainings" in first
    assert first.count("<svg") == second.count("<svg") == 2 and "<svg" not in third
    assert "a loss is &lt;nan&gt;" in second and "2 of 4 trainings" in second
    assert "not begun" in third and "no such data set" in third
    assert 'class="failure"' not in first
    # The two runs of LeNet on MNIST are drawn together, above the others.
    assert "Runs together" in page and page.index("<svg") < page.index("<article>")
    assert "prefers-color-scheme: dark" in page and "python -m lth_tf.sweep a b" in page
    assert not re.findall(r'(?:src|href)="(?!\.\./|#)', page)
