"""What survives pruning, against the arrays themselves; and what it cannot be asked of."""

import dataclasses
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

from lth_tf.errors import UserError
from lth_tf.lottery.opened_run import open_run
from lth_tf.runs.experiment import Training
from lth_tf.runs.run import read_runs
from lth_tf.runs.store import Store
from lth_tf.studies.finding import Finding
from lth_tf.studies.movement import WeightMovement
from lth_tf.studies.rows import read_rows, rows_csv
from lth_tf.studies.survivors import Survival, Survivors

KERNELS = ("dense1/kernel", "dense2/kernel", "output/kernel")


@pytest.fixture(scope="module")
def rows(reference):
    """What the study finds of two replicates and two levels."""
    return Survivors().compute(open_run(reference))


def test_each_level_and_layer_has_a_row(rows):
    found = [(row.replicate, row.level, row.layer) for row in rows]
    assert found == [(r, n, name) for r in (0, 1) for n in (0, 1, 2) for name in KERNELS]


def test_survivors_and_pruned_are_those_of_the_levels_own_pruning(reference, rows):
    run = Store(reference)
    before = run.read_masks(Training(1, 1, "ticket"))
    after = run.read_masks(Training(1, 2, "ticket"))
    theta = load_file(reference / "replicate_01/level_00/dense/initial.safetensors")
    final = load_file(reference / "replicate_01/level_01/ticket/weights.safetensors")
    for row in rows[-3:]:
        name = row.layer
        lost = before[name] & ~after[name]
        assert row.density == after[name].mean()
        for weights, survivors, pruned in (
            (theta, row.initial_survivors, row.initial_pruned),
            (final, row.final_survivors, row.final_pruned),
        ):
            size = np.abs(np.float64(weights[name]))
            assert survivors == pytest.approx(size[after[name]].mean())
            assert pruned == pytest.approx(size[lost].mean())
        # Pruning by magnitude: none that was left is smaller than one that was removed.
        kept, removed = (np.abs(final[name][mask]) for mask in (after[name], lost))
        assert kept.min() >= removed.max() and row.final_pruned > 0
        assert sum(row.histogram) == after[name].sum()
        small = np.abs(theta[name][after[name]]) <= row.reach / 30 * 10
        assert sum(row.histogram[20:40]) == pytest.approx(small.sum(), abs=2)


def test_rows_are_kept_whole_and_shown(rows, tmp_path):
    path = tmp_path / "survivors.csv"
    path.write_text(rows_csv(rows))
    assert read_rows(path, Survival) == rows
    table = Survivors().table(rows)
    assert [row[:2] for row in table.rows] == [
        [level, layer] for level in "12" for layer in ("dense1", "dense2", "output")
    ]
    means = [np.mean([r.initial_pruned for r in rows[i::9]]) for i in (3, 4, 5)]
    assert [row[4] for row in table.rows[:3]] == [f"{mean:.4f}" for mean in means]
    ratio = np.mean([r.initial_survivors for r in rows[6::9]]) / np.mean(
        [r.initial_survivors for r in rows[0::9]]
    )
    sentence = Survivors().sentence(rows)
    assert sentence.startswith("At level 2 the surviving weights began with these multiples")
    assert f"{ratio:.2f} in dense1" in sentence and ratio > 1


@pytest.mark.parametrize(
    ("strategy", "arms", "said"),
    [
        ("gradual", ("dense", "ticket"), "It needs levels that are pruned from finished trainings"),
        ("at_init", ("dense", "ticket"), "It needs levels that are pruned from finished trainings"),
        ("early_bird", ("dense", "ticket"), "It needs levels that are pruned from finished trai"),
        ("iterative", ("dense",), "No ticket is finished."),
        ("iterative", (), "No training is finished."),
        ("iterative", ("dense", "ticket"), ""),
    ],
)
def test_it_says_what_it_lacks(reference, strategy, arms, said):
    (run,) = read_runs([reference])
    run = dataclasses.replace(
        run,
        experiment=dataclasses.replace(run.experiment, strategy=strategy),
        results=[result for result in run.results if result.arm in arms],
    )
    lacks = Survivors().lacks(run)
    assert lacks.startswith(said) and bool(said) == bool(lacks)


@pytest.mark.parametrize("study", [Survivors(), WeightMovement()], ids=lambda study: study.name)
def test_replicates_whose_dense_network_is_not_finished_are_left_out(reference, tmp_path, study):
    folder = shutil.copytree(reference, tmp_path / "r")
    shutil.rmtree(folder / "replicate_00/level_00/dense")
    run = open_run(folder)
    assert study.lacks(run) == "" and {row.replicate for row in study.compute(run)} == {1}
    apart = [r for r in run.results if (r.replicate, r.arm) in ((0, "ticket"), (1, "dense"))]
    lacks = study.lacks(dataclasses.replace(run, results=apart))
    assert lacks == "No replicate has both its dense network and a ticket finished."


def test_what_cannot_be_written_is_said_in_one_line(rows, tmp_path):
    (tmp_path / "study.json").mkdir()
    with pytest.raises(UserError, match=r"study\.json: could not be written"):
        Finding(Survivors(), rows, folder=tmp_path).write()
