"""--strategy=at_init: each level's mask is made of theta_0 alone, and trained as a ticket."""

import math

import numpy as np
import pytest
from absl import flags

from lth_tf import data, main, models
from lth_tf.arms import ARMS
from lth_tf.data import ImageInfo
from lth_tf.errors import UserError
from lth_tf.lottery.network import Network
from lth_tf.lottery.next_level import prune
from lth_tf.lottery.ranking import Ranking
from lth_tf.lottery.rewinding import keeps_trained_weights
from lth_tf.lottery.tickets import ticket
from lth_tf.paper.recipes import paper_recipe
from lth_tf.pruning import masks
from lth_tf.pruning.kernels import kernels
from lth_tf.runs.experiment import Experiment, Training, make_plan
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store
from lth_tf.workflows.run_experiment import run_experiment

pytestmark = pytest.mark.long

RATES = {"prune_dense": 0.9, "prune_output": 0.9}
FLAGS = (
    "--strategy=at_init", "--rounds=1", *(f"--{name}={rate}" for name, rate in RATES.items()),
    "--iterations=40", "--arms=ticket,inverted_mask", "--name=e",
)  # fmt: skip
KERNELS = ("dense1/kernel", "dense2/kernel", "output/kernel")
# The weights at 10, 3.16 and 1 % of all kernels.
KEPT = {
    "lenet": (26_620, 8_412, 2_662),
    "conv2": (430_099, 135_911, 43_010),
    "conv4": (242_502, 76_631, 24_250),
    "conv6": (226_118, 71_453, 22_612),
    "resnet18": (27_090, 8_560, 2_709),
    "vgg19": (2_002_400, 632_758, 200_240),
}


def experiment_of(*arguments):
    values = flags.FlagValues()
    main.define_flags(values)
    values(["main", "--dataset=mnist_5k", *arguments])
    return main.experiment_from_flags(values)


def network_of(criterion, **fields):
    recipe = paper_recipe("lenet").override(criterion=criterion, scope="global", **RATES)
    fields = {"rounds": 2, "strategy": "at_init", **fields}
    return Network(Experiment(recipe=recipe, **fields), ImageInfo((28, 28, 1), 10, 60_000, 10_000))


@pytest.mark.parametrize("criterion", ["snip", "grasp", "synflow", "magnitude"])
def test_masks_are_made_of_theta_0_by_the_criterion_and_trained_as_tickets(
    run, rows, tmp_path, criterion
):
    assert run(tmp_path, *FLAGS, f"--criterion={criterion}") == 0
    store = Store(tmp_path / "e")
    network = Network(store.experiment(), store.data())
    assert [(r["arm"], int(r["remaining"])) for r in rows(tmp_path / "e")] == [
        ("dense", 266_200),
        ("inverted_mask_0", 26_620),
        ("ticket", 26_620),
    ]
    images, labels = data.load("mnist_5k").examples
    theta = store.read_arrays(Training(0, 0, "dense"), "initial")
    # Nothing need be finished for a mask, and it is the same each time.
    training, empty = Training(0, 1, "ticket"), Store(tmp_path / "empty")
    again = prune(training, network, empty, lambda rows: (images[rows], labels[rows]))
    found, inverted = ticket(store, training), store.read_masks(Training(0, 1, "inverted_mask_0"))
    for name in KERNELS:
        np.testing.assert_array_equal(found.masks[name], again[name])
        np.testing.assert_array_equal(found.weights[name], theta[name] * again[name])
    overlap = sum(int((inverted[name] & again[name]).sum()) for name in KERNELS)
    # What SynFlow ranks in its later steps is not what it ranked before.
    assert overlap < 26_620 / 2 if criterion == "synflow" else overlap == 0


def test_each_level_has_the_largest_of_all_initial_weights(tmp_path):
    network = network_of("magnitude")
    theta = network.theta_0(0, Store(tmp_path))
    sizes = np.concatenate([np.abs(theta[name]).ravel() for name in KERNELS])
    for level, kept in ((1, 26_620), (2, 2_662)):
        found = prune(Training(0, level, "ticket"), network, Store(tmp_path), take=None)
        masks_of = np.concatenate([found[name].ravel() for name in KERNELS])
        assert masks_of.sum() == kept and sizes[masks_of].min() >= sizes[~masks_of].max()


