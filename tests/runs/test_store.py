"""A finished run directory holds what design.md promises, to the bit; damage to it is named."""

import csv
import hashlib
import json
import os
import shutil
import subprocess

import numpy as np
import pytest
from safetensors import safe_open

from lth_tf.errors import UserError
from lth_tf.paper.recipes import paper_recipe
from lth_tf.recipe import Recipe
from lth_tf.runs import provenance
from lth_tf.runs.experiment import Experiment, Training, make_plan
from lth_tf.runs.provenance import describe_start
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store

COLUMNS = [
    "replicate", "level", "arm", "density", "remaining", "early_stop_iteration",
    "validation_loss_at_early_stop", "test_accuracy_at_early_stop", "test_accuracy_final",
    "iterations", "seconds", "test_accuracy_at_40", "train_accuracy_at_early_stop",
    "train_accuracy_final", "validation_accuracy_at_early_stop", "search_iterations",
    "test_accuracy_untrained", "multiply_adds", "search_multiply_adds",
]  # fmt: skip
KERNELS = {"dense1/kernel": (784, 300), "dense2/kernel": (300, 100), "output/kernel": (100, 10)}
LEFT = {  # round(rate x remaining) removed from each, by hand
    "dense1/kernel": [235_200, 188_160, 150_528],
    "dense2/kernel": [30_000, 24_000, 19_200],
    "output/kernel": [1_000, 900, 810],
}


def read(path):
    """A safetensors file's arrays and metadata, read without lth_tf."""
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def read_masks(folder):
    packed, metadata = read(folder / "masks.safetensors")
    shapes = {name: tuple(shape) for name, shape in json.loads(metadata["shapes"]).items()}
    assert shapes == KERNELS
    return {
        name: np.unpackbits(packed[name], count=np.prod(shape)).astype(bool).reshape(shape)
        for name, shape in shapes.items()
    }


def level(folder, replicate, number):
    arm = "ticket" if number else "dense"
    return folder / f"replicate_{replicate:02d}" / f"level_{number:02d}" / arm


@pytest.mark.parametrize("replicate", [0, 1])
def test_masks_are_nested_have_the_planned_counts_and_hold_the_smallest_weights(
    reference, replicate
):
    folders = [level(reference, replicate, number) for number in range(3)]
    masks = [read_masks(folder) for folder in folders]
    weights = [read(folder / "weights.safetensors")[0] for folder in folders]
    for name in KERNELS:
        assert [mask[name].sum() for mask in masks] == LEFT[name]
        for number in (1, 2):
            before, after = masks[number - 1][name], masks[number][name]
            assert not (after & ~before).any()
            final = np.abs(weights[number - 1][name])
            assert final[before & ~after].max() <= final[after].min()
            assert not weights[number][name][~after].any()
            assert np.count_nonzero(weights[number][name]) == after.sum()


def test_the_rewound_run_stores_a_theta_k_that_lies_between_theta_0_and_the_end(rewound):
    dense = level(rewound, 0, 0)
    initial, theta_k, final = (
        read(dense / f"{name}.safetensors")[0] for name in ("initial", "rewind", "weights")
    )
    assert initial.keys() == theta_k.keys() == final.keys()
    for name in KERNELS:
        moved = np.abs(theta_k[name] - initial[name]).mean()
        assert 0 < moved < np.abs(final[name] - initial[name]).mean()


def test_results_csv_says_what_result_json_says(reference, rows):
    table = rows(reference)
    assert [(row["replicate"], row["level"]) for row in table] == [
        (replicate, number) for replicate in "01" for number in "012"
    ]
    for row in table:
        assert list(row) == COLUMNS
        folder = level(reference, int(row["replicate"]), int(row["level"]))
        result = json.loads((folder / "result.json").read_text())
        for name in COLUMNS:
            if name != "test_accuracy_at_40":
                assert row[name] == str(result[name])
        assert row["test_accuracy_at_40"] == str(result["test_accuracy_at"]["40"])
        counts = {name: counts[int(row["level"])] for name, counts in LEFT.items()}
        assert {name: left for name, (left, _) in result["layers"].items()} == counts
        assert result["remaining"] == sum(counts.values())
        assert result["density"] == sum(counts.values()) / 266_200
        assert result["iterations"] == 200


def test_metrics_csv_has_a_row_per_evaluation_and_tests_only_where_the_protocol_does(
    reference, rows
):
    early = set()
    for row in rows(reference):
        folder = level(reference, int(row["replicate"]), int(row["level"]))
        with open(folder / "metrics.csv") as file:
            assert file.readline() == (
                "iteration,train_loss,validation_loss,validation_accuracy,test_accuracy,"
                "train_accuracy\n"
            )
            table = list(csv.reader(file))
        assert [int(line[0]) for line in table] == list(range(0, 201, 20))
        assert table[0][1] == "" and all(line[1] for line in table[1:])
        best = min(table, key=lambda line: float(line[2]))
        assert best[0] == row["early_stop_iteration"]
        assert best[2] == row["validation_loss_at_early_stop"]
        tested = {line[0]: line[4] for line in table if line[4]}
        assert tested == {
            "0": row["test_accuracy_untrained"],
            best[0]: row["test_accuracy_at_early_stop"],
            "40": row["test_accuracy_at_40"],
            "200": row["test_accuracy_final"],
        }
        early.add(best[0])
    assert early - {"200"}, "no early stop before the end: the test shows too little"


