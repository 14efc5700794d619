"""What the search for tickets costs, and tickets that are found before a training's end."""

import csv
import types

import numpy as np
import pytest

from lth_tf.errors import UserError
from lth_tf.lottery.network import Network
from lth_tf.lottery.search import (
    check_search,
    keep_for,
    search_iterations,
    search_multiply_adds,
)
from lth_tf.pruning.masks import counts_after, prune_to
from lth_tf.recipe import Recipe
from lth_tf.runs.experiment import EARLY_BIRD, Experiment, Training
from lth_tf.runs.store import Store
from lth_tf.training.arithmetic import TrainingWork
from lth_tf.training.measure import MetricsRow, multiply_adds_of

pytestmark = pytest.mark.long

EARLY = ("--name=e", "--rounds=3", "--strategy=early_bird", "--iterations=420", "--eval_every=60")
SHORT = ("--name=e", "--rounds=2", "--search_iterations=30", "--iterations=60", "--rewind=10")


class Drawn:
    """A store of a dense training whose mask for level 3 was drawn at iteration 40."""

    def read_arrays(self, training, name):
        """Returns the iteration."""
        assert (training.arm, name) == ("dense", EARLY_BIRD)
        return {"3/drawn_at": np.array([40])}


@pytest.mark.parametrize(
    ("strategy", "fields", "cost"),
    [
        ("iterative", {}, 300),
        ("iterative", {"search_iterations": 30}, 90),
        ("iterative", {"rewind": "20"}, 100 + 80 + 80),
        ("iterative", {"rewind": "20", "search_iterations": 30}, 30 + 10 + 10),
        ("iterative", {"rewind": "lr"}, 300),
        ("one_shot", {}, 100),
        ("one_shot", {"search_iterations": 30}, 30),
        ("early_bird", {}, 40),
        ("early_bird", {"rewind": "60"}, 60),
        ("gradual", {}, 0),
        ("set", {}, 0),
        ("rigl", {}, 0),
    ],
)
def test_the_cost_of_a_search_by_hand(strategy, fields, cost):
    recipe = Recipe(iterations=100, **fields)
    experiment = Experiment(recipe=recipe, rounds=3, strategy=strategy)
    check_search(experiment)
    ticket, reinit = Training(0, 3, "ticket"), Training(0, 3, "reinit_1")
    assert search_iterations(ticket, experiment, Drawn()) == cost
    assert search_iterations(reinit, experiment, Drawn()) == cost
    assert search_iterations(ticket.dense, experiment, Drawn()) == 0


class Counted:
    """A store of trainings of 100 iterations: 1,000 multiply-adds dense, 200 at level 1."""

    def __init__(self, searched):
        self.searched = searched

    def result(self, training):
        """Returns what a result says of costs."""
        spent = (0, 0.0, 1000.0) if training.level == 0 else (*self.searched, 200.0)
        names = ("search_iterations", "search_multiply_adds", "multiply_adds")
        return types.SimpleNamespace(iterations=100, **dict(zip(names, spent, strict=True)))

    read_arrays = Drawn.read_arrays


@pytest.mark.parametrize(
    ("strategy", "fields", "searched", "cost"),
    [
        ("iterative", {}, (100, 1000.0), 1000 + 200),
        ("iterative", {"search_iterations": 30}, (30, 300.0), 300 + 0.3 * 200),
        # Level 1's own training has 80 iterations, of which its search took 10.
        ("iterative", {"rewind": "20", "search_iterations": 30}, (30, 300.0), 300 + 200 / 8),
        ("one_shot", {}, (), 1000),
        ("early_bird_filters", {}, (), 400),
        ("gradual", {}, (), 0),
    ],
)
def test_the_operations_of_a_search_by_hand(strategy, fields, searched, cost):
    recipe = Recipe(iterations=100, **fields)
    experiment = Experiment(recipe=recipe, rounds=3, strategy=strategy)
    level = 2 if searched else 3
    found = search_multiply_adds(Training(0, level, "ticket"), experiment, Counted(searched))
    assert found == pytest.approx(cost)
    assert search_multiply_adds(Training(0, 0, "dense"), experiment, Counted(searched)) == 0


def test_a_training_steps_operations_by_hand():
    """Forward, to the weights and, but for the first layer, to the inputs."""
    masks = {"b": np.arange(10) < 3}
    assert TrainingWork({"a": 50, "b": 1000}, trains_weights=True).at(masks) == 2 * 50 + 3 * 300
    learned = TrainingWork({"a": 50, "b": 1000}, trains_weights=False).at(masks)
    assert learned == 2 * 50 + 300 + 1000 + 300
    rows = [
        MetricsRow(i, None, 0, 0, 0, multiply_adds=work) for i, work in ((0, 9), (4, 5), (7, 0))
    ]
    assert multiply_adds_of(rows, 10) == 10 * (4 * 9 + 3 * 5)
    rows[1].multiply_adds = None
    assert multiply_adds_of(rows, 10) is None


def test_the_cost_of_a_ticket_from_elsewhere_is_not_known():
    experiment = Experiment(recipe=Recipe(), rounds=3, strategy="transfer", ticket="0" * 64)
    assert search_iterations(Training(0, 3, "ticket"), experiment, Drawn()) is None


