"""The same folder twice: another network is refused, what failed is begun anew."""

import json

import numpy as np
import pytest
import tf_keras as keras

from lth_tf import Found, Recipe, UserError, find_tickets
from lth_tf.pruning.kernels import snapshot
from lth_tf.runs.experiment import Training

L = keras.layers
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(40, 5, 4)).astype(np.float32)
CLASSES = RNG.integers(0, 3, 40)
SETS = [(INPUTS[rows], CLASSES[rows]) for rows in (slice(24), slice(24, 32), slice(32, None))]
RECIPE = Recipe(iterations=2, batch_size=8, eval_every=2)
HOW = {"recipe": RECIPE, "rounds": 1, "report": False}


class Scale(L.Layer):
    """A layer of one's own, whose source tells what it does."""

    def call(self, inputs):  # noqa: D102
        return inputs * 2


def made_by(activation="relu", scale=Scale, loss=keras.losses.sparse_categorical_crossentropy):
    """A function by the name `network` that makes one of several networks."""

    def network():
        inputs = keras.Input((5, 4))
        x = L.Dense(4, activation, name="hidden")(scale(name="scale")(inputs))
        x = L.GlobalAveragePooling1D()(x)
        model = keras.Model(inputs, L.Dense(3, activation="softmax", name="out")(x))
        model.compile(loss=loss, metrics=["accuracy", "sparse_categorical_crossentropy"])
        return model

    network.__module__, network.__qualname__ = "mine", "network"
    return network


network = made_by()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What is found in a folder of the network's."""
    return find_tickets(network, *SETS, **HOW, folder=tmp_path_factory.mktemp("same") / "e")


class Other(Scale):
    """The same name and weights, another sum."""

    def call(self, inputs):  # noqa: D102
        return inputs * 2 + 1


Other.__name__ = Other.__qualname__ = "Scale"


def other_loss(targets, outputs):
    return 2 * keras.losses.sparse_categorical_crossentropy(targets, outputs)


other_loss.__name__ = "sparse_categorical_crossentropy"


@pytest.mark.parametrize("make", [made_by("tanh"), made_by(scale=Other), made_by(loss=other_loss)])
def test_another_network_is_refused_though_its_weights_have_the_same_shapes(found, make):
    with pytest.raises(UserError, match=r"holds another experiment \(the network is another: its"):
        find_tickets(make, *SETS, **HOW, folder=found.folder)


def test_the_same_network_has_nothing_left_to_train_and_says_so(found, capfd):
    find_tickets(made_by(), *SETS, **HOW, folder=found.folder)
    assert "NOTHING TO TRAIN: all 2 trainings were finished before" in capfd.readouterr().out


def test_runs_of_before_fingerprints_go_on(found):
    path = found.folder / "experiment.json"
    fields = json.loads(path.read_text())
    assert len(fields["objective"].pop("network")) == 16
    del fields["checksum"], fields["objective"]["coverage"]
    path.write_text(json.dumps(fields))
    find_tickets(network, *SETS, **HOW, folder=found.folder)
    assert json.loads(path.read_text())["objective"]["coverage"]["left_out"] == []


def test_a_call_that_failed_does_not_block_the_right_one(tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    folder = tmp_path / "e"
    with monkeypatch.context() as patch:
        patch.setattr("lth_tf.lottery.worker.Worker.run", stopped)
        with pytest.raises(KeyboardInterrupt):
            find_tickets(made_by("tanh"), *SETS, **HOW, folder=folder)
    assert (folder / "experiment.json").exists()
    assert len(find_tickets(network, *SETS, **HOW, folder=folder).results) == 2


def test_pretrained_weights_and_another_metric(tmp_path):
    pretrained = network()
    hidden = pretrained.get_layer("hidden")
    hidden.set_weights([30 * array for array in hidden.get_weights()])
    given = {"initial_weights": pretrained, "metric": "sparse_categorical_crossentropy"}
    given["arms"] = ("ticket", "noise_1")
    found = find_tickets(network, *SETS, **HOW, **given, folder=tmp_path / "e")
    weights = snapshot(pretrained)
    for name, array in found.ticket(0).weights.items():
        np.testing.assert_array_equal(array, weights[name])
    # Its function cannot be imported, and the deviation of noise is that of the pretrained weights.
    noisy = found.ticket(1, arm="noise_1_0")
    left = noisy.masks["hidden/kernel"]
    assert np.abs(noisy.trained["hidden/kernel"] - noisy.weights["hidden/kernel"]).max() < 0.1
    added = (noisy.weights["hidden/kernel"] - weights["hidden/kernel"])[left]
    assert 0.5 < added.std() / weights["hidden/kernel"].std() < 2
    start = found.open().initial_weights(Training(0, 1, "noise_1_0"))
    np.testing.assert_array_equal(start["hidden/kernel"], noisy.weights["hidden/kernel"])
    assert found.open().metric.name == "sparse_categorical_crossentropy"
    text = found.report().with_name("report.md").read_text()
    assert "θ0 is not random: 4 of the network's weights are pretrained ones" in text
    assert "Masks cover all 28 kernel weights" in text
    with pytest.raises(UserError, match=r"the network is another: .*its pretrained weights"):
        find_tickets(network, *SETS, **HOW, metric=given["metric"], folder=tmp_path / "e")
    (found.folder / "replicate_00/level_00/dense/result.json").unlink()
    with pytest.raises(UserError, match="must have replicate_00/level_00/dense finished"):
        found.ticket(1)
    wrong = {"hidden/kernel": np.zeros((2, 2))}
    with pytest.raises(UserError, match=r"initial_weights: hidden/kernel has shape \(2, 2\)"):
        find_tickets(network, *SETS, **HOW, initial_weights=wrong, folder=tmp_path / "f")


def mostly_embedded():
    inputs = keras.Input((5,), dtype="int64")
    x = L.GlobalAveragePooling1D()(L.Embedding(100, 8, name="unbiased")(inputs))
    model = keras.Model(inputs, L.Dense(3, activation="softmax", name="out")(x))
    model.compile(loss="sparse_categorical_crossentropy")
    return model


def test_what_masks_cover_is_said(tmp_path, capfd):
    tokens = RNG.integers(0, 100, (40, 5))
    sets = [(tokens[rows], CLASSES[rows]) for rows in (slice(24), slice(24, 32), slice(32, None))]
    find_tickets(mostly_embedded, *sets, **HOW, folder=tmp_path / "e")
    covered = "Masks cover 24 of 824 kernel weights (2.91%); not pruned: unbiased (Embedding). Most"
    assert covered in " ".join(capfd.readouterr().out.split())
    report = Found(tmp_path / "e").report().with_name("report.md").read_text()
    assert covered in report
    # Two of 24 weights are pruned.
    assert "At a density of 91.7%, 99.8% of all kernel weights remain." in report
