"""A user's own augmentation changes a training, which goes on to the bit where it stopped."""

import sys

import pytest

from lth_tf import main
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store
from lth_tf.workflows.run_experiment import run_experiment

MODULE = """
import tensorflow as tf

def shifted(images, draws):
    moved = images
    if tf.reduce_any(draws >= 0.5):  # a tensor's condition, as Keras's users write it
        moved = tf.roll(images, 1, axis=2)
    return tf.where(draws[:, :1, None, None] < 0.5, images, moved)

shifted.draws = 1
"""
FLAGS = (
    "--dataset=mnist_5k", "--iterations=40", "--eval_every=10", "--rounds=1", "--xla=off",
    "--noreport", "--name=e",
)  # fmt: skip


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The user's module, its augmentation's name."""
    (tmp_path / "my_augmentation.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "my_augmentation:shifted"
    sys.modules.pop("my_augmentation", None)


def test_it_changes_a_training_and_goes_on_where_it_stopped(mine, outcome, tmp_path):
    def run(name, *flags):
        assert main.main(["main", *FLAGS, f"--runs_dir={tmp_path / name}", *flags]) == 0
        return tmp_path / name / "e"

    whole, plain = run("whole", f"--augment={mine}"), run("plain")
    weights = "replicate_00/level_01/ticket/weights.safetensors"
    assert outcome(whole)[1][weights] != outcome(plain)[1][weights]

    experiment, stopped = Store(whole).experiment(), tmp_path / "stopped"
    how = Settings(xla="off")
    asked = iter([False, False, True])
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment, stopped, how, should_stop=lambda: next(asked, True))
    assert list(stopped.glob("replicate_00/level_00/dense/checkpoint.safetensors"))
    run_experiment(experiment, stopped, how, report=False)
    assert outcome(stopped) == outcome(whole)


def test_one_that_does_not_fit_is_refused_before_anything_is_written(mine, tmp_path, capfd):
    (tmp_path / "my_augmentation.py").write_text(
        f"{MODULE}shifted = lambda images, draws: images[:, 1:]\nshifted.draws = 1"
    )
    assert main.main(["main", *FLAGS, f"--runs_dir={tmp_path}", f"--augment={mine}"]) == 1
    error = capfd.readouterr().err
    assert error.startswith(f"lth_tf: --augment={mine}: must return ") and error.count("\n") == 1
    assert not (tmp_path / "e").exists()
