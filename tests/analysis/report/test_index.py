"""The index: a page on several experiments, those that failed or never began among them."""

import re
import statistics

import pytest

from lth_tf.analysis.report.index import Entry, require_room, write_index
from lth_tf.analysis.report.leftovers import claim, keep_only
from lth_tf.errors import UserError
from lth_tf.metric import ACCURACY
from lth_tf.runs.run import read_runs


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


def test_a_run_that_is_judged_at_marks_has_its_metric_at_the_last(make_run, tmp_path):
    recipe = {"marks": (500, 1000)}
    folder = make_run(tmp_path / "r", "resnet18", rounds=0, replicates=2, recipe=recipe)
    (row,) = write_index([Entry(folder, "r")], tmp_path / "index").rows
    (run,) = read_runs([folder])
    at_last = statistics.fmean(result.test_accuracy_at[1000] for result in run.results)
    assert row[2] == ACCURACY.text(at_last)


def test_the_index_replaces_nobodys_page_and_removes_no_reports_figures(tmp_path):
    entries = [Entry(tmp_path / "none", "never begun")]
    page = tmp_path / "index.html"
    page.write_text("mine")
    for write in (require_room, lambda out: write_index(entries, out)):
        with pytest.raises(UserError, match=r"index\.html: is there, and no report has written it"):
            write(tmp_path)
    assert page.read_text() == "mine"
    out = tmp_path / "report"
    out.mkdir()
    claim(out, ["a.png"])
    for name in ("a.png", "report.md"):
        (out / name).touch()
    keep_only(out, [out / "a.png"])
    with pytest.raises(UserError, match=r"report/report\.md: is of a report, whose figures"):
        write_index(entries, out)
    assert {path.name for path in out.iterdir()} == {"a.png", "figures.sha256", "report.md"}
    for _ in range(2):  # its page of before is replaced
        write_index(entries, tmp_path / "index")
