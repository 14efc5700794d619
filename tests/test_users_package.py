"""A network and an export format of a user's package: a file each, found by name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lth_tf

NETWORK = """
from lth_tf.models import NETWORKS, layers


@NETWORKS.register
def shallow(image_shape, classes, init, dropout=0.0, width=1.0, scaling=layers.UNIT):
    import tf_keras as keras

    images = keras.Input(image_shape, name="images")
    x = keras.layers.Flatten(name="flatten")(layers.scale(images, scaling))
    x = layers.hidden(x, layers.scaled(30, width), "dense1", init, dropout)
    return keras.Model(images, layers.output(x, classes, init), name="shallow")
"""
# Dense layers as arrays, for programs that have NumPy alone.
FORMAT = """
import numpy as np

from lth_tf.formats.formats import FORMATS, Format


def write(source, path):
    layers = [layer.get_weights() for layer in source.model.layers]
    np.savez(path, *[array for arrays in layers for array in arrays])
    return "weights and biases in turn"


def load(path: str, threads: int, trained: bool) -> "Network":
    import numpy as np

    first, bias, second, offset = np.load(path).values()

    def logits(images):
        hidden = np.maximum(images.reshape(len(images), -1) / 255 @ first + bias, 0)
        return (hidden @ second + offset).astype(np.float32)

    return logits


FORMATS.register(
    Format(
        "arrays", "arrays.npz", 'numpy.load("arrays.npz")', write, load,
        missing=("tensorflow", "lth_tf", "keras", "tf_keras", "tensorflow_model_optimization"),
    )
)
"""
HELP = """
import sys
from lth_tf import export, main

assert main.main(["main", "--help"]) == export.main(["export", "--help"]) == 0
assert not {"tensorflow", "tf_keras"} & sys.modules.keys()
"""
SCRIPT = """
from lth_tf import bench, export, main

assert main.main(["main", "--help"]) == export.main(["export", "--help"]) == 0
tiny = ["--iterations=20", "--eval_every=10", "--rounds=1", "--width=0.5", "--name=e", "--noreport"]
assert main.main(["main", "--model=shallow", *tiny]) == 1
assert main.main(["main", "--model=shallow", "--dataset=mnist_5k", *tiny]) == 0
formats = ["--format=arrays,ticket", "--notable", "--verify"]
assert export.main(["export", "--run=runs/e", "--level=1", "--out=exported", *formats]) == 0
assert bench.main(["bench", "--model=shallow"]) == 1
"""


@pytest.fixture(scope="module")
def ran(run_with_package):
    """A run and an export with the package, and what they printed."""
    return run_with_package(SCRIPT, users_network=NETWORK, users_format=FORMAT)


def test_a_network_is_trained_by_name_with_the_default_recipe_and_the_flags(ran):
    recipe = json.loads((ran.folder / "runs/e/experiment.json").read_text())["recipe"]
    assert (recipe["model"], recipe["width"]) == ("shallow", 0.5)
    assert recipe["batch_size"] == lth_tf.Recipe().batch_size
    path = ran.folder / "runs/e/replicate_00/level_01/ticket/result.json"
    layers = json.loads(path.read_text())["layers"]
    assert {name: size for name, (_, size) in layers.items()} == {
        "dense1/kernel": 784 * 15,
        "output/kernel": 15 * 10,
    }


def test_it_needs_a_data_set_and_the_help_and_the_benchmark_know_whose_it_is(ran):
    errors = ran.err
    assert "--dataset: must be given with --model=shallow; see --help" in errors
    assert "--model=shallow: must be one of lenet, conv2" in errors
    assert "One of conv2, conv4, conv6, lenet, resnet18, vgg19, shallow, or your own." in " ".join(
        ran.out.split()
    )


def test_the_help_does_not_wait_for_tensorflow(ran):
    project = Path(lth_tf.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{ran.folder}:{project}"}
    command = [sys.executable, "-c", HELP]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "shallow" in done.stdout and "arrays" in done.stdout


def test_a_format_is_written_and_verified_without_this_program(ran):
    readme = (ran.folder / "exported/README.md").read_text()
    assert "arrays.npz: weights and biases in turn" in readme
    assert "arrays.npz: " in readme and "test images right" in readme
    assert '- `numpy.load("arrays.npz")`' in readme
    assert (ran.folder / "exported/ticket.safetensors").exists()
    assert "Any of saved_model, keras, tflite, ticket, keras3, arrays." in ran.out
