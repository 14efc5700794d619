"""Kinds of --rewind: what each does to weights, schedule and optimizer."""

import csv
import types

import numpy as np
import pytest
from safetensors.numpy import load_file

from lth_tf.errors import UserError
from lth_tf.lottery.next_level import rewind
from lth_tf.lottery.rewinding import (
    REWINDINGS,
    Earlier,
    FineTune,
    LearningRate,
    Nothing,
    ToIteration,
    iterations_before,
    rewinding_of,
)
from lth_tf.recipe import Recipe
from lth_tf.runs.experiment import Experiment, Training
from lth_tf.training.initial_state import Keep

ARMS = ("ticket", "reinit_0")
FLAGS = ("--name=e", "--rounds=2", "--iterations=60", "--lr_drops=40", "--warmup=10")


@pytest.fixture(scope="module")
def kinds(run, tmp_path_factory):
    """A run of each kind."""
    runs = {}
    for kind in ("lr", "none", "fine_tune"):
        runs_dir = tmp_path_factory.mktemp(kind)
        assert run(runs_dir, *FLAGS, f"--rewind={kind}", "--report") == 0
        runs[kind] = runs_dir / "e/replicate_00"
    return runs


@pytest.mark.parametrize(
    ("rewind", "kind", "iteration"),
    [
        ("0", ToIteration, 0),
        ("7", ToIteration, 7),
        ("lr", LearningRate, 0),
        ("none", Nothing, 0),
        ("fine_tune", FineTune, 0),
    ],
)
def test_a_recipe_names_its_kind(rewind, kind, iteration):
    found = rewinding_of(Recipe(iterations=8, rewind=rewind))
    assert type(found) is kind and found.iteration == iteration
    assert found.keeps_weights == (kind is not ToIteration)
    assert (rewind in REWINDINGS) == found.keeps_weights


@pytest.mark.parametrize("rewind", ["8", "-1", "LR", "", "1.5"])
def test_a_kind_that_there_is_not_is_refused(rewind):
    told = rf"^--rewind={rewind}: must be 0 to 7, below --iterations \(8\), or one of lr, none, f"
    with pytest.raises(UserError, match=told):
        rewinding_of(Recipe(iterations=8, rewind=rewind))


def test_only_what_is_gone_on_from_is_kept():
    dense, ticket, reinit = (Training(0, 0, "dense"), *(Training(0, 1, a) for a in ARMS))
    later, nothing = ToIteration(7), Nothing()
    assert later.keep(dense) == Keep((7,), {"rewind": 7})
    assert later.keep(ticket) == later.keep(reinit) == Keep((7,))
    assert nothing.keep(dense) == nothing.keep(ticket) == Keep(optimizer=True)
    assert all(k.keep(dense) == Keep() for k in (ToIteration(0), LearningRate(), FineTune()))
    assert nothing.keep(reinit) == Keep()


def test_weights_are_those_of_the_last_training_that_trained_them():
    """Level n has trained weights n to 3, to 10 n; those before were pruned."""
    files = {
        Training(0, n, "ticket" if n else "dense"): np.arange(4) >= n for n in range(3)
    }  # fmt: skip
    asked = []

    class Files:
        def read_arrays(self, training, name):
            asked.append(training.level)
            return {"a/kernel": files[training] * (10.0 * training.level + 1), "a/bias": name}

        def read_masks(self, training):
            return {"a/kernel": files[training]}

    experiment = Experiment(recipe=Recipe(rewind="lr"), rounds=3, arms=("ticket", "random_mask"))
    earlier = Earlier(Training(0, 3, "random_mask_0"), experiment, Files())

    def found(*mask):
        asked.clear()
        return earlier.last_trained({"a/kernel": np.array(mask, bool)})["a/kernel"].tolist()

    assert found(0, 0, 1, 1) == [0, 0, 21, 21] and asked == [2]
    assert found(0, 1, 0, 1) == [0, 11, 21, 21] and asked == [2, 1]
    assert found(1, 0, 0, 0) == [1, 11, 21, 21] and asked == [2, 1, 0]


@pytest.mark.parametrize("kind", ["lr", "none", "fine_tune", "20"])
def test_rewound_is_theta_0_from_the_beginning_whatever_the_kind(kind):
    """Masks of continued training whose m * theta_0 is then trained (Appendix B)."""
    recipe = Recipe(iterations=100, rewind=kind)
    experiment = Experiment(recipe=recipe, rounds=2, arms=("ticket", "rewound"))
    masks, asked = {"a/kernel": np.ones(2, bool)}, []

    class Files:
        def read_arrays(self, training, name):
            asked.append((training.level, name))
            return {"a/kernel": np.float32([1, 2])}

    network = types.SimpleNamespace(experiment=experiment, initial_weights=None, theta_0=dict)
    found = rewind(Training(0, 2, "rewound_0"), masks, network, Files())
    assert asked == [(0, "initial")] and found.weights["a/kernel"].tolist() == [1, 2]
    assert (found.iteration, found.schedule, found.optimizer) == (0, 0, None)
    assert found.masks is masks


