"""A user's own network and data go the way of the paper's: found, continued, exported, refused."""

import json
import os
import shutil
import sys

import numpy as np
import pytest
import tf_keras as keras
from safetensors.numpy import load_file

import lth_tf
from lth_tf import UserError, find_tickets, main
from lth_tf.lottery.inputs import Inputs
from lth_tf.lottery.network import Network
from lth_tf.metric import Metric
from lth_tf.runs.experiment import Training
from lth_tf.runs.store import Store
from lth_tf.workflows.run_experiment import run_experiment

pytestmark = pytest.mark.long

# As in a user's module.
MODULE = """
import numpy as np
import tf_keras as keras

L = keras.layers


def data():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    images = rng.normal(size=(300, 6, 6, 1)) + labels[:, None, None, None] / 2
    sets = (slice(200), slice(200, 250), slice(250, None))
    return tuple((images[s], labels[s]) for s in sets)


def network():
    inputs = keras.Input((6, 6, 1))
    x = L.GaussianNoise(0.1)(L.RandomFlip("horizontal")(inputs))
    inner = keras.Input((6, 6, 1))
    residual = L.Conv2D(1, 3, padding="same", name="conv")(inner)
    block = keras.Model(inner, residual + inner, name="block")
    x = L.SpatialDropout2D(0.1)(L.SeparableConv2D(4, 3)(block(x)))
    x = L.Dropout(0.2)(L.Dense(16, activation="relu")(L.Flatten()(x)))
    model = keras.Model(inputs, L.Dense(3, activation="softmax")(x))
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def unknown():
    def snr(targets, outputs):
        return keras.backend.mean(outputs)

    model = network()
    model.compile(loss="sparse_categorical_crossentropy", metrics=[snr])
    return model
"""
RECIPE = lth_tf.Recipe(iterations=60, eval_every=10, batch_size=20, learning_rate=0.01)
FLAGS = ("--iterations=60", "--eval_every=10", "--batch_size=20", "--learning_rate=0.01")


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """The user's module."""
    folder = tmp_path_factory.mktemp("module")
    (folder / "mine.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    import mine

    yield mine
    sys.path.remove(str(folder))
    del sys.modules["mine"]


@pytest.fixture(scope="module")
def found(mine, tmp_path_factory):
    """What find_tickets finds in it."""
    folder = tmp_path_factory.mktemp("found") / "e"
    given = {"rounds": 2, "replicates": 2, "arms": ["ticket", "reinit"], "report": False}
    return find_tickets(mine.network, *mine.data(), RECIPE, folder=folder, **given)


def test_returns_results_tickets_and_a_report(found, mine):
    assert len(found.results) == 2 * (1 + 2 * 2)
    assert found.results.test_accuracy_final.between(0, 1).all()
    assert sorted(found.tickets) == [1, 2]
    assert "2 replicates" in found.verdict
    assert found.report().read_text().startswith("<!DOCTYPE html>")
    ticket = found.ticket(2)
    model = ticket.model(make=mine.network)
    inputs, targets = mine.data()[2]
    _, accuracy = model.evaluate(inputs, targets, verbose=0)
    row = found.results.query("replicate == 0 and level == 2 and arm == 'ticket'").iloc[0]
    assert accuracy == pytest.approx(row.test_accuracy_final)
    assert set(ticket.masks) == {
        "block/conv/kernel",
        "separable_conv2d/depthwise_kernel",
        "separable_conv2d/pointwise_kernel",
        "dense/kernel",
        "dense_1/kernel",
    }


def test_shows_itself_shortly_and_draws_the_papers_curve(found):
    assert repr(found).endswith(
        "mine:network, iterative, rounds 2, replicates 2, 10 trainings finished>"
    )
    assert len(repr(found)) < 300 and "<table" in found._repr_html_()
    ticket = found.ticket(2)
    left, size = (sum(f(m) for m in ticket.masks.values()) for f in (np.count_nonzero, np.size))
    assert repr(ticket) == (
        f"<Ticket level 2, arm ticket, replicate 0, {left:,} of {size:,} kernel weights>"
    )
    (axes,) = found.plot("test_accuracy_final").axes
    drawn = np.concatenate([line.get_ydata() for line in axes.lines])
    means = found.results.groupby(["level", "arm"]).test_accuracy_final.mean()
    assert all(np.isclose(100 * mean, drawn).any() for mean in means)
    assert found.plot()._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(UserError, match="quantity=speed: must be one of early_stop_iteration, "):
        found.plot("speed")


def test_an_unfinished_run_says_so(found, tmp_path):
    shutil.copy(found.folder / "experiment.json", tmp_path)
    begun = lth_tf.Found(tmp_path)
    for ask in (begun.plot, lambda: begun.results):
        with pytest.raises(UserError, match=f"^{tmp_path}: no training is finished yet$"):
            ask()
    assert "0 trainings finished" in begun._repr_html_()


def test_its_networks_can_be_run_on_its_data(found, mine):
    run = found.open()
    row = found.results.query("replicate == 1 and level == 2 and arm == 'ticket'").iloc[0]
    measured = run.evaluate(Training(1, 2, "ticket"))
    assert measured.metric == pytest.approx(row.test_accuracy_final)
    inputs, targets = run.examples("validation", 1)
    np.testing.assert_array_equal(targets, mine.data()[1][1])
    outputs = run.logits(Training(1, 2, "ticket"), inputs)
    np.testing.assert_allclose(outputs.sum(-1), 1, rtol=1e-5)
    with pytest.raises(UserError, match=r"was run on data passed in Python; open it with the same"):
        lth_tf.open_run(found.folder).examples("test")
    train, validation, test = mine.data()
    other = lth_tf.UserData.of(train, validation, (test[0] + 1, test[1]))
    with pytest.raises(UserError, match="must be opened with the data that it was run on"):
        lth_tf.open_run(found.folder, data=other).examples("test")


def test_reading_draws_nothing_and_writes_nothing(found, monkeypatch):
    def drawn(*_):
        raise AssertionError("the initial weights are stored")

    monkeypatch.setattr(Network, "build", drawn)
    monkeypatch.setattr(os, "replace", lambda *_: pytest.fail("something is written"))
    before = {path: path.stat().st_mtime_ns for path in found.folder.rglob("*")}
    run = lth_tf.Found(found.folder)
    assert "2 replicates" in run.verdict
    theta = load_file(found.folder / "replicate_00/level_00/dense/initial.safetensors")
    for ticket in (run.ticket(0), run.tickets[2]):
        for name, array in theta.items():
            kept = np.where(ticket.masks.get(name, True), array, 0)
            np.testing.assert_array_equal(ticket.weights[name], kept)
    assert {path: path.stat().st_mtime_ns for path in found.folder.rglob("*")} == before


def test_by_name_in_two_jobs_it_is_the_same(found, mine, tmp_path, outcome):
    flags = ("--model=mine:network", "--dataset=mine:data", *FLAGS, "--rounds=2", "--replicates=2")
    argv = ["main", *flags, "--arms=ticket,reinit", f"--runs_dir={tmp_path}", "--name=e"]
    assert main.main([*argv, "--jobs=2", "--threads=1", "--export_saved_model", "--noreport"]) == 0
    alone = lth_tf.Found(found.folder).results.drop(columns="seconds")
    jobs = lth_tf.Found(tmp_path / "e").results.drop(columns="seconds")
    # One thread adds up in another order than two.
    np.testing.assert_allclose(
        jobs.select_dtypes("number"), alone.select_dtypes("number"), rtol=1e-2, atol=0.05
    )
    assert main.main(["main", *flags, "--dry_run"]) == 0
    stated = ["--model=mine:unknown", "--dataset=mine:data", "--nohigher_is_better", "--dry_run"]
    assert main.main(["main", *stated]) == 0


def test_noise_goes_on_where_it_stopped(found, mine, tmp_path, outcome):
    """Keras's own random layers, too, have the noise of their iteration."""
    experiment = Store(found.folder).experiment()
    inputs = Inputs(mine.network, lth_tf.UserData.of(*mine.data()))
    asked = iter([False] * 3 + [True] * 9)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment, tmp_path / "e", inputs=inputs, should_stop=lambda: next(asked))
    assert list((tmp_path / "e").glob("replicate_00/level_00/dense/checkpoint.safetensors"))
    run_experiment(experiment, tmp_path / "e", inputs=inputs, report=False)
    assert outcome(tmp_path / "e") == outcome(found.folder)


