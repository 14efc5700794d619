"""--strategy=gradual: each level is one training from theta_0, pruned while it runs."""

import json

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from lth_tf.errors import UserError
from lth_tf.lottery.network import Network
from lth_tf.lottery.next_level import prune, rewind
from lth_tf.lottery.rewinding import keeps_trained_weights
from lth_tf.lottery.tickets import ticket
from lth_tf.paper.recipes import paper_recipe
from lth_tf.runs.experiment import Experiment, Training, make_plan
from lth_tf.runs.store import Store

FLAGS = ("--strategy=gradual", "--rounds=2", "--marks=40,190", "--name=e")
LAST = 150  # of 200 iterations: the last update


@pytest.fixture(scope="module")
def finished(run, tmp_path_factory):
    """The run directory of two gradually pruned levels."""
    runs_dir = tmp_path_factory.mktemp("gradual")
    assert run(runs_dir, *FLAGS) == 0
    return runs_dir / "e"


def test_each_level_begins_dense_at_theta_0_and_ends_with_the_plans_counts(finished, rows):
    store = Store(finished)
    network = Network(store.experiment(), store.data())
    theta = store.read_arrays(Training(0, 0, "dense"), "initial")
    assert [row["arm"] for row in rows(finished)] == ["dense", "ticket", "ticket"]
    for level, row in enumerate(rows(finished)):
        training = Training(0, level, row["arm"])
        first = prune(training, network, store, take=None)
        start = rewind(training, first, network, store)
        masks = store.read_masks(training)
        assert all(mask.all() for mask in start.masks.values())
        for name, weight in start.weights.items():
            np.testing.assert_array_equal(weight, theta[name])
        assert int(row["remaining"]) == sum(mask.sum() for mask in masks.values())
        assert int(row["remaining"]) == network.remaining[level]
        left = {"dense1/kernel": 0.8**level, "output/kernel": 0.9**level}
        for name, share in left.items():
            assert masks[name].mean() == pytest.approx(share, abs=1e-3)
        if level:
            assert int(row["early_stop_iteration"]) >= LAST
            assert row["test_accuracy_at_40"] == "" and float(row["test_accuracy_at_190"]) > 0.3
        # The network that a level starts from is a dense one.
        assert (row["test_accuracy_untrained"] == "") == (level > 0)
        exported = ticket(store, training)
        for name, mask in masks.items():
            np.testing.assert_array_equal(exported.masks[name], mask)
            np.testing.assert_array_equal(exported.trained[name] != 0, mask)


def test_tensorboard_has_the_density_over_iterations(finished):
    folder = finished / "replicate_00/level_02/ticket"
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    found = [(e.step, make_ndarray(e.tensor_proto).item()) for e in events.Tensors("density/all")]
    densities = [density for _, density in found]
    assert found[0] == (0, 1.0) and densities == sorted(densities, reverse=True)
    settled = {density for step, density in found if step >= LAST}
    assert settled == {np.float32(json.loads((folder / "result.json").read_text())["density"])}
    assert len(set(densities)) == 1 + LAST // 15


def test_a_killed_run_ends_in_the_same_bits(finished, outcome, start, wait_for, tmp_path):
    flags = (*FLAGS, "--checkpoint_every=0")
    process = start(tmp_path, *flags)
    wait_for(process, tmp_path / "e/replicate_00", "level_01/ticket/checkpoint.safetensors")
    process.kill()
    process.join(60)
    assert not (tmp_path / "e/replicate_00/level_01/ticket/result.json").exists()
    process = start(tmp_path, *flags)
    process.join(120)
    assert process.exitcode == 0
    assert outcome(tmp_path / "e") == outcome(finished)


def test_no_training_of_the_plan_needs_another_and_none_is_a_winning_ticket():
    experiment = Experiment(
        recipe=paper_recipe("lenet"), rounds=3, replicates=2, strategy="gradual"
    )
    plan = make_plan(experiment)
    assert {experiment.parent(training) for training in plan} == {None}
    assert experiment.concurrency == len(plan) == 8
    assert not keeps_trained_weights(experiment)  # but it prunes while it trains
    assert experiment.prunes_while_training
    kept = {
        (strategy, rewind): keeps_trained_weights(
            Experiment(
                recipe=paper_recipe("lenet").override(rewind=rewind), rounds=1, strategy=strategy
            )
        )
        for strategy in ("iterative", "one_shot")
        for rewind in ("0", "500", "lr", "none", "fine_tune")
    }
    assert {rewind for (_, rewind), keeps in kept.items() if keeps} == {"lr", "none", "fine_tune"}
    assert sum(kept.values()) == 6


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"arms": ("ticket", "reinit")}, "--arms=ticket,reinit: must be ticket alone with --strat"),
        (
            {"strategy": "fixed"},
            "--strategy=fixed: must be one of iterative, one_shot, at_init, early_bird, early_bird",
        ),
        ({"rewind": "lr"}, "--rewind=lr: must be 0 with --strategy=gradual"),
    ],
)
def test_what_does_not_suit_is_refused(fields, told):
    recipe = paper_recipe("lenet").override(rewind=fields.pop("rewind", "0"))
    with pytest.raises(UserError, match=f"^{told}"):
        Experiment(**{"recipe": recipe, "rounds": 1, "strategy": "gradual", **fields})