@pytest.mark.parametrize(
    ("strategy", "fields", "told"),
    [
        ("rigl", {"search_iterations": 5}, "--search_iterations=5: must be left out with --strate"),
        ("early_bird", {"search_iterations": 5}, "--search_iterations=5: must be left out with --"),
        ("iterative", {"search_iterations": 5, "rewind": "lr"}, "--rewind=lr: must be an iterati"),
        (
            "iterative",
            {"search_iterations": 5, "rewind": "5"},
            "--search_iterations=5: must be ins",
        ),
        ("one_shot", {"search_iterations": 100}, "--search_iterations=100: must be inside --rewin"),
        ("early_bird", {"rewind": "none"}, "--rewind=none: must be an iteration with --strategy"),
        ("early_bird", {"criterion": "movement"}, "--criterion=movement: must be magnitude with"),
    ],
)
def test_what_does_not_suit_a_search_is_refused(strategy, fields, told):
    experiment = Experiment(recipe=Recipe(iterations=100, **fields), rounds=1, strategy=strategy)
    with pytest.raises(UserError, match=f"^{told}"):
        check_search(experiment)


@pytest.fixture(scope="module")
def early(run, tmp_path_factory):
    """A run with early-bird masks."""
    runs_dir = tmp_path_factory.mktemp("early")
    assert run(runs_dir, *EARLY, "--report") == 0
    return runs_dir / "e"


def test_masks_are_pruned_from_the_weights_of_the_search_and_tickets_trained_to_the_end(
    run, rows, tmp_path
):
    assert run(tmp_path, *SHORT, "--report") == 0
    folder = tmp_path / "e"
    store = Store(folder)
    network = Network(store.experiment(), store.data())
    before = network.dense_masks()
    for level in (0, 1):
        training = Training(0, level, "ticket" if level else "dense")
        searched = store.read_arrays(training, "search")
        scores = {name: np.abs(searched[name]) for name in before}
        expected = prune_to(scores, before, counts_after(before, network.rates, "layer"))
        before = store.read_masks(Training(0, level + 1, "ticket"))
        for name, mask in before.items():
            np.testing.assert_array_equal(mask, expected[name])
            assert (mask != _final(store, training, network)[name]).any()
    assert [(row["iterations"], row["search_iterations"]) for row in rows(folder)] == [
        ("60", "0"), ("60", "30"), ("60", "50"),
    ]  # fmt: skip
    for training in store.finished():
        with open(store.path(training) / "metrics.csv") as file:
            assert "30" in {row["iteration"] for row in csv.DictReader(file)}
    report = (folder / "report/report.md").read_text()
    assert "Masks are pruned from weights of iteration 30" in report


def _final(store, training, network):
    weights, before = store.read_arrays(training, "weights"), store.read_masks(training)
    scores = {name: np.abs(weights[name]) for name in before}
    return prune_to(scores, before, counts_after(before, network.rates, "layer"))


def test_only_what_is_pruned_keeps_the_weights_of_the_search():
    def kept(strategy, arm):
        recipe = Recipe(iterations=100, rewind="20", search_iterations=30)
        network = Network(Experiment(recipe=recipe, rounds=2, strategy=strategy), data=None)
        keep = keep_for(Training(0, 0 if arm == "dense" else 1, arm), network)
        assert keep.evaluations == (20, 30)
        return dict(keep.weights)

    for strategy in ("iterative", "one_shot"):
        assert kept(strategy, "dense") == {"rewind": 20, "search": 30}
        assert kept(strategy, "reinit_0") == {}
    assert kept("iterative", "ticket") == {"search": 30} and kept("one_shot", "ticket") == {}


def test_early_tickets_have_their_levels_density_and_the_result_their_iteration(early, rows):
    store = Store(early)
    network = Network(store.experiment(), store.data())
    epoch = (store.data().train_size - network.experiment.recipe.validation_size) // 60
    looked = {*range(4 * epoch, 420, epoch), 420}
    report = (early / "report/report.md").read_text()
    for level, row in enumerate(rows(early)[1:], 1):
        assert int(row["remaining"]) == network.remaining[level]
        drawn = int(row["search_iterations"])
        assert drawn in looked and row["iterations"] == "420"
        assert f"at iteration {drawn} of 420" in report or "never stable" in report
    assert {int(row["search_iterations"]) for row in rows(early)[1:]} != {420}


def test_a_killed_search_draws_the_same_masks(early, outcome, start, wait_for, tmp_path):
    flags = (*EARLY, "--checkpoint_every=0")
    process = start(tmp_path, *flags)
    wait_for(process, tmp_path / "e/replicate_00", "level_00/dense/checkpoint.safetensors")
    process.kill()
    process.join(60)
    assert not (tmp_path / "e/replicate_00/level_00/dense/result.json").exists()
    process = start(tmp_path, *flags)
    process.join(120)
    assert process.exitcode == 0
    assert outcome(tmp_path / "e") == outcome(early)


def test_no_level_is_added_to_masks_that_were_drawn(early, run, capfd):
    flags = [flag.replace("rounds=3", "rounds=4") for flag in EARLY]
    assert run(early.parent, *flags) == 1
    assert "holds another experiment (rounds is 3 there, 4 here)" in capfd.readouterr().err
