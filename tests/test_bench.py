"""The benchmark measures every contestant, and each trains the network that Keras trains."""

import contextlib
import dataclasses
import importlib.util
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lth_tf import bench, models
from lth_tf.benchmark.contest import CONTESTANTS, Entry
from lth_tf.benchmark.host import ContestantError, Host
from lth_tf.paper.recipes import paper_recipe

pytestmark = pytest.mark.long

ABSENT = {"torch": "why"}
# What a network of another framework puts out: in inference, in training, and with one kernel
# masked. Neither framework can be trusted in a process that uses TensorFlow.
OUTPUTS = """
import sys
from pathlib import Path
from safetensors.numpy import load_file, save_file
from lth_tf.benchmark.layers import read_network
for place in map(Path, sys.argv[1:]):
    layers, images = read_network(place), load_file(place / "images")["images"]
    save_file(outputs(layers, images, (place / "masked").read_text()), place / "found")
"""
FRAMEWORKS = {
    "torch": """
import torch
from lth_tf.benchmark.torch_network import TorchNetwork
def outputs(layers, images, masked):
    images, found = torch.from_numpy(images), {}
    for layout in (torch.contiguous_format, torch.channels_last):
        network = TorchNetwork(layers, layout)
        inference = network.eval()(images)
        found[f"{layout} training"] = network.train()(images)
        network = TorchNetwork(layers, layout)
        network.steps[masked].mask.zero_()
        found |= {f"{layout} inference": inference, f"{layout} masked": network.eval()(images)}
    return {name: output.detach().numpy() for name, output in found.items()}
""",
    "jax": """
import jax, jax.numpy as jnp, numpy as np
from lth_tf.benchmark.jax_network import Call, initial_weights, logits_of
def outputs(layers, images, masked):
    weights, masks, statistics = initial_weights(layers)
    def output(training, masks):
        call = Call(weights, masks, statistics, training, jnp.float32, jax.random.key(0))
        return np.asarray(logits_of(layers, call, jnp.asarray(images))[0])
    without = masks | {masked: jnp.zeros_like(masks[masked])}
    return {"inference": output(False, masks), "training": output(True, masks),
            "masked": output(False, without)}
""",
}


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
def mnist_task(tmp_path):
    """Makes the task of LeNet on the embedded digits."""
    from lth_tf.benchmark.prepare import make_task

    def make(iterations, **more):
        size = {"iterations": iterations, "dataset": "mnist_5k"}
        task = make_task("lenet", tmp_path, **size, **more)
        # TensorFlow's own number, as it has started.
        return dataclasses.replace(task, threads=0)

    return make


def installed(*names):
    """Those of these contestants that can be measured here."""
    return [name for name in names if importlib.util.find_spec(CONTESTANTS[name].needs)]


@contextlib.contextmanager
def asked(name, task):
    """Returns what asks a contestant, those that need TensorFlow in this process."""
    entry = CONTESTANTS[name]
    place = f"lth_tf.benchmark.{entry.place}"
    if entry.needs == "tensorflow":
        contestant = pkgutil.resolve_name(place)(task, **entry.options)
        yield lambda method: getattr(contestant, method)()
    else:
        with Host(place, dataclasses.replace(task, threads=1), **entry.options) as host:
            yield host.ask


