"""Many trainings in one directory, and readers of a run that is going on."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lth_tf import Recipe, find_tickets
from lth_tf.analysis.report import report
from lth_tf.errors import UserError
from lth_tf.lottery.tickets import ticket
from lth_tf.runs.experiment import Experiment, make_plan
from lth_tf.runs.store import Store

LENET = {"dense1/kernel": 235_200, "dense2/kernel": 30_000, "output/kernel": 1_000}
ROOT = Path(__file__).parents[2]
# Prints the processor's seconds, not the clock's: what else the machine does is not asked. The
# most memory since the program began: `getrusage` would count that of the process it came from.
REPORT = """
import re, sys, time
from lth_tf import report
code = report.main(sys.argv)
print(time.process_time(), *re.findall(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read()))
sys.exit(code)
"""


def read_everything(folder, monkeypatch):
    """Reads a run as a report, an export and TensorBoard do; each may say why it cannot.

    Figures are not drawn: they are made of what was read by then.
    """
    monkeypatch.setattr(report.canvas, "write_figure", lambda draw, out, name: (out, out))
    monkeypatch.setattr(report, "claim", lambda *_: None)
    monkeypatch.setattr(report, "keep_only", lambda *_: None)
    monkeypatch.setattr(report, "render", lambda *_, **__: "")
    try:
        report.write_report([folder], folder.parent / "out")
        store = Store(folder)
        for training in store.finished():
            ticket(store, training).save(folder.parent / "ticket.safetensors")
    except UserError as error:
        assert "\n" not in str(error)
    for events in folder.glob("replicate_*/*/*/events*"):
        if events.exists():
            EventAccumulator(str(events)).Reload()


def read_while_written(process, folder, monkeypatch, pause=0.0):
    """Reads until a process ends; returns how often, and how often when some was finished."""
    times = some = 0
    while process.is_alive():
        before = len(list(folder.glob("replicate_*/*/*/result.json")))
        read_everything(folder, monkeypatch)
        times, some = times + 1, some + bool(before)
        time.sleep(pause)
    assert process.exitcode == 0
    return times, some


def test_a_run_is_read_while_it_is_written(start, tmp_path, monkeypatch):
    process = start(tmp_path, "--name=e", "--rounds=2", "--checkpoint_every=0")
    times, _ = read_while_written(process, tmp_path / "e", monkeypatch, 0.2)
    assert times > 1


@pytest.mark.abuse
def test_a_run_is_read_two_hundred_times_while_it_is_written(start, tmp_path, monkeypatch):
    times = some = 0
    for number in range(100):
        flags = (f"--name=e{number}", "--rounds=4", "--arms=ticket,reinit", "--checkpoint_every=0")
        process = start(tmp_path, *flags, "--replicates=2")
        counts = read_while_written(process, tmp_path / f"e{number}", monkeypatch)
        times, some = times + counts[0], some + counts[1]
        if some >= 200:
            break
    print(f"{times} readings, {some} of them with finished trainings")
    assert some >= 200


def small_network():
    """A network whose training takes a moment."""
    import tf_keras as keras

    images = keras.Input((8,))
    x = keras.layers.Dense(12, activation="relu", name="hidden")(images)
    model = keras.Model(images, keras.layers.Dense(3, name="output")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=["accuracy"])
    return model


@pytest.mark.abuse
def test_many_trainings_take_no_more_memory_and_time_than_a_few(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 120)
    images = generator.normal(size=(120, 8)) + labels[:, None] / 2
    sets = [(images[part], labels[part]) for part in (slice(60), slice(60, 90), slice(90, None))]
    pages, seconds = [], []
    finish = Store.finish

    def watched(*arguments):
        finish(*arguments)
        pages.append(int(Path("/proc/self/statm").read_text().split()[1]))
        seconds.append(time.process_time())

    monkeypatch.setattr(Store, "finish", watched)
    recipe = Recipe(iterations=10, eval_every=5, batch_size=20, learning_rate=0.01)
    arms = ["ticket", "reinit", "random_mask"]
    given = {"rounds": 3, "replicates": 15, "arms": arms}
    find_tickets(small_network, *sets, recipe, folder=tmp_path / "e", **given)
    megabytes = [resource.getpagesize() * count / 2**20 for count in pages]
    each = np.diff(seconds)
    print([round(megabytes[n - 1]) for n in (20, 100, 150)], np.median(each[:20]), each[-20:])
    assert len(pages) == 150 and megabytes[-1] < megabytes[19] + 30
    assert np.median(each[-20:]) < 1.5 * np.median(each[20:40])


@pytest.mark.abuse
def test_the_report_on_six_hundred_trainings_takes_seconds(generated, tmp_path):
    recipe = Recipe(model="lenet", dataset="mnist_5k", iterations=15_000)
    arms = ("ticket", "reinit", "random_mask")
    experiment = Experiment(recipe=recipe, rounds=20, replicates=10, arms=arms)
    store = Store(tmp_path / "run")
    with store.lock():
        store.begin(experiment, generated.INFO, generated.START)
        for training in make_plan(experiment):
            generated.write_result(store, training, LENET, points=150)
    done = subprocess.run(
        [sys.executable, "-c", REPORT, str(tmp_path / "run")], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seconds, kibibytes = (float(text) for text in done.stdout.splitlines()[-1].split())
    print(f"{len(make_plan(experiment))} trainings: {seconds:.1f} s, {kibibytes / 1024:.0f} MiB")
    assert seconds < 10 and kibibytes < 500 * 1024
