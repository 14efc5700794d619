"""The error between networks: zero instability where they are one, else as the networks say."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tf_keras as keras

import lth_tf
from lth_tf.errors import UserError
from lth_tf.lottery.opened_run import open_run
from lth_tf.runs.experiment import Training
from lth_tf.runs.run import read_runs
from lth_tf.studies.connectivity import LEVEL_BEFORE, OTHER_ORDER, Connectivity, ErrorPath
from lth_tf.studies.rows import read_rows, rows_csv


def path_of(*errors, replicate=0, level=1, other=OTHER_ORDER, difference=0.01):
    return ErrorPath(replicate, level, 0.5**level, other, "x", "accuracy", True, errors, difference)


def test_instability_and_its_bound_by_hand():
    assert path_of(0.1, 0.5, 0.2).instability == pytest.approx(0.35)
    assert path_of(0.1, 0.1).instability == 0
    rows = [
        path_of(0.1, 0.13, 0.1), path_of(0.1, 0.11, 0.1),  # two draws of replicate 0: mean 0.02
        path_of(0.1, 0.14, 0.1, replicate=1),
        path_of(0.1, 0.11, 0.1, level=2, difference=-0.01),
    ]  # fmt: skip
    study = Connectivity()
    (first, second) = study.table(rows).rows
    # Mean of 2 and 4 points; t(0.95, 1) = 6.3138, sd / sqrt(2) = 1.
    assert first[4:8] == ["10.00", "12.67", "+3.00", "+9.31"]
    assert second[6:] == ["+1.00", "", "-1.00"]
    sentence = study.sentence(rows)
    assert "against its copy in another order at level 2 of levels 1, 2" in sentence
    assert sentence.endswith("at least the dense network's at level 1.")


@pytest.fixture
def folder(reference, tmp_path):
    """A run whose ticket of level 1 has a copy that came out the same, and the dense one none."""
    folder = shutil.copytree(reference, tmp_path / "r")
    copy = shutil.copytree(
        folder / "replicate_00/level_01/ticket", folder / "replicate_00/level_01/reorder_0"
    )
    result = json.loads((copy / "result.json").read_text())
    del result["checksum"]
    (copy / "result.json").write_text(json.dumps({**result, "arm": "reorder_0"}))
    return folder


def test_networks_of_a_run(folder, tmp_path):
    study, run = Connectivity(points=3, examples=0), open_run(folder)
    # Trainings may have ended since the run was opened.
    rows = study.compute(dataclasses.replace(run, results=run.results[:1]))
    assert [(r.replicate, r.level, r.other, r.arm) for r in rows] == [
        (0, 1, OTHER_ORDER, "reorder_0"),
        (0, 1, LEVEL_BEFORE, "dense"),
        (0, 2, LEVEL_BEFORE, "ticket"),
        (1, 1, LEVEL_BEFORE, "dense"),
        (1, 2, LEVEL_BEFORE, "ticket"),
    ]
    same, to_dense = rows[:2]
    assert len(set(same.errors)) == 1 and same.instability == 0
    one, dense = Training(0, 1, "ticket"), Training(0, 0, "dense")
    results = {(r.level, r.arm): r.test_accuracy_final for r in run.results if not r.replicate}
    assert to_dense.errors[0] == pytest.approx(1 - results[1, "ticket"])
    assert to_dense.errors[-1] == pytest.approx(1 - results[0, "dense"])
    assert to_dense.difference == pytest.approx(results[1, "ticket"] - results[0, "dense"])
    first, second = run.weights(one), run.weights(dense)
    middle = {name: (first[name] + second[name]) / 2 for name in first}
    images, labels = run.examples("test")
    wrong = run.logits(middle, images).argmax(-1) != labels
    assert to_dense.errors[1] == pytest.approx(wrong.mean())
    (note,) = study.notes(run)
    assert note == "No copy in another order is finished of level 0, 2."
    path = tmp_path / "rows.csv"
    path.write_text(rows_csv(rows))
    assert read_rows(path, study.row) == rows


def test_a_sample_is_always_the_same(reference):
    run = open_run(reference)
    images, labels = run.examples("test", count=50)
    again, _ = run.examples("test", replicate=1, count=50)
    assert len(labels) == 50 and np.array_equal(images, again)
    of_other, _ = run.examples("train", replicate=1, count=50)
    assert not np.array_equal(of_other, run.examples("train", count=50)[0])
    wrong = run.logits(Training(0, 0, "dense"), images).argmax(-1) != labels
    found = run.evaluate(Training(0, 0, "dense"), count=50)
    assert found.metric == pytest.approx(1 - wrong.mean())
    assert run.evaluate(Training(0, 0, "dense")) != found


def test_what_it_lacks(folder):
    for level in (1, 2):
        shutil.rmtree(folder / f"replicate_00/level_0{level}")
        shutil.rmtree(folder / f"replicate_01/level_0{level}")
    (run,) = read_runs([folder])
    assert Connectivity().lacks(run) == "It needs a finished ticket and the level before it."
    with pytest.raises(UserError, match="--points=1: must be at least 2"):
        Connectivity(points=1).compute(open_run(folder))


def normalized():
    """A network with batch normalisation that is judged by an error."""
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, use_bias=False, name="hidden")(inputs)
    hidden = keras.layers.BatchNormalization(name="norm")(hidden)
    model = keras.Model(inputs, keras.layers.Dense(1, name="y")(hidden))
    model.compile(loss="mse", metrics=["mae"])
    return model


def test_batch_normalisation_has_statistics_of_training_examples_and_errors_of_any_metric(tmp_path):
    rng = np.random.default_rng(0)
    sets = [rng.normal(3, 2, size=(n, 3)) for n in (80, 20, 20)]
    data = [(inputs, inputs.sum(1, keepdims=True)) for inputs in sets]
    recipe = lth_tf.Recipe(iterations=10, eval_every=5, batch_size=10, learning_rate=0.01)
    found = lth_tf.find_tickets(
        normalized, *data, recipe, rounds=1, folder=tmp_path / "r", report=False
    )
    run, ticket = found.open(), Training(0, 1, "ticket")
    weights = run.renormalized(ticket)
    inputs, _ = run.examples("train")
    hidden = inputs @ weights["hidden/kernel"]
    for name, expected in (("mean", hidden.mean(0)), ("variance", hidden.var(0))):
        np.testing.assert_allclose(weights[f"norm/moving_{name}"], expected, rtol=1e-4)
    trained = run.weights(ticket)
    changed = {name for name in weights if not np.array_equal(weights[name], trained[name])}
    assert changed == {"norm/moving_mean", "norm/moving_variance"}
    study = Connectivity(points=3)
    (row,) = rows = study.compute(run)
    assert row.errors[0] == pytest.approx(run.evaluate(weights).metric)
    assert study.notes(run)[0].startswith("Batch normalisation has, at each point and at both ends")
    assert "test mae, dense network minus network" in study.table(rows).columns
    assert study.sentence(rows).startswith("The network is least stable against the level before")
