"""Reports on runs that were published without their trainings' folders."""

import csv
import shutil
from pathlib import Path

import pytest

from lth_tf import report
from lth_tf.analysis.figures.comparison import comparisons
from lth_tf.analysis.figures.paper_points import paper_points
from lth_tf.analysis.figures.points import level_points
from lth_tf.analysis.figures.published_points import kept_points
from lth_tf.analysis.report.report import headline
from lth_tf.errors import UserError
from lth_tf.runs.experiment import Training
from lth_tf.runs.run import read_runs
from lth_tf.runs.store import Store

PUBLISHED = Path(__file__).parents[3] / "runs/published"


def call(*argv):
    return report.main(["lth_tf.report", *map(str, argv)])


@pytest.fixture(scope="module")
def run(make_run, tmp_path_factory):
    """A run directory with its report."""
    folder = tmp_path_factory.mktemp("whole") / "r"
    arms = ("ticket", "reinit")
    make_run(folder, rounds=7, replicates=2, arms=arms, reinits=2, recipe={"marks": (500,)})
    Store(folder).update_results()
    assert call(folder) == 0
    return folder


@pytest.fixture
def published(run, tmp_path):
    """The same without its trainings' folders."""
    folder = tmp_path / "published" / "r"
    folder.mkdir(parents=True)
    for path in ("experiment.json", "results.csv", "report/levels.csv"):
        shutil.copy(run / path, folder)
    return folder


def test_the_report_is_that_of_the_whole_run(run, published):
    assert call(published) == 0
    whole = {path.name: path for path in (run / "report").iterdir()}
    for path in (published / "report").iterdir():
        text = path.read_bytes().replace(str(published).encode(), str(run).encode())
        assert text == whole.pop(path.name).read_bytes(), path.name
    assert not whole


def test_a_run_called_paper_is_no_paper(run, published):
    renamed = published.rename(published.with_name("paper"))
    path = renamed / "levels.csv"
    path.write_text(path.read_text().replace("\nr,", "\npaper,"))
    (found,) = read_runs([renamed])
    curves = [point for point in kept_points(found) if point.iteration is not None]
    assert {point.run for point in curves} == {"paper"}
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert len(curves) == sum(row["iteration"] != "" for row in rows) > 0
    (whole,) = read_runs([run])
    points = [*level_points("paper", found.results), *level_points("r", whole.results)]
    points += paper_points(found.experiment)
    lines = comparisons([found, whole], points, [False] * 2)[0].draw.args[0]
    assert len(lines[0].points) == 1 + 7  # its dense network and tickets, no others


def test_another_name_of_the_folder_is_the_runs(published):
    renamed = published.rename(published.with_name("renamed"))
    assert call(renamed) == 0
    rows = (renamed / "report/levels.csv").read_text().splitlines()[1:]
    assert {row.partition(",")[0] for row in rows} == {"renamed", "paper"}


def test_without_levels_csv_curves_and_layers_are_left_out(published):
    (published / "levels.csv").unlink()
    assert call(published) == 0
    names = {path.stem for path in (published / "report").glob("*.png")}
    assert "r-early_stop_iteration" in names
    assert not names & {"r-accuracy_over_iterations", "r-layers"}


def test_a_run_with_some_of_its_trainings_is_not_a_published_one(run, published):
    training = "replicate_00/level_00/dense"
    shutil.copytree(run / training, published / training)
    (found,) = read_runs([published])
    assert [r.arm for r in found.results] == ["dense"]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("results.csv", lambda text: text.replace("remaining", "left", 1), "column remaining"),
        ("results.csv", lambda text: text.replace("dense,1.0", "dense,all", 1), 'found "all"'),
        ("levels.csv", lambda text: text.replace("quantity", "what", 1), "column quantity"),
        ("levels.csv", lambda text: text.replace("\nr,", "\ns,", 1), "of one run's report, has r"),
    ],
)  # fmt: skip
def test_damage_is_told_in_one_line(published, capfd, name, change, said):
    path = published / name
    path.write_text(change(path.read_text()))
    assert call(published) == 1
    error = capfd.readouterr().err
    assert f"{path}: " in error and "must " in error and said in error and error.count("\n") == 1


def test_weights_are_told_not_to_be_there(published):
    with pytest.raises(UserError, match=r"masks\.safetensors: was not published with the run"):
        Store(published).read_masks(Training(0, 1, "ticket"))


def test_what_lies_in_this_repository_can_be_opened():
    folders = [path.parent for path in sorted(PUBLISHED.rglob("experiment.json"))]
    assert {"lenet_iterative", "lenet_one_shot", "snip"} <= {folder.name for folder in folders}
    for run in read_runs(folders):
        assert len(run.results) == run.planned
        if run.store.folder.parent == PUBLISHED:
            assert (run.store.folder / "report/report.md").exists()


@pytest.mark.parametrize("name", ["gradual", "supermask"])
def test_networks_that_were_pruned_while_they_trained_have_no_earlier_trainings(name):
    said = headline(PUBLISHED / "methods" / name)
    assert "early stopping after" in said and "earlier" not in said and "inning" not in said
    assert ("Networks whose masks were made while they trained do as" in said) == (
        name == "gradual"
    )


@pytest.mark.parametrize("density", ["0", "1.5", "-1", "nan"])
def test_a_claims_density_that_is_no_share_is_told(published, capfd, density):
    assert call(published, f"--claim_density={density}") == 1
    error = capfd.readouterr().err
    assert f"--claim_density={density}: must be a share of the weights" in error
    assert error.count("\n") == 1


def test_the_claims_density_moves_the_start(published, capfd):
    assert call(published, "--claim_density=0.6", "--margin_accuracy=99") == 0
    text = (published / "report/report.md").read_text()
    assert "first level with at most 60% of the weights" in text
