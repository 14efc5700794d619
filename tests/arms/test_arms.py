"""Each arm and strategy trains what it says: its masks, its weights, its needs."""

import itertools
import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

from lth_tf.arms import Draw
from lth_tf.data import load
from lth_tf.errors import UserError
from lth_tf.lottery.network import Network
from lth_tf.lottery.next_level import prune, rewind
from lth_tf.lottery.tickets import initial_weights
from lth_tf.lottery.worker import make_order
from lth_tf.paper.recipes import paper_recipe
from lth_tf.runs.experiment import Experiment, Training, make_plan
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store
from lth_tf.streams import Streams
from lth_tf.workflows.run_experiment import run_experiment

pytestmark = pytest.mark.long

ARMS = ("ticket", "reinit", "random_mask", "shuffled_mask", "random_mask_reinit", "reorder")
FLAGS = (f"--arms={','.join(ARMS)}", "--reinits=2", "--rounds=2", "--iterations=40", "--name=e")
KERNELS = ("dense1/kernel", "dense2/kernel", "output/kernel")


class Run:
    """A finished run, and what its trainings started from."""

    def __init__(self, folder):
        self.folder, self.store = folder, Store(folder)
        self.network = Network(self.store.experiment(), self.store.data())

    def initial(self, level, arm):
        """What a training started from, made again."""
        training = Training(0, level, arm)
        masks = prune(training, self.network, self.store, take=None)
        return rewind(training, masks, self.network, self.store)

    def masks(self, level, arm):
        """Its masks."""
        return self.store.read_masks(Training(0, level, arm))

    def weights(self, level, arm, name="weights"):
        """Its weights at the end."""
        return self.store.read_arrays(Training(0, level, arm), name)


@pytest.fixture(scope="module", params=["iterative", "one_shot"])
def finished(request, run, tmp_path_factory):
    """A run of every arm, by each strategy."""
    runs_dir = tmp_path_factory.mktemp(request.param)
    assert run(runs_dir, *FLAGS, f"--strategy={request.param}") == 0
    return Run(runs_dir / "e")


def counts(masks):
    return {name: int(mask.sum()) for name, mask in masks.items()}


def differ(one, other):
    return [name for name in KERNELS if not np.array_equal(one[name], other[name])]


def test_every_arm_of_every_level_is_trained_once_with_the_levels_counts(finished, rows):
    table = rows(finished.folder)
    controls = [f"{arm}_{i}" for arm in ARMS[1:] for i in range(2)]
    for level in (1, 2):
        arms = [row["arm"] for row in table if row["level"] == str(level)]
        assert sorted(arms) == sorted(["ticket", *controls])
        expected = counts(finished.masks(level, "ticket"))
        for arm in arms:
            assert counts(finished.masks(level, arm)) == expected
    assert len(table) == 1 + 2 * 11


def test_a_control_has_the_masks_and_the_weights_that_it_is_named_for(finished):
    theta = finished.initial(0, "dense").weights
    for level in (1, 2):
        ticket = finished.initial(level, "ticket")
        assert not differ(ticket.weights, theta)
        for arm in ("reinit_0", "reinit_1", "random_mask_reinit_0"):
            start = finished.initial(level, arm)
            assert len(differ(start.weights, theta)) == 3
            assert np.std(start.weights["dense1/kernel"]) == pytest.approx(
                np.std(theta["dense1/kernel"]), rel=0.02
            )
        assert not differ(finished.initial(level, "reinit_1").masks, ticket.masks)
        for arm in ("random_mask_1", "shuffled_mask_0", "random_mask_reinit_1"):
            start = finished.initial(level, arm)
            assert len(differ(start.masks, ticket.masks)) == 3
        for arm in ("random_mask_0", "shuffled_mask_1"):
            assert not differ(finished.initial(level, arm).weights, theta)
        random, fresh = (finished.masks(level, f"random_mask{end}_0") for end in ("", "_reinit"))
        assert not differ(random, fresh)
        pair = finished.initial(level, "reinit_0"), finished.initial(level, "random_mask_reinit_0")
        assert not differ(pair[0].weights, pair[1].weights)


def test_a_reordered_ticket_starts_as_the_ticket_and_ends_elsewhere(finished):
    for level in (1, 2):
        starts = [finished.initial(level, arm) for arm in ("ticket", "reorder_0", "reorder_1")]
        ends = [finished.weights(level, arm) for arm in ("ticket", "reorder_0", "reorder_1")]
        for one, other in itertools.combinations(range(3), 2):
            assert not differ(starts[one].weights, starts[other].weights)
            assert not differ(starts[one].masks, starts[other].masks)
            assert len(differ(ends[one], ends[other])) == 3


def test_a_reordered_ticket_has_an_order_augmentation_and_dropout_of_its_own():
    def told(level, arm):
        training = Training(0, level, arm)
        draw = Draw(Streams(0, 0), level, training.draw, dict, dict)
        order = make_order(training, draw, np.arange(90), 10)
        return order.batches(0, 2).tobytes(), order.augment_key, order.dropout_key

    assert told(1, "reinit_1") == told(1, "ticket")
    others = [told(*of) for of in ((1, "ticket"), (1, "reorder_0"), (1, "reorder_1"))]
    others += [told(*of) for of in ((2, "ticket"), (2, "reorder_0"))]
    for each in zip(*others, strict=True):
        assert len(set(each)) == 5