def test_examples_are_drawn_of_each_class_without_a_copy_of_the_data_set(tmp_path):
    network, sizes = network_of("snip"), []
    labels = np.arange(network.data.train_size) % 10

    def take(rows):
        sizes.append(len(rows))
        return rows, labels[rows]

    ranking = Ranking(Training(0, 1, "ticket"), network, Store(tmp_path), take)
    rows, targets = ranking._examples
    *pieces, drawn = sizes
    assert sum(pieces) == len(network.split(0)[0]) and max(pieces) <= 1_000
    assert [*np.bincount(targets)] == [drawn // 10] * 10 and set(rows) <= set(network.split(0)[0])


def test_an_interrupted_run_continues_with_the_same_masks_and_bits(outcome, tmp_path):
    network = network_of("snip", rounds=1)
    recipe = network.experiment.recipe.override(
        dataset="mnist_5k", iterations=40, eval_every=20, validation_size=1_000
    )
    experiment = Experiment(recipe=recipe, rounds=1, strategy="at_init")
    settings = Settings(checkpoint_every=0, xla="off")
    run_experiment(experiment, tmp_path / "whole", settings, report=False)
    folder = tmp_path / "cut"
    begun = folder / "replicate_00/level_01/ticket"
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment, folder, settings, should_stop=begun.exists)
    assert (begun / "checkpoint.safetensors").exists() and not (begun / "result.json").exists()
    run_experiment(experiment, folder, settings, report=False)
    assert outcome(folder) == outcome(tmp_path / "whole")


def test_no_training_of_the_plan_needs_another_and_all_are_tickets():
    experiment = network_of("snip", rounds=3, replicates=2, arms=("ticket", "reinit")).experiment
    plan = make_plan(experiment)
    assert {experiment.parent(training) for training in plan} == {None}
    assert experiment.concurrency == len(plan) == 2 * (1 + 3 * 2)
    assert not keeps_trained_weights(experiment)


def test_all_kernels_are_ranked_together_unless_a_scope_is_given():
    at_init = experiment_of("--strategy=at_init")
    assert at_init.recipe.scope == "global"
    assert experiment_of("--strategy=at_init", "--scope=erk").recipe.scope == "erk"
    assert experiment_of("--strategy=one_shot").recipe.scope == "layer"
    assert at_init.name.startswith("lenet-mnist_5k-at_init-")


@pytest.mark.parametrize("criterion", ["movement", "same_sign", "large_init_large_final"])
def test_a_criterion_that_needs_a_training_is_refused(criterion):
    told = rf"^--criterion={criterion}: needs a trained network.* must be one of magnitude, .*snip"
    with pytest.raises(UserError, match=told):
        network_of(criterion).check()
    network_of(criterion, strategy="one_shot").check()


def test_other_weights_than_theta_0_are_refused():
    recipe = paper_recipe("lenet").override(rewind="500")
    with pytest.raises(UserError, match=r"^--rewind=500: must be 0 with --strategy=at_init"):
        Experiment(recipe=recipe, rounds=1, strategy="at_init")


@pytest.mark.parametrize("strategy", ["iterative", "one_shot"])
def test_an_inverted_criterion_is_of_the_whole_network(strategy):
    network = network_of("magnitude", strategy=strategy, arms=("ticket", "inverted_mask"))
    assert ARMS["inverted_mask"].inverts_criterion
    if strategy == "one_shot":
        network.check()
    else:
        with pytest.raises(UserError, match=r"^--arms=inverted_mask: must be left out with"):
            network.check()


@pytest.mark.parametrize("model", KEPT)
def test_the_six_networks_keep_exactly_as_many_weights_as_a_density_says(model):
    image_shape = (28, 28, 1) if model == "lenet" else (32, 32, 3)
    shapes = {k.name: k.shape for k in kernels(models.build(model, image_shape, 10, seed=0))}
    rng = np.random.default_rng(0)
    scores = {name: rng.random(shape, np.float32) for name, shape in shapes.items()}
    dense = {name: np.ones(shape, bool) for name, shape in shapes.items()}
    for removed, kept in zip((0.9, 0.9684, 0.99), KEPT[model], strict=True):
        rates = dict.fromkeys(shapes, removed)
        for scope in ("uniform", "erk", "global"):
            counts = masks.counts_after(dense, rates, scope)
            assert sum(counts.values()) == kept
            assert all(counts[g] <= sum(math.prod(shapes[n]) for n in g) for g in counts)
        left = masks.prune_to(scores, dense, counts)
        assert sum(int(mask.sum()) for mask in left.values()) == kept
