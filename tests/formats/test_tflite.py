"""TFLite files run in the default interpreter, and are sparse where that is smaller and right."""

import functools
import os

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from lth_tf import UserError, models
from lth_tf.formats.tflite import convert, export_tflite, load_tflite
from lth_tf.workflows.export_ticket import _some_images

L = keras.layers

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


def of_any_size():
    images = keras.Input((None, None, 3))
    return keras.Model(images, L.GlobalAveragePooling2D()(L.Conv2D(2, 3)(images)))


def of_words():
    words = keras.Input(5, dtype="int32")
    return keras.Model(words, L.Embedding(20, 4)(words))


def of_text():
    text = keras.Input(1, dtype="string")
    return keras.Model(text, L.Embedding(3, 2)(L.StringLookup(vocabulary=["one", "two"])(text)))


@pytest.mark.parametrize("make", [of_any_size, of_words])
def test_a_network_is_tried_on_inputs_that_it_can_take(tmp_path, make):
    model = make()
    path = tmp_path / "model.tflite"
    export_tflite(model, path)
    inputs = _some_images(model)
    assert len(inputs) == 100
    found = load_tflite(str(path), 1, True)(inputs)
    np.testing.assert_allclose(found, model(inputs), rtol=1e-5, atol=1e-4)


def of_series():
    series = keras.Input((3, 2))
    return keras.Model(series, L.LSTM(2)(series))


@pytest.mark.parametrize(
    ("make", "message"),
    [(of_text, "its inputs must be numbers, not text"), (of_series, r"cannot convert .*\(.*\)")],
)
def test_what_cannot_be_converted_or_tried_is_refused_in_a_line(tmp_path, make, message):
    with pytest.raises(UserError, match=f"^--format=tflite: {message}; use another --format$"):
        export_tflite(make(), tmp_path / "model.tflite")


def test_the_latency_of_a_network_of_text_is_refused():
    with pytest.raises(UserError, match=r"^--notable: must be given where inputs are text$"):
        _some_images(of_text())


@pytest.mark.parametrize(
    ("quantize", "message"),
    [
        ("none", r"^--format=tflite: TFLite cannot run .*\(nan\); use another --format$"),
        ("int8", r"^--quantize=int8: .*\(nan\); use --quantize=none, or another --format$"),
    ],
)
def test_what_it_computes_no_numbers_for_is_refused(tmp_path, quantize, message):
    images = keras.Input((4,))
    model = keras.Model(images, L.Dense(2)(tf.math.log(-1.0 - images)))
    with pytest.raises(UserError, match=message):
        export_tflite(model, tmp_path / "model.tflite", quantize)


def test_no_number_of_threads_is_all_cores(monkeypatch):
    asked = []

    class Counted(tf.lite.Interpreter):
        def __init__(self, path, num_threads):
            asked.append(num_threads)
            super().__init__(model_content=content)

    content = convert(of_words(), "none", sparse=False)
    monkeypatch.setattr(tf.lite, "Interpreter", Counted)
    for threads in (0, 3):
        load_tflite("model.tflite", threads, True)
    assert asked == [os.cpu_count(), 3]