def test_a_reordered_training_that_was_stopped_ends_in_the_same_bits(finished, run, tmp_path):
    whole = finished.folder / "replicate_00/level_02/reorder_1"
    folder = tmp_path / "e"
    shutil.copytree(finished.folder, folder)
    again = folder / "replicate_00/level_02/reorder_1"
    shutil.rmtree(again)
    asked = iter([False])  # whether to start; then yes, at iteration 20
    experiment = Store(folder).experiment()
    stopped = Settings(xla="off", checkpoint_every=0)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment, folder, stopped, should_stop=lambda: next(asked, True))
    assert (again / "checkpoint.safetensors").exists()
    assert run(tmp_path, *FLAGS, f"--strategy={experiment.strategy}") == 0
    for name in ("weights.safetensors", "metrics.csv"):
        assert (again / name).read_bytes() == (whole / name).read_bytes()


def test_draws_and_levels_differ_and_random_masks_are_nested(finished):
    for arm in ("random_mask", "shuffled_mask"):
        assert len(differ(*(finished.masks(1, f"{arm}_{i}") for i in range(2)))) == 3
    fresh = [
        finished.initial(*of).weights for of in ((1, "reinit_0"), (1, "reinit_1"), (2, "reinit_0"))
    ]
    assert len(differ(fresh[0], fresh[1])) == len(differ(fresh[0], fresh[2])) == 3
    for name in KERNELS:
        sparse, denser = (finished.masks(level, "random_mask_0")[name] for level in (2, 1))
        assert not (sparse & ~denser).any()


def test_the_untrained_accuracy_is_that_of_the_masked_start(finished, rows):
    test = load("mnist_5k")
    images = test.test_images.reshape(len(test.test_labels), -1).astype(np.float64) / 255
    for row in rows(finished.folder):
        start = finished.initial(int(row["level"]), row["arm"])
        hidden = images
        for layer in ("dense1", "dense2", "output"):
            kernel = start.weights[f"{layer}/kernel"] * start.masks[f"{layer}/kernel"]
            hidden = hidden @ kernel + start.weights[f"{layer}/bias"]
            hidden = hidden if layer == "output" else np.maximum(hidden, 0)
        right = (hidden.argmax(1) == test.test_labels).mean()
        assert float(row["test_accuracy_untrained"]) == pytest.approx(right, abs=1.5 / len(images))


def test_a_stored_start_is_exported_for_every_arm(finished):
    for arm in ("ticket", "reinit_1", "shuffled_mask_0", "reorder_1"):
        start = finished.initial(2, arm)
        exported = initial_weights(finished.store, Training(0, 2, arm))
        for name in KERNELS:
            expected = np.where(start.masks[name], start.weights[name], 0)
            np.testing.assert_array_equal(exported[name], expected)


def test_one_shot_masks_are_the_dense_networks_smallest_weights(finished):
    one_shot = finished.network.experiment.strategy == "one_shot"
    dense = np.abs(finished.weights(0, "dense")["dense1/kernel"])
    mask = finished.masks(2, "ticket")["dense1/kernel"]
    assert (dense[~mask].max() <= dense[mask].min()) == one_shot


def test_the_strategy_is_part_of_the_experiment_and_arms_may_grow(
    finished, run, rows, tmp_path, capfd
):
    strategy = finished.network.experiment.strategy
    other = {"iterative": "one_shot", "one_shot": "iterative"}[strategy]
    assert run(finished.folder.parent, *FLAGS, f"--strategy={other}") == 1
    assert f"strategy is {strategy} there, {other} here" in capfd.readouterr().err

    few = ("--rounds=1", "--iterations=40", "--name=e", f"--strategy={strategy}")
    assert run(tmp_path, *few) == 0
    assert run(tmp_path, *few, "--arms=ticket,reinit") == 0
    assert run(tmp_path, *few) == 0  # asking for less leaves what is there
    assert [row["arm"] for row in rows(tmp_path / "e")] == ["dense", "reinit_0", "ticket"]
    assert json.loads((tmp_path / "e/experiment.json").read_text())["arms"] == ["ticket", "reinit"]
    same = "replicate_00/level_01/reinit_0/weights.safetensors"
    grown, whole = (load_file(folder / same) for folder in (tmp_path / "e", finished.folder))
    assert not differ(grown, whole)


@pytest.mark.parametrize("arms", [("reinit",), ("ticket", "ticket"), ()])
def test_arms_without_the_ticket_or_twice_are_refused(arms):
    with pytest.raises(UserError, match=f"--arms={','.join(arms)}: must have ticket among them, "):
        Experiment(recipe=paper_recipe("lenet"), rounds=1, arms=arms)


def test_a_one_shot_plan_needs_the_dense_network_only():
    experiment = Experiment(recipe=paper_recipe("lenet"), rounds=5, strategy="one_shot", arms=ARMS)
    plan = make_plan(experiment)
    assert {experiment.parent(training) for training in plan[1:]} == {plan[0]}
    assert experiment.concurrency == 30
