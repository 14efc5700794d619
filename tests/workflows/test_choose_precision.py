"""--precision=auto: a trial in a process of its own decides, once for each run."""

import importlib
import json

import pytest

from lth_tf import main
from lth_tf.lottery.precision_trial import choose

MODULE = """
import os
import signal

import numpy as np
import tf_keras as keras


def data():
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
    return tuple((images[s], labels[s]) for s in (slice(30), slice(30, 40), slice(40, 60)))


def network():
    if keras.mixed_precision.global_policy().compute_dtype == "bfloat16":
        os.kill(os.getpid(), signal.SIGILL)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=["accuracy"])
    return model
"""


def test_a_trial_that_dies_leaves_float32_and_a_run_keeps_what_it_began_in(
    tmp_path, monkeypatch, capfd
):
    (tmp_path / "killed_by_halves.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    size = ("--iterations=20", "--eval_every=10", "--batch_size=10")
    own = ("--model=killed_by_halves:network", "--dataset=killed_by_halves:data")
    command = ["main", *own, *size, "--rounds=0", "--noreport", f"--runs_dir={tmp_path}"]
    assert main.main([*command, "--precision=auto"]) == 0
    told = " ".join(capfd.readouterr().out.split())
    assert "--precision=auto: float32; a process that computed in mixed_bfloat16 died" in told
    (record,) = tmp_path.glob("*/experiment.json")
    assert json.loads(record.read_text())["recipe"]["precision"] == "float32"

    assert main.main([*command, "--precision=auto"]) == 0
    told = " ".join(capfd.readouterr().out.split())
    assert "--precision=auto: float32, in which" in told and "NOTHING TO TRAIN" in told
    assert len(list(tmp_path.glob("*/experiment.json"))) == 1


@pytest.mark.parametrize(("half", "taken"), [(0.5, "mixed_bfloat16"), (0.95, "float32")])
def test_half_precision_must_pay(half, taken):
    trial = choose({"float32": 1.0, "mixed_bfloat16": half})
    assert trial.precision == taken
    assert (
        trial.reason
        == f"an iteration takes {1000 * half:g} ms in mixed_bfloat16, 1000 ms in float32"
    )


@pytest.mark.parametrize("machines", ["--distribution=multi_worker", "--cluster=auto"])
def test_one_machine_does_not_choose_for_others(machines, capfd):
    assert main.main(["main", "--dataset=mnist_5k", "--precision=auto", machines]) == 1
    told = capfd.readouterr().err
    assert "--precision=auto: must be one of float32, mixed_bfloat16 where several" in told
