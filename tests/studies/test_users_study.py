"""A study of a user's package is one file: it is asked, kept, and shown in the report."""

import shutil

import pytest

import lth_tf
from lth_tf import report
from lth_tf.errors import UserError
from lth_tf.runs.experiment import Training
from lth_tf.studies import Study

STUDY = """
import dataclasses
import functools

from lth_tf.analysis.figures import canvas
from lth_tf.analysis.figures.gallery import Picture
from lth_tf.analysis.pages.table import Table
from lth_tf.runs.experiment import Training
from lth_tf.studies import STUDIES, Study


@dataclasses.dataclass(frozen=True)
class Row:
    share: float
    loss: float


@STUDIES.register
@dataclasses.dataclass(frozen=True)
class Path(Study):
    replicates: tuple[int, ...] = (0, 1)
    steps: int = 2

    name = "path"
    title = "the path between two dense networks"
    help = "validation loss between two dense networks"
    row = Row

    def lacks(self, run):
        few = run.experiment.replicates < 2
        return super().lacks(run) or ("It needs two replicates." if few else "")

    def compute(self, run):
        one, other = (run.weights(Training(r, 0, "dense")) for r in self.replicates)
        shares = [step / self.steps for step in range(self.steps + 1)]
        mixed = [{n: (1 - s) * one[n] + s * other[n] for n in one} for s in shares]
        return [Row(s, run.evaluate(w).loss) for s, w in zip(shares, mixed)]

    def table(self, rows):
        return Table("Loss", ("share", "loss"), [[str(r.share), f"{r.loss:.3f}"] for r in rows])

    def pictures(self, rows):
        return [Picture("path", "Loss on the path", "As it is.", functools.partial(draw, rows))]

    def sentence(self, rows):
        higher = max(row.loss for row in rows) > max(rows[0].loss, rows[-1].loss)
        return "There is a barrier." if higher else "There is none."


def draw(rows):
    figure = canvas.new_figure()
    figure.subplots().plot([row.share for row in rows], [row.loss for row in rows])
    return figure
"""
SCRIPT = """
from lth_tf import report, study

assert study.main(["study", FOLDER, "--studies=path", "--set=path.steps=4"]) == 0
assert study.main(["study", FOLDER, "--studies=path"]) == 0
assert report.main(["report", FOLDER]) == 0
study.main(["study", "--help"])
"""


@pytest.fixture(scope="module")
def asked(reference, run_with_package, tmp_path_factory):
    """The run directory that it was asked of, and what was printed."""
    run = shutil.copytree(reference, tmp_path_factory.mktemp("asked") / "r")
    return run, run_with_package(f"FOLDER = {str(run)!r}\n{SCRIPT}", users_study=STUDY).out


def test_it_is_asked_once_with_its_options_and_listed(asked):
    folder, out = asked
    rows = (folder / "studies/path/path.csv").read_text().splitlines()
    assert rows[0] == "share,loss" and len(rows) == 1 + 5
    run = lth_tf.open_run(folder)
    losses = [float(row.split(",")[1]) for row in rows[1:]]
    for loss, training in ((losses[0], run.results[0]), (losses[-1], run.results[3])):
        assert training.level == 0
        dense = Training(training.replicate, 0, "dense")
        assert loss == pytest.approx(run.evaluate(dense).loss)
    assert losses[2] > max(losses[0], losses[-1])
    assert out.count("is computed") == 1 and "r: path (steps=4) is known" in out
    text = " ".join(out.split())
    assert "path: validation loss between two dense networks" in text
    assert "path.replicates, path.steps" in text


def test_it_is_in_the_report_with_its_figure(asked):
    folder, _ = asked
    page = (folder / "report/report.md").read_text()
    assert "## r: the path between two dense networks\n\nThere is a barrier." in page
    assert "![Loss on the path](r-path.png)" in page
    assert (folder / "report/r-path.svg").exists() and (folder / "studies/path/path.png").exists()


def test_where_the_package_is_not_installed_the_report_says_where_it_lies(asked, tmp_path):
    assert report.main(["report", str(asked[0]), f"--out={tmp_path}/report"]) == 0
    page = (tmp_path / "report/report.md").read_text()
    assert "## r: path" in page and "studies/path has what it found" in page


@pytest.mark.parametrize("wrong", ["a/b", "Mine", "mine_", ""])
def test_a_name_that_cannot_be_a_folders_is_refused(wrong):
    with pytest.raises(UserError, match=f"--studies={wrong}: .* must name it by small letters"):
        type("Mine", (Study,), {"name": wrong})