def test_json_has_every_contestant_and_why_one_is_absent(capfd, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # else it is known
    monkeypatch.setitem(CONTESTANTS, "jax", Entry("no_such:Thing"))
    monkeypatch.setitem(CONTESTANTS, "torch", Entry("torch_loop:TorchLoop", "no_such"))
    size = ["--iterations=20", "--repetitions=1", "--dataset=mnist_5k", "--threads=1"]
    names = "--contestants=keras,jax,torch,lth_tf_two_jobs"
    assert bench.main(["bench", "--model=lenet", *size, names, "--json"]) == 0
    measured = json.loads(capfd.readouterr().out)
    (contest,) = measured["contests"]
    assert contest["contestants"].keys() == {"keras", "lth_tf", "lth_tf_chunk"}
    absent = contest["not_measured"]
    assert absent.keys() == {"jax", "torch", "lth_tf_two_jobs"}
    assert "No module named" in absent["jax"] and absent["lth_tf_two_jobs"] == "needs two threads"
    assert absent["torch"].startswith("no_such is not installed; pip install 'lth_tf[bench]'")
    for found in contest["contestants"].values():
        assert len(found["repetitions"]) == 1
        assert found["milliseconds_per_iteration"] > 0
        assert found["ratio_to_lth_tf"] > 0
    assert contest["operations_per_iteration"] == 60 * (6 * 266_200 - 2 * 784 * 300)
    assert contest["chunk_share_of_rate"] > 0
    assert contest["recipe"]["eval_every"] == 100
    assert_validation_is_added(contest["contestants"])
    assert not list(tmp_path.iterdir())  # though each process was killed


def assert_validation_is_added(contestants):
    own, chunk = contestants.pop("lth_tf"), contestants.pop("lth_tf_chunk")
    for name in ("milliseconds_per_iteration", "ratio_to_lth_tf"):
        assert own[f"{name}_with_validation"] == own[name]
        assert chunk[f"{name}_with_validation"] is None
        for other in contestants.values():
            assert other[f"{name}_with_validation"] > other[name]


def test_table_leaves_the_chunk_without_validation(mnist_task):
    from rich.console import Console

    from lth_tf.benchmark.contest import Contest, Timing
    from lth_tf.benchmark.report import contest_table

    timings = {
        "keras": Timing("Keras", [6.0, 8.0, 7.0], [9.0, 8.0, 7.0]),
        "lth_tf": Timing("own", [4.0], [4.0]),
        "lth_tf_chunk": Timing("chunk", [3.0], None),
    }
    contest = Contest(
        mnist_task(100), xla=False, operations=1, rate=1.0, timings=timings, absent=ABSENT
    )
    console = Console(width=120)
    with console.capture() as captured:
        console.print(contest_table(contest))
    lines = [line.strip("│").split("│") for line in captured.get().splitlines() if "│" in line]
    assert [[cell.strip() for cell in line] for line in lines] == [
        ["Keras", "142.9", "7.00", "6.00 to 8.00", "8.00", "1.75", "2.00"],
        ["own", "250.0", "4.00", "4.00 to 4.00", "4.00", "1.00", "1.00"],
        ["chunk", "333.3", "3.00", "3.00 to 3.00", "", "0.75", ""],
    ]
    assert "torch is not in the table: why." in captured.get()


def test_all_train_the_same_network_on_the_same_batches(mnist_task):
    task, losses = mnist_task(40), {}
    expected = loss_and_accuracy(task)
    for name in installed("keras_tfmot", "keras", "torch", "torch_fused", "jax"):
        with asked(name, task) as ask:
            assert ask("validate") == pytest.approx(expected, rel=1e-4)
            times = ask("measure")
            assert 0 < times.iteration < times.with_validation
            losses[name] = ask("validate")[0]
    # PyTorch repeats the few batches of the warm-up where the others go on.
    assert max(losses.values()) < 0.9 * expected[0]
    assert max(losses.values()) < 1.02 * min(losses.values())


def test_keras_decays_kernels_alone_as_the_others_do():
    import tf_keras as keras

    from lth_tf.benchmark.plain import _optimizer

    layers = [keras.layers.Dense(2), keras.layers.BatchNormalization()]
    model = keras.Sequential([keras.Input(3), *layers])
    optimizer = _optimizer(paper_recipe("resnet18"))
    optimizer.build(model.trainable_variables)
    decayed = [optimizer._use_weight_decay(variable) for variable in model.trainable_variables]
    assert decayed == [True, False, False, False]


def test_none_validates_with_dropout(mnist_task):
    task = mnist_task(5, dropout=0.5)
    for name in installed("keras", "torch", "jax"):
        with asked(name, task) as ask:
            assert ask("validate") == pytest.approx(loss_and_accuracy(task), rel=1e-4)


class Faulty:
    """A contestant that fails, or whose process dies as by a library's fault."""

    title = "faulty"

    def __init__(self, task):
        pass

    def fail(self):
        """Fails."""
        raise ValueError("no kernel\nfor it")

    def die(self):
        """Ends the process without a word."""
        os.kill(os.getpid(), signal.SIGSEGV)


def test_a_contestant_that_fails_or_dies_is_told(mnist_task, monkeypatch):
    # Where its process finds this module.
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    task = dataclasses.replace(mnist_task(5), threads=1)
    for method, told in (("die", "status -11$"), ("fail", r"^ValueError .*: no kernel$")):
        faulty = Host("test_bench:Faulty", task)
        with faulty, pytest.raises(ContestantError, match=told):
            faulty.ask(method)


def loss_and_accuracy(task):
    from lth_tf.training.trainer import build_model

    images, labels = task.validation
    assert task.batches.max() < len(task.labels) - len(labels)
    model = build_model(task.recipe, task.info, seed=0)
    logits = model(images).numpy().astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    correct = shares[np.arange(len(labels)), labels]
    return -np.log(correct).mean(), (logits.argmax(axis=1) == labels).mean()


def test_an_iteration_has_its_share_of_a_validation(clock):
    from lth_tf.benchmark.times import add_validation

    times = add_validation(1.0, clock.slowed(lambda: None, 0.5), eval_every=10)
    assert times == (1, pytest.approx(1.05))


def test_what_is_between_chunks_counts_once_per_validation(clock, monkeypatch, mnist_task):
    from lth_tf.training.evaluation import Evaluator

    monkeypatch.setattr(Evaluator, "__call__", clock.slowed(Evaluator.__call__, 0.5))
    assert seconds_of_whole_training(mnist_task(5)) == pytest.approx(0.5 / 100)


def test_a_chunk_counts_by_its_own_iterations(clock, monkeypatch, mnist_task):
    from lth_tf.benchmark import this_program

    timed = this_program.TimedChunks
    monkeypatch.setattr(
        this_program, "TimedChunks", lambda function: timed(clock.slowed(function, 0.5))
    )
    assert seconds_of_whole_training(mnist_task(5)) == pytest.approx(0.5 / 5)


def seconds_of_whole_training(task):
    from lth_tf.benchmark.this_program import Whole

    times = Whole(task).measure()
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
        ("--contestants=keras,jaxx", "--contestants=jaxx: must be one of keras_tfmot, keras"),
        ("--dataset=no_such_set", "--dataset=no_such_set: there is no such data set"),
    ],
)
def test_a_mistake_is_told_in_one_line(capfd, flag, told):
    assert bench.main(["bench", flag]) == 1
    out, err = capfd.readouterr()
    assert not out
    assert told in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("package", FRAMEWORKS)
