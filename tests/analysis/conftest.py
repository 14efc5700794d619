"""Run directories made by hand, without training, for the tests of the report."""

import dataclasses
import math
import random

import pytest

from lth_tf.data import ImageInfo
from lth_tf.paper.recipes import RECIPES
from lth_tf.runs.experiment import Experiment, make_plan
from lth_tf.runs.results import Result, metrics_csv
from lth_tf.runs.store import Store

START = {
    "time": "2026-11-22T19:39:50+00:00",
    "flags": ["--model=lenet", "--name=a|b"],
    "settings": {"jobs": 1, "threads": "all", "distribution": "none", "xla": "auto"},
    "versions": {"python": "3.11.7", "lth_tf": "0.1.0", "tensorflow": "2.21.0"},
    "git_revision": "0123456789abcdef0123456789abcdef01234567",
    "hardware": {"processor": "x86_64", "cores": 2, "memory_gib": 23.5, "gpus": []},
}
# How much pruning costs each arm, in points per e-fold of weights removed.
_COST = {
    "dense": 0,
    "ticket": 0,
    "reinit": 0.4,
    "random_mask": 0.9,
    "reorder": 0,
    "dense_reorder": 0,
    "shuffled_mask": 0.6,
    "random_mask_reinit": 1.1,
    "inverted_mask": 2.0,
}
_LAYERS = {
    "lenet": {"dense1/kernel": 235_200, "dense2/kernel": 30_000, "output/kernel": 1_000},
    "resnet18": {
        "stem/kernel": 432,
        **{
            f"stage{s}_block{b}_conv{c}/kernel": 9 * (16 * 2 ** (s - 1)) ** 2
            for s in (1, 2, 3)
            for b in (1, 2, 3)
            for c in (1, 2)
        },
        "output/kernel": 640,
    },
}


@dataclasses.dataclass
class Row:
    """A row of metrics.csv."""

    iteration: int
    train_loss: float | None
    validation_loss: float
    validation_accuracy: float
    test_accuracy: float | None = None
    train_accuracy: float | None = None


def write_run(
    folder, model="lenet", finished=None, recipe=None, objective=None, older=None, **experiment
):
    """Writes a run directory with made-up numbers.

    Args:
        folder: the run directory.
        model: its network, and the recipe.
        finished: says of a training whether it is finished; None: all are.
        recipe: fields that differ.
        objective: the loss and metric of a user's network.
        older: says of a training whether an earlier version measured it; None: none was.
        **experiment: fields of the experiment.
    """
    recipe = RECIPES[model].override(**recipe or {})
    experiment = Experiment(recipe=recipe, **experiment)
    image = ImageInfo((28, 28, 1), 10, 60_000, 10_000)
    store = Store(folder)
    with store.lock():
        store.begin(experiment, image, START, objective)
    for training in make_plan(experiment):
        if finished is None or finished(training):
            _write_training(store, recipe, training, bool(older and older(training)))
    return folder


def _write_training(store, recipe, training, older):
    draw = random.Random(str(training))
    layers = {
        name: (max(1, round(count * 0.8**training.level * (1 - i * 0.01 * training.level))), count)
        for i, (name, count) in enumerate(_LAYERS[recipe.model].items())
    }
    total = sum(count for _, count in layers.values())
    remaining = sum(count for count, _ in layers.values())
    removed = math.log(total / remaining)
    best = 0.98 if recipe.model == "lenet" else 0.9
    best -= _COST.get(training.kind, 0.5) / 100 * removed + 0.001 * max(0, removed - 3) ** 2
    best += 0.004 * math.exp(-((removed - 2) ** 2)) * (training.kind == "ticket")
    best += draw.gauss(0, 0.0008)
    stop = 100 * round(recipe.iterations / 2000 * (1 + (removed - 2) ** 2 + draw.random()))
    stop = min(max(stop, 100), recipe.iterations)
    store.clear(training)
    step = max(recipe.eval_every, recipe.iterations // 40)

    def loss(iteration):
        return 0.06 + 2.2 * math.exp(-40 * iteration / stop) + 0.04 * abs(iteration / stop - 1)

    rows = [
        Row(
            i,
            loss(i) / 2 if i else None,
            loss(i),
            0.1 + (best - 0.1) * (1 - math.exp(-20 * i / recipe.iterations)),
        )
        for i in range(0, recipe.iterations + 1, step)
    ]
    (store.path(training) / "metrics.csv").write_text(metrics_csv(rows))
    result = Result(
        replicate=training.replicate,
        level=training.level,
        arm=training.arm,
        density=remaining / total,
        remaining=remaining,
        early_stop_iteration=stop,
        validation_loss_at_early_stop=0.06,
        test_accuracy_at_early_stop=best,
        test_accuracy_final=best + 0.001,
        iterations=recipe.iterations,
        seconds=10.5,
        test_accuracy_at={
            mark: best - 0.1 * (1 - mark / recipe.iterations) for mark in recipe.marks
        },
        layers=layers,
        train_accuracy_at_early_stop=None if older else min(1.0, best + 0.01),
        train_accuracy_final=None if older else min(1.0, best + 0.02),
        validation_accuracy_at_early_stop=None if older else best - 0.001,
        test_accuracy_untrained=None if older else best / 4,
    )
    store.finish(training, result)


@pytest.fixture(scope="session")
def make_run():
    """Writes a run directory with made-up numbers."""
    return write_run
