"""TFLite files run in the default interpreter, and are sparse where that is smaller and right."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from lth_tf import models
from lth_tf.formats.tflite import convert, export_tflite

SHAPES = {"lenet": (28, 28, 1), "conv2": (8, 8, 1)}


@functools.cache
def network(name, density):
    """A network with random weights, of which about a share remains."""
    model = models.build(name, SHAPES[name], 10, seed=1)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            layer.kernel.assign(layer.kernel * (rng.random(layer.kernel.shape) < density))
    return model


def run(content, images):
    """A file's logits, by the names that its signature promises."""
    interpreter = tf.lite.Interpreter(model_content=content)
    return interpreter.get_signature_runner("serving_default")(images=images)["logits"]


@pytest.mark.parametrize(
    ("name", "density", "quantize", "stored", "error"),
    [
        # Errors, of the largest logit: float32's rounding; 2^-11 of each weight; 1/254 of each
        # weight and activation, several layers of it.
        ("lenet", 1.0, "none", "densely: too few", 1e-5),
        ("lenet", 0.3, "none", "sparsely", 1e-5),
        ("lenet", 0.03, "none", "sparsely", 1e-5),
        ("lenet", 0.3, "float16", "sparsely", 5e-3),
        # What TensorFlow 2.21 gets wrong: it reads blocks of float16 as something else, ...
        ("lenet", 0.03, "float16", "densely: TFLite computes wrong logits", 5e-3),
        # ... and its delegate has no sparse int8.
        ("lenet", 0.3, "int8", "densely: TFLite's default delegate cannot run", 5e-2),
        ("conv2", 0.1, "none", "sparsely", 1e-5),
        ("conv2", 0.1, "int8", "densely: TFLite's default delegate cannot run", 5e-2),
    ],
)
def test_a_file_gives_the_networks_logits(tmp_path, name, density, quantize, stored, error):
    model, path = network(name, density), tmp_path / "model.tflite"
    told = export_tflite(model, path, quantize)
    kind = {"none": "float32"}.get(quantize, quantize)
    assert told.startswith(f"{kind} weights, stored {stored}")
    content = path.read_bytes()
    images = np.random.default_rng(1).integers(0, 256, (5, *SHAPES[name]), np.uint8)
    wanted, found = model(images).numpy(), run(content, images)
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() < error * np.abs(wanted).max()
    each = np.concatenate([run(content, image[None]) for image in images])
    assert np.abs(each - wanted).max() < error * np.abs(wanted).max()
    bytes_each = {"none": 4, "float16": 2, "int8": 1}[quantize]
    dense = bytes_each * sum(np.prod(weight.shape) for weight in model.weights)
    if stored == "sparsely":
        # A value and a 16-bit column for each remaining weight, and its block's zeros.
        assert len(content) < min(0.9, 5 * density) * dense
    else:
        assert dense < len(content) < 1.2 * dense


def test_the_sparse_encodings_that_are_passed_over_are_still_wrong():
    """When this fails, a newer TFLite can do more, and docs/export.md must say so."""
    images = np.zeros((1, 28, 28, 1), np.uint8)
    with pytest.raises(RuntimeError, match="delegate"):
        run(convert(network("lenet", 0.3), "int8", sparse=True), images)
    images[:] = 128
    assert np.isnan(run(convert(network("lenet", 0.03), "float16", sparse=True), images)).any()
