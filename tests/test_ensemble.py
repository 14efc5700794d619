"""Tickets that were trained vote as they answer alone: in the files, in the SavedModel, by flag."""

import csv
import json
import shutil

import numpy as np
import pytest

from lth_tf import data, ensemble
from lth_tf.analysis.ensembles import measures as ensembles
from lth_tf.lottery.network import Network
from lth_tf.runs.experiment import Experiment
from lth_tf.runs.run import read_runs
from lth_tf.studies.ensemble import equal_width

FLAGS = ("--name=tickets", "--rounds=2", "--replicates=2", "--arms=ticket,reorder")
NAMES = [
    "tickets of different θ0", "tickets of one θ0, levels 1, 2", "one ticket, several orders",
    "dense networks", "dense networks, equal size",
]  # fmt: skip


def go(*argv):
    return ensemble.main(["lth_tf.ensemble", *map(str, argv)])


@pytest.fixture(scope="module")
def runs(run, tmp_path_factory):
    """A run with tickets, dense networks of their size, and what was made of both."""
    folder = tmp_path_factory.mktemp("runs")
    assert run(folder, *FLAGS) == 0
    small = ("--name=small", "--rounds=0", "--replicates=2", "--width=0.668")
    assert run(folder, *small) == 0
    flags = ("--level=2", f"--saved_model={folder}/saved/model")
    assert go(folder / "tickets", folder / "small", *flags) == 0
    return folder


@pytest.fixture(scope="module")
def votes(runs):
    """The rows of ensemble.csv by group, one member and all."""
    groups = {}
    with open(runs / "tickets/studies/ensemble/ensemble.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            groups.setdefault(row["group"], []).append(row)
    return groups


def test_one_member_is_as_accurate_as_results_csv_says(runs, votes, rows):
    known = {
        name: {f"replicate_{int(r['replicate']):02d}/level_{int(r['level']):02d}/{r['arm']}": r
               for r in rows(runs / name)}
        for name in ("tickets", "small")
    }  # fmt: skip
    assert list(votes) == NAMES
    for group in votes.values():
        one, both = group
        members = [known[one["run"]][path] for path in one["trainings"].split()]
        assert len(members) == int(one["members"]) == int(both["size"]) == 2
        alone = [float(member["test_accuracy_final"]) for member in members]
        assert float(one["accuracy"]) == pytest.approx(sum(alone) / 2, abs=1e-9)
        remaining = sum(int(member["remaining"]) for member in members)
        assert float(both["remaining"]) == remaining
        likelihood = "negative_log_likelihood"
        assert float(both[likelihood]) <= float(one[likelihood])
        assert float(both["disagreement"]) > 0


def test_the_saved_model_votes_as_the_table_says(runs, votes):
    import tensorflow as tf

    test_set = data.load("mnist_5k")
    serve = tf.saved_model.load(str(runs / "saved/model")).signatures["serving_default"]
    answer = serve(images=tf.constant(test_set.test_images))
    assert answer.keys() == {"probabilities"}
    probabilities = answer["probabilities"].numpy()
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-6)
    vote, labels = np.log(np.float64(probabilities)), test_set.test_labels
    told = {name: float(text) for name, text in list(votes[NAMES[0]][1].items())[7:]}
    assert ensembles.correct(vote, labels).mean() == pytest.approx(told["accuracy"], abs=1e-9)
    likelihood = ensembles.negative_log_likelihood(vote, labels)
    assert likelihood == pytest.approx(told["negative_log_likelihood"], rel=1e-5)


def test_files_and_report_tell_of_it_and_a_continued_run_still_does(runs, run, tmp_path):
    out = runs / "tickets/studies/ensemble"
    assert {path.name for path in out.iterdir()} == {
        "ensemble.csv", "ensemble.md", "ensemble.png", "ensemble.svg", "study.json",
    }  # fmt: skip
    assert (out / "ensemble.png").read_bytes().startswith(b"\x89PNG\r\n")
    text = (out / "ensemble.md").read_text()
    assert all(f"| {name}" in text for name in NAMES) and "(small)" in text
    assert "python -m lth_tf.ensemble" in text and "--width" not in text
    shutil.copytree(runs / "tickets", tmp_path / "tickets")
    assert run(tmp_path, *FLAGS, "--report") == 0
    assert "tickets: ensembles" in (tmp_path / "tickets/report/report.md").read_text()


