"""The benchmark measures every contestant, and torch's network is the network that Keras trains."""

import dataclasses
import json
import time

import numpy as np
import pytest

from lth_tf import bench, models

CONTESTANTS = {"keras_tfmot", "keras", "torch", "lth_tf", "lth_tf_chunk"}


class Clock:
    """A clock that only goes on when a test says so, in the place of the real one."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        """Returns the time, as `time.perf_counter` does."""
        return self.seconds

    def slowed(self, function, seconds):
        """Returns a function that takes so many seconds."""

        def slow(*args):
            self.seconds += seconds
            return function(*args)

        return slow


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    return clock


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed (extra bench)")


def test_json_has_every_contestant(capfd):
    size = ["--iterations=20", "--repetitions=1", "--dataset=mnist_5k"]
    assert bench.main(["bench", "--model=lenet", *size, "--json"]) == 0
    measured = json.loads(capfd.readouterr().out)
    (contest,) = measured["contests"]
    installed = measured["versions"]["torch"] is not None
    assert set(contest["contestants"]) == CONTESTANTS - (set() if installed else {"torch"})
    for found in contest["contestants"].values():
        assert len(found["repetitions"]) == 1
        assert found["milliseconds_per_iteration"] > 0
        assert found["ratio_to_lth_tf"] > 0
    assert contest["operations_per_iteration"] == 60 * (6 * 266_200 - 2 * 784 * 300)
    assert contest["chunk_share_of_rate"] > 0
    assert contest["recipe"]["eval_every"] == 100
    assert_validation_is_added(contest["contestants"])


def assert_validation_is_added(contestants):
    own, chunk = contestants.pop("lth_tf"), contestants.pop("lth_tf_chunk")
    for name in ("milliseconds_per_iteration", "ratio_to_lth_tf"):
        assert own[f"{name}_with_validation"] == own[name]
        assert chunk[f"{name}_with_validation"] is None
        for other in contestants.values():
            assert other[f"{name}_with_validation"] > other[name]


def test_table_leaves_the_chunk_without_validation():
    from rich.console import Console

    from lth_tf.benchmark.contest import Contest, Timing
    from lth_tf.benchmark.report import contest_table

    timings = {
        "keras": Timing("Keras", [6.0, 8.0, 7.0], [9.0, 8.0, 7.0]),
        "lth_tf": Timing("own", [4.0], [4.0]),
        "lth_tf_chunk": Timing("chunk", [3.0], None),
    }
    task = mnist_task(None, 100)
    contest = Contest(task, xla=False, threads=1, operations=1, rate=1.0, timings=timings)
    console = Console(width=120)
    with console.capture() as captured:
        console.print(contest_table(contest))
    lines = [line.strip("│").split("│") for line in captured.get().splitlines() if "│" in line]
    assert [[cell.strip() for cell in line] for line in lines] == [
        ["Keras", "142.9", "7.00", "6.00 to 8.00", "8.00", "1.75", "2.00"],
        ["own", "250.0", "4.00", "4.00 to 4.00", "4.00", "1.00", "1.00"],
        ["chunk", "333.3", "3.00", "3.00 to 3.00", "", "0.75", ""],
    ]


def mnist_task(scratch, iterations):
    from lth_tf.benchmark.task import make_task

    return make_task("lenet", scratch, iterations=iterations, dataset="mnist_5k")


def test_contestants_validate_what_they_trained(torch, tmp_path):
    from lth_tf.benchmark.eager import Eager
    from lth_tf.benchmark.plain import PlainFit

    task = mnist_task(tmp_path, 5)
    # Training and validation differ by it.
    task = dataclasses.replace(task, recipe=task.recipe.override(dropout=0.5))
    contestants = [PlainFit(task, pruned=True), PlainFit(task, pruned=False), Eager(task)]
    expected = loss_and_accuracy(task)
    for contestant in contestants:
        before = contestant.validate()
        assert before == pytest.approx(expected, rel=1e-4)
        times = contestant.measure()
        assert contestant.validate()[0] < before[0]
        assert 0 < times.iteration < times.with_validation


def loss_and_accuracy(task):
    from lth_tf.training.trainer import build_model

    rows = np.setdiff1d(np.arange(len(task.data.train_labels)), task.order.rows)
    images, labels = task.data.train_images[rows], task.data.train_labels[rows]
    model = build_model(task.recipe, task.data.info, seed=0)
    logits = model(images).numpy().astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    correct = shares[np.arange(len(labels)), labels]
    return -np.log(correct).mean(), (logits.argmax(axis=1) == labels).mean()


def test_an_iteration_has_its_share_of_a_validation(clock):
    from lth_tf.benchmark.times import add_validation

    times = add_validation(1.0, clock.slowed(lambda: None, 0.5), eval_every=10)
    assert times == (1, pytest.approx(1.05))


def test_what_is_between_chunks_counts_once_per_validation(clock, monkeypatch, tmp_path):
    from lth_tf.training.evaluation import Evaluator

    monkeypatch.setattr(Evaluator, "__call__", clock.slowed(Evaluator.__call__, 0.5))
    assert seconds_of_whole_training(tmp_path) == pytest.approx(0.5 / 100)


def test_a_chunk_counts_by_its_own_iterations(clock, monkeypatch, tmp_path):
    from lth_tf.benchmark import this_program

    timed = this_program.TimedChunks
    monkeypatch.setattr(
        this_program, "TimedChunks", lambda function: timed(clock.slowed(function, 0.5))
    )
    assert seconds_of_whole_training(tmp_path) == pytest.approx(0.5 / 5)


def seconds_of_whole_training(scratch):
    from lth_tf.benchmark.this_program import Whole

    times = Whole(mnist_task(scratch, 5)).measure()
    assert times.iteration == times.with_validation
    return times.iteration


def test_a_chunk_lasts_until_its_loss_is_known(clock):
    from lth_tf.benchmark.this_program import TimedChunks

    class Loss:
        __float__ = clock.slowed(lambda self: 0.0, 0.5)

    chunks = TimedChunks(lambda iterator: {"loss": Loss()})
    chunks(None)
    assert chunks.seconds == 0.5
    chunks(None)
    assert chunks.seconds == 1


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--model=lenet,lennet", "--model=lennet: must be one of"),
        ("--model=lenet,digits:network", "--model=digits:network: must be one of lenet, conv2"),
        ("--repetitions=0", "repetitions"),
        ("--dataset=no_such_set", "--dataset=no_such_set: there is no such data set"),
    ],
)
def test_a_mistake_is_told_in_one_line(capfd, flag, told):
    assert bench.main(["bench", flag]) == 1
    out, err = capfd.readouterr()
    assert not out
    assert told in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("name", models.NETWORKS)
def test_torch_twin_equals_keras(torch, name):
    shape = (28, 28, 1) if name == "lenet" else (32, 32, 3)
    assert_twins(torch, models.build(name, shape, 10, seed=0), shape)


@pytest.mark.parametrize("name", ["resnet18", "conv4"])
def test_torch_twin_pads_as_keras(torch, name):
    shape = (17, 38, 2)
    assert_twins(torch, models.build(name, shape, 10, seed=0), shape)


def assert_twins(torch, model, shape):
    """Compares a model with its twins, in inference and in training."""
    from lth_tf.benchmark.torch_network import TorchNetwork

    rng = np.random.default_rng(0)
    for variable in model.variables:
        if "kernel" not in variable.name:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    images = rng.integers(0, 256, (8, *shape), np.uint8)
    twins = [
        TorchNetwork(model, layout) for layout in (torch.contiguous_format, torch.channels_last)
    ]
    for training in (False, True):
        expected = model(images, training=training).numpy()
        for network in twins:
            found = network.train(training)(torch.from_numpy(images)).detach().numpy()
            atol = 1e-3 * np.abs(expected).max()
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=atol)


def test_torch_twin_masks_kernels(torch):
    from lth_tf.benchmark.torch_network import TorchNetwork

    model = models.build("lenet", (28, 28, 1), 10, seed=0)
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 1), np.uint8)
    network = TorchNetwork(model, torch.contiguous_format)
    network.steps["dense2"].mask.zero_()
    model.get_layer("dense2").kernel.assign(np.zeros((300, 100)))
    found = network(torch.from_numpy(images)).detach().numpy()
    np.testing.assert_allclose(found, model(images), atol=1e-5)