def test_their_networks_are_keras_networks(package, tmp_path):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed (extra bench)")
    shapes = {name: (28, 28, 1) if name == "lenet" else (32, 32, 3) for name in models.NETWORKS}
    odd = {"resnet18": (17, 38, 2), "conv4": (17, 38, 2)}
    expected = {
        tmp_path / f"{name}-{shape[0]}": written(name, shape, tmp_path / f"{name}-{shape[0]}")
        for name, shape in [*shapes.items(), *odd.items()]
    }
    code = FRAMEWORKS[package] + OUTPUTS
    subprocess.run([sys.executable, "-c", code, *map(str, expected)], check=True)
    for place, known in expected.items():
        for name, found in load_file(place / "found").items():
            output = known[name.split()[-1]]
            message = f"{place.name}, {name}"
            atol = 1e-3 * np.abs(output).max()
            np.testing.assert_allclose(found, output, rtol=1e-3, atol=atol, err_msg=message)


def written(name, shape, folder):
    """Writes a narrow network and images; returns what `OUTPUTS` says of it by Keras."""
    from lth_tf.benchmark.layers import write_network

    model = models.build(name, shape, 10, seed=0, width=0.25)
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if "kernel" not in variable.name:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    images = rng.integers(0, 256, (8, *shape), np.uint8)
    folder.mkdir()
    write_network(model, folder)
    save_file({"images": images}, folder / "images")
    masked = next(layer for layer in model.layers if hasattr(layer, "kernel"))
    (folder / "masked").write_text(masked.name)
    found = {"inference": model(images).numpy()}
    kernel = masked.kernel.numpy()
    masked.kernel.assign(np.zeros_like(kernel))
    found["masked"] = model(images).numpy()
    masked.kernel.assign(kernel)
    # Last, as batch normalisation learns by it.
    return found | {"training": model(images, training=True).numpy()}