def test_results_repeat_to_the_bit_and_a_size_is_told_where_none_is_given(runs, tmp_path, capfd):
    assert go(runs / "tickets", runs / "small", "--level=2", f"--out={tmp_path}/a") == 0
    before, again = (
        p / "ensemble.csv" for p in (runs / "tickets/studies/ensemble", tmp_path / "a")
    )
    assert before.read_bytes() == again.read_bytes()
    capfd.readouterr()
    assert go(runs / "tickets", "--level=2", "--levels=2,1", f"--out={tmp_path}/b") == 0
    told = capfd.readouterr().out
    # 784 * 200 + 200 * 66 + 66 * 10, for two tickets of 150,528 + 19,200 + 810 each.
    assert "as large in all as the 2 tickets, 341,076 weights" in told
    assert "--width=0.665 (170,660 weights each)" in told
    assert "--width=0.665" in (tmp_path / "b/ensemble.md").read_text()


def test_the_width_of_equal_size_is_the_nearest(runs):
    (found,) = read_runs([runs / "tickets"])

    def size(width):
        recipe = found.experiment.recipe.override(width=width)
        return Network(Experiment(recipe=recipe, rounds=0), found.data).remaining[0]

    for wanted in (1, 5_000, 100_000, 10**9):
        width, there = equal_width(found.experiment, found.data, wanted)
        assert size(width) == there
        for other in (width - 0.001, width + 0.001):
            if 0.001 <= other <= 1:
                assert abs(size(other) - wanted) >= abs(there - wanted)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--level=2"], "a run directory must be given"),
        (["RUN"], "--level: must be given"),
        (["RUN", "--level=3"], "--level=3: RUN must have a finished ticket of it, has only of"),
        (["RUN", "--level=2", "--levels=1,x"], "--levels=1,x: must be whole numbers"),
        (["RUN", "--level=2", "--levels=1,7"], "--levels=1,7: replicate 0 of RUN must have"),
        (["RUN", "--level=2", "--saved_model=RUN"], "--saved_model=RUN: exists already"),
        (["RUN/report", "--level=2"], "RUN/report: must be a run directory"),
    ],
)
def test_what_cannot_vote_is_told_in_one_line(runs, capfd, flags, told):
    def fill(text):
        return text.replace("RUN", str(runs / "tickets"))

    capfd.readouterr()
    assert go(*map(fill, flags)) == 1
    out, error = capfd.readouterr()
    assert out == "" and error.count("\n") == 1
    assert error.startswith(f"lth_tf: {fill(told)}")


def test_networks_of_users_cannot_vote_as_they_need_not_return_logits(runs, tmp_path, capfd):
    folder = shutil.copytree(runs / "small", tmp_path / "users")
    path = folder / "experiment.json"
    fields = json.loads(path.read_text())
    del fields["checksum"]
    fields["recipe"]["model"] = "digits:network"
    path.write_text(json.dumps(fields))
    for folders in ([folder], [runs / "tickets", folder]):
        assert go(*folders, "--level=2", f"--out={tmp_path}/out") == 1
        error = capfd.readouterr().err
        assert error.startswith(f"lth_tf: {folder}: It must be a run of a named network on an")
        assert error.count("\n") == 1


def test_a_damaged_member_is_named_and_nothing_is_written(runs, tmp_path, capfd):
    folder = tmp_path / "tickets"
    shutil.copytree(runs / "tickets", folder)
    shutil.rmtree(folder / "studies")
    path = folder / "replicate_01/level_02/ticket/weights.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    capfd.readouterr()
    assert go(folder, "--level=2") == 1
    assert capfd.readouterr().err.startswith(f"lth_tf: {path}: is not what the training wrote")
    assert not (folder / "studies").exists()