def test_other_data_or_another_network_is_refused(found, mine):
    (images, labels), *others = mine.data()
    arguments = {"recipe": RECIPE, "rounds": 2, "folder": found.folder}
    with pytest.raises(UserError, match=r"sha256 is .* there"):
        find_tickets(mine.network, (images + 1, labels), *others, **arguments)

    def network():
        model = mine.network()
        loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=9)
        model.compile(loss=loss, metrics=["sparse_categorical_accuracy"])
        return model

    network.__module__, network.__qualname__ = "mine", "network"
    differing = "loss is .* there.*metric is accuracy there, sparse_categorical_accuracy here"
    with pytest.raises(UserError, match=differing):
        find_tickets(network, *mine.data(), **arguments)


def snr(targets, outputs):
    """A metric of one's own, which Keras does not know."""
    return keras.backend.mean(targets) * keras.backend.max(outputs, axis=-1)


def judged_by_snr():
    model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(3))
    model.compile(loss="sparse_categorical_crossentropy", metrics=[snr])
    return model


def test_whether_more_of_ones_own_metric_is_better_is_stated_and_recorded(mine, tmp_path):
    recipe = lth_tf.Recipe(iterations=2, eval_every=1, batch_size=20)
    how = {"rounds": 1, "folder": tmp_path / "e", "report": False}
    path = tmp_path / "e/experiment.json"

    def find(**stated):
        find_tickets(judged_by_snr, *mine.data(), recipe, **how, **stated)
        return json.loads(path.read_text())["objective"]

    found = find(higher_is_better=False)
    assert (found["metric"], found["higher_is_better"]) == ("snr", False)
    assert Store(tmp_path / "e").metric() == Metric("snr", False)
    with pytest.raises(UserError, match=r"metric snr: .*must be said"):
        find()
    with pytest.raises(UserError, match="higher_is_better is False there, True here"):
        find(higher_is_better=True)
    # An earlier version did not record it: it goes on with what is said now.
    fields = json.loads(path.read_text())
    del fields["checksum"], fields["objective"]["higher_is_better"]
    path.write_text(json.dumps(fields))
    with pytest.raises(
        UserError, match=r'experiment.json: needs "higher_is_better" in "objective"'
    ):
        Store(tmp_path / "e").metric()
    assert find(higher_is_better=True)["higher_is_better"]