def test_rewound_metrics_begin_at_the_rewound_iteration_and_the_dense_ones_at_0(rewound):
    for number, first in ((0, 0), (1, 20)):
        lines = (level(rewound, 0, number) / "metrics.csv").read_text().splitlines()
        assert lines[1].startswith(f"{first},,")


def test_checksums_are_of_every_other_file_and_right(reference):
    for number in range(3):
        folder = level(reference, 0, number)
        checksums = json.loads((folder / "result.json").read_text())["checksums"]
        rest = {"result.json", "saved_model"}
        assert checksums.keys() == {path.name for path in folder.iterdir()} - rest
        for name, checksum in checksums.items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == checksum


def test_every_file_is_on_the_disk_before_result_json_names_it(reference, tmp_path, monkeypatch):
    shutil.copytree(reference, tmp_path / "e")
    store, training = Store(tmp_path / "e"), Training(0, 1, "ticket")
    result = store.result(training)
    (store.path(training) / "result.json").unlink()
    shutil.rmtree(store.path(training) / "saved_model")
    synced, named = set(), []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda f: (synced.add(os.fstat(f).st_ino), fsync(f)))
    monkeypatch.setattr(os, "replace", lambda *a: (named.append(set(synced)), replace(*a)))
    store.finish(training, result)
    (before,) = named
    assert {path.stat().st_ino for path in store.path(training).iterdir()} <= before
    assert store.result(training) == result


def test_experiment_json_says_what_ran_with_what(reference):
    fields = json.loads((reference / "experiment.json").read_text())
    recipe = Recipe.from_json(fields["recipe"])
    assert (recipe.model, recipe.iterations, recipe.marks) == ("lenet", 200, (40,))
    assert fields["format"] == 1
    assert (fields["seed"], fields["rounds"], fields["replicates"]) == (0, 2, 2)
    assert fields["data"]["train_size"] == 4000
    (start,) = fields["starts"]
    assert {"--marks=40", "--rounds=2", "--name=e"} <= set(start["flags"])
    assert (start["settings"]["xla"], start["settings"]["jobs"]) == ("off", 1)
    assert {"python", "tensorflow", "tf-keras", "numpy"} <= start["versions"].keys()
    assert start["hardware"]["cores"] >= 1 and start["hardware"]["memory_gib"] > 0
    names = {path.name for path in reference.iterdir()}
    assert names - {".lock"} == {
        "experiment.json", "results.csv", "run.log", "replicate_00", "replicate_01",
    }  # fmt: skip


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_a_revision_is_that_of_the_program_not_of_what_it_is_installed_in(tmp_path, monkeypatch):
    def git(*arguments):
        who = ("-c", "user.name=a", "-c", "user.email=b", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    file = tmp_path / "venv/provenance.py"
    file.parent.mkdir()
    file.touch()
    monkeypatch.setattr(provenance, "__file__", str(file))
    git("init")
    git("commit", "--allow-empty", "-m", "somebody's")
    assert describe_start((), Settings())["git_revision"] is None
    git("add", ".")
    assert len(describe_start((), Settings())["git_revision"]) == 40


def test_the_lock_is_free_when_it_was_left(tmp_path):
    held = Store(tmp_path / "e").lock()
    with (
        held,
        pytest.raises(UserError, match="another process is running this experiment"),
        Store(tmp_path / "e").lock(),
    ):
        pass
    with Store(tmp_path / "e").lock():
        pass


def test_a_plan_of_as_many_trainings_as_may_be_has_no_controls_of_the_dense_network():
    how = {"recipe": paper_recipe("lenet"), "arms": ("ticket", "reinit"), "rounds": 10}
    Experiment(**how, replicates=100, reinits=98)  # 100 * (1 + 10 * 99)
    with pytest.raises(UserError, match="at most 100,000 trainings together, found 100,100"):
        Experiment(**how, replicates=100, reinits=99)


def test_a_plan_has_every_training_behind_its_parent():
    experiment = Experiment(recipe=paper_recipe("lenet"), rounds=3, replicates=2)
    plan = make_plan(experiment)
    assert len(plan) == len(set(plan)) == 8
    for place, training in enumerate(plan):
        parent = experiment.parent(training)
        assert (parent is None) == (training.level == 0)
        assert parent is None or parent in plan[:place]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("level_01/ticket/weights.safetensors", truncate),
        ("level_01/ticket/masks.safetensors", flip_a_bit),
        ("level_00/dense/initial.safetensors", lambda path: path.unlink()),
        ("level_01/ticket/result.json", truncate),
    ],
)
def test_a_damaged_file_that_a_round_needs_is_named(
    reference, reference_flags, run, tmp_path, capfd, name, damage
):
    folder = tmp_path / "e"
    shutil.copytree(reference, folder)
    shutil.rmtree(level(folder, 0, 2))
    path = folder / "replicate_00" / name
    damage(path)
    assert run(tmp_path, *reference_flags) == 1
    error = capfd.readouterr().err
    assert error.startswith(f"lth_tf: {path}: ") and error.count("\n") == 1
    assert not (level(folder, 0, 2) / "result.json").exists()