def weights(folder):
    return load_file(folder / "weights.safetensors")["dense1/kernel"]


def losses(folder):
    with open(folder / "metrics.csv") as file:
        return {
            int(row["iteration"]): float(row["validation_loss"]) for row in csv.DictReader(file)
        }


def learning_rates(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    found = events.Tensors("learning_rate")
    return {e.step: round(float(tensor_util.make_ndarray(e.tensor_proto)), 8) for e in found}


@pytest.mark.parametrize(
    ("strategy", "rewind", "before"),
    [
        ("iterative", "lr", {"dense": 0, "ticket": 300, "random_mask_0": 300, "reinit_0": 0}),
        ("one_shot", "none", {"dense": 0, "ticket": 100, "random_mask_0": 100, "reinit_0": 0}),
        ("iterative", "20", {"dense": 0, "ticket": 0, "random_mask_0": 0, "reinit_0": 0}),
    ],
)
def test_kept_weights_were_trained_by_all_parents_before(strategy, rewind, before):
    recipe = Recipe(iterations=100, rewind=rewind)
    experiment = Experiment(recipe=recipe, rounds=3, strategy=strategy)
    found = {
        arm: iterations_before(Training(0, 0 if arm == "dense" else 3, arm), experiment)
        for arm in before
    }
    assert found == before


def test_the_run_ends_without_a_word_of_winning(kinds):
    for folder in kinds.values():
        log = (folder.parent / "run.log").read_text()
        report = (folder.parent / "report/report.md").read_text()
        for text in (log, report):
            assert "pruned network" in text.lower() and "winning" not in text.lower()
        assert "early-stopping iteration, earlier trainings included, pruned network / " in report
        assert "all trainings down to their level, 60 iterations each, came before" in report


def test_the_survivors_keep_their_weights(kinds):
    for folder in kinds.values():
        dense, ticket = losses(folder / "level_00/dense"), losses(folder / "level_01/ticket")
        assert list(ticket) == list(dense)
        # It starts about where the dense network ended, not where that started.
        assert ticket[0] < (dense[0] + dense[60]) / 2
        assert not (folder / "level_00/dense/rewind.safetensors").exists()


def test_the_schedule_is_replayed_or_stays_at_its_last_rate(kinds):
    replayed = {0: 0.0, 20: 0.01, 40: 0.01, 60: 0.001}
    for kind, folder in kinds.items():
        assert learning_rates(folder / "level_00/dense") == replayed
        expected = dict.fromkeys(replayed, 0.001) if kind == "fine_tune" else replayed
        for level in (1, 2):
            assert learning_rates(folder / f"level_0{level}/ticket") == expected


def test_only_none_goes_on_with_the_optimizer(kinds):
    for kind, folder in kinds.items():
        for training in ("level_00/dense", "level_01/ticket"):
            assert (folder / training / "optimizer.safetensors").exists() == (kind == "none")
    counted = [
        int(load_file(kinds["none"] / training / "optimizer.safetensors")["0"])
        for training in ("level_00/dense", "level_01/ticket", "level_02/ticket")
    ]
    assert counted == [60, 120, 180]
    start, other = (weights(kinds[kind] / "level_00/dense") for kind in ("lr", "none"))
    np.testing.assert_array_equal(start, other)
    ends = [weights(kinds[kind] / "level_01/ticket") for kind in kinds]
    assert not any(np.array_equal(ends[i], ends[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_a_kept_optimizer_continues_to_the_bit(kinds, start, wait_for, tmp_path):
    flags = (*FLAGS, "--rewind=none", "--checkpoint_every=0")
    process = start(tmp_path, *flags)
    wait_for(process, tmp_path / "e/replicate_00", "level_01/ticket/checkpoint.safetensors")
    process.kill()
    process.join(60)
    process = start(tmp_path, *flags)
    process.join(120)
    assert process.exitcode == 0
    for name in ("weights", "optimizer", "masks"):
        path = f"level_02/ticket/{name}.safetensors"
        assert (tmp_path / "e/replicate_00" / path).read_bytes() == (
            kinds["none"] / path
        ).read_bytes()