def test_runs_of_earlier_versions_are_read_by_their_metrics_name(found, tmp_path):
    fields = json.loads((found.folder / "experiment.json").read_text())
    assert fields.pop("checksum") and fields["objective"].pop("higher_is_better")
    for name, higher in (("accuracy", True), ("logcosh", False), ("auc_1", True)):
        fields["objective"]["metric"] = name
        (tmp_path / "experiment.json").write_text(json.dumps(fields))
        assert Store(tmp_path).metric() == Metric(name, higher)


def seeded():
    init = keras.initializers.GlorotUniform(seed=1)
    model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(3, kernel_initializer=init))
    model.compile(loss="mse")
    return model


def bare():
    model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.GlobalAveragePooling2D()])
    model.compile(loss="mse")
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (seeded, "same initial weights whatever the seed"),
        (bare, "has no kernel that"),
        (lambda: None, "must return a tf_keras or Keras 3 model"),
        (judged_by_snr, "metric snr: .*must be said"),
    ],
)
def test_refuses_before_anything_is_written(mine, tmp_path, make, message):
    with pytest.raises(UserError, match=message):
        find_tickets(make, *mine.data(), RECIPE, folder=tmp_path / "e")
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--model=mine:network",), "--dataset: must be given with --model=mine:network"),
        (
            ("--model=mine:nothing", "--dataset=mine:data"),
            "--model=mine:nothing: must name a function",
        ),
        (("--model=nobody:network", "--dataset=mnist_5k"), "No module named 'nobody'"),
        (
            ("--model=lenet", "--dataset=mine:data"),
            "--model=lenet: must be package.module:function",
        ),
        (
            ("--model=mine:network", "--dataset=mine:data", "--validation_size=7"),
            "--validation_size=7: must be left out, or 50",
        ),
        (
            ("--model=mine:network", "--dataset=mine:data", "--init_stddev=0.1"),
            "--init_stddev=0.1: must be left out with --model=mine:network",
        ),
        (
            ("--model=mine:network", "--dataset=mine:data", "--width=0.5", "--dry_run"),
            "--width=0.5: must be left out with --model=mine:network, a function that decides",
        ),
        (
            ("--model=mine:network", "--dataset=mine:data", "--dropout=0.1", "--dry_run"),
            "--dropout=0.1: must be left out with --model=mine:network",
        ),
        (
            ("--model=lenet", "--dataset=mnist_5k", "--nohigher_is_better"),
            "--higher_is_better: must be left out with --model=lenet",
        ),
        (
            ("--model=mine:unknown", "--dataset=mine:data", "--dry_run"),
            "(--higher_is_better or --nohigher_is_better)",
        ),
    ],
)
def test_a_wrong_name_is_told_in_a_line(mine, tmp_path, capfd, flags, message):
    assert main.main(["main", *flags, f"--runs_dir={tmp_path}"]) == 1
    error = capfd.readouterr().err
    assert message in error
    assert error.count("lth_tf: ") == 1
    assert "Traceback" not in error
