"""Criteria in experiments: a user's own, what it is supplied with, and one that has changed."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors import safe_open

from lth_tf import models
from lth_tf.data import ImageInfo
from lth_tf.errors import UserError
from lth_tf.paper.recipes import paper_recipe
from lth_tf.runs.experiment import Experiment
from lth_tf.runs.store import Store
from lth_tf.streams import Streams

# A criterion that asks for all that there is, in two steps, and writes down what it saw.
USERS = """
import numpy as np
from lth_tf.pruning.criteria import CRITERIA, Criterion

SEEN = []


@CRITERIA.register
class Taylor(Criterion):
    name = "taylor"
    help = "|weight * gradient|, and a little of its change"
    steps = 2
    examples_per_class = 3

    def scores(self, context):
        weights, gradients = context.weights, context.gradients()
        change = context.hessian_product(weights)
        found = {n: np.abs(w * (gradients[n] - change[n] / 2)) for n, w in weights.items()}
        inputs, targets = map(np.asarray, context.examples)
        np.savez(
            f"step_{len(SEEN)}.npz",
            inputs=inputs,
            targets=targets,
            **{f"gradient:{n}": g for n, g in gradients.items()},
            **{f"score:{n}": s for n, s in found.items()},
            **{f"mask:{n}": m for n, m in context.masks.items()},
        )
        SEEN.append(context)
        return found
"""
FLAGS = (
    "--dataset=mnist_5k", "--iterations=40", "--eval_every=20", "--rounds=1", "--xla=off",
    "--prune_output=0.2", "--scope=erk", "--criterion=taylor", "--name=e", "--noreport",
)  # fmt: skip
KERNELS = ("dense1/kernel", "dense2/kernel", "output/kernel")


@pytest.fixture(scope="module")
def users(run_with_package):
    """The folder of a run by a criterion of a user's package."""
    code = f"from lth_tf import main; assert main.main(['main', *{FLAGS}]) == 0"
    return run_with_package(code, users=USERS).folder


def tensors(path):
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def test_a_users_criterion_prunes_by_its_scores_in_its_steps(users):
    steps = [np.load(users / f"step_{i}.npz") for i in range(2)]
    assert not (users / "step_2.npz").exists()
    store = Store(users / "runs/e")
    final = store.read_masks(store.finished()[1])
    masks = [{name: step[f"mask:{name}"] for name in KERNELS} for step in steps] + [final]
    # ERK keeps 0.8 of 266,200; the first step the root of each kernel's share.
    assert sum(mask.sum() for mask in final.values()) == 212_960
    for name in KERNELS:
        size, kept = final[name].size, int(final[name].sum())
        assert [int(m[name].sum()) for m in masks] == [size, round((size * kept) ** 0.5), kept]
    assert final["dense2/kernel"].all() and final["output/kernel"].all()
    for step, before, after in zip(steps, masks[:-1], masks[1:], strict=True):
        scores = step["score:dense1/kernel"]
        stays, goes = after["dense1/kernel"], before["dense1/kernel"] & ~after["dense1/kernel"]
        assert goes.any() and scores[goes].max() <= scores[stays].min()


def test_a_users_criterion_sees_examples_and_gradients_of_the_masked_network(users):
    import tensorflow as tf
    import tf_keras as keras

    from lth_tf.pruning.kernels import named_weights
    from lth_tf.training.rewind import set_weights

    weights = tensors(users / "runs/e/replicate_00/level_00/dense/weights.safetensors")
    model = models.build("lenet", (28, 28, 1), 10, seed=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for i in range(2):
        seen = np.load(users / f"step_{i}.npz")
        assert seen["targets"].tolist() == np.repeat(np.arange(10), 3).tolist()
        masked = {name: w * seen.get(f"mask:{name}", 1) for name, w in weights.items()}
        set_weights(model, masked)
        with tf.GradientTape() as tape:
            value = loss(seen["targets"], model(seen["inputs"]))
        expected = tape.gradient(value, {n: named_weights(model)[n] for n in KERNELS})
        for name in KERNELS:
            gradient = seen[f"gradient:{name}"]
            np.testing.assert_allclose(gradient, expected[name], rtol=1e-3, atol=1e-6)


def test_a_random_criterion_has_one_order_for_all_levels(run, tmp_path):
    flags = ("--criterion=random", "--strategy=one_shot", "--rounds=2", "--iterations=20")
    assert run(tmp_path, "--name=e", *flags) == 0
    store = Store(tmp_path / "e")
    _, first, second = (store.read_masks(training) for training in store.finished())
    order = Streams(seed=0, replicate=0).generator("criterion").random((784, 300))
    for masks, removed in ((first, 47_040), (second, 84_672)):
        np.testing.assert_array_equal(
            masks["dense1/kernel"], order > np.sort(order, axis=None)[removed - 1]
        )


def begun(folder, criterion):
    """Begins a run that an older version wrote: the field was called score."""
    recipe = paper_recipe("lenet").override(criterion=criterion)
    experiment, data = Experiment(recipe=recipe, rounds=1), ImageInfo((28, 28, 1), 10, 60, 10)
    store = Store(folder)
    folder.mkdir()
    store.begin(experiment, data, {})
    path = folder / "experiment.json"
    fields = json.loads(path.read_text())
    fields["recipe"]["score"] = fields["recipe"].pop("criterion")
    del fields["checksum"]
    path.write_text(json.dumps(fields))
    kept = folder / "replicate_00/level_00/dense/checkpoint.safetensors"
    kept.parent.mkdir(parents=True)
    kept.touch()  # else it could be begun anew
    return store, experiment, data


def test_an_older_run_is_continued_by_the_criterion_that_its_score_was(tmp_path):
    store, experiment, data = begun(tmp_path / "e", "movement")
    assert store.experiment() == experiment
    store.begin(dataclasses.replace(experiment, rounds=2), data, {})
    assert store.experiment().rounds == 2
    assert "score" not in json.loads((tmp_path / "e/experiment.json").read_text())["recipe"]


@pytest.mark.parametrize("name", ["large_init_large_final", "small_init_small_final"])
def test_an_older_run_by_a_criterion_that_meant_something_else_is_read_but_not_continued(
    tmp_path, name
):
    store, experiment, data = begun(tmp_path / "e", name)
    before = (tmp_path / "e/experiment.json").read_bytes()
    told = rf"holds another experiment \(criterion is {name}_with_a_1 there, {name} here\)"
    with pytest.raises(UserError, match=told):
        store.begin(experiment, data, {})
    assert (tmp_path / "e/experiment.json").read_bytes() == before
    assert store.experiment().recipe.criterion == f"{name}_with_a_1"
