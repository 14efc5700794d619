"""A user's network is exported with the types, shapes and names that it has."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf import models
from lth_tf.formats.saved_model import export_saved_model, load_saved_model, signature_text

L = keras.layers


def test_a_float_network_whose_input_is_called_images_stays_one(tmp_path):
    images = keras.Input((4, 4, 2), name="images")
    x = keras.layers.Conv2D(3, 1, name="out")(images)
    model = keras.Model(images, x)
    export_saved_model(model, tmp_path / "saved_model")
    loaded = tf.saved_model.load(str(tmp_path / "saved_model"))
    serve = loaded.signatures["serving_default"]
    assert serve.structured_input_signature[1]["images"].dtype == tf.float32
    assert serve.structured_outputs["out"].shape.as_list() == [None, 4, 4, 3]
    inputs = np.random.default_rng(0).normal(size=(5, 4, 4, 2)).astype(np.float32)
    found = load_saved_model(str(tmp_path / "saved_model"), 0, True)(inputs)
    np.testing.assert_allclose(found, model(inputs), atol=1e-6)
    assert signature_text(model) == (
        "In go `images`, float32 `[n, 4, 4, 2]`, as the network was trained on them; "
        "out come `out`, float32 `[n, 4, 4, 3]`."
    )
    assert signature_text(models.build("lenet", (8, 8, 1), 10, 0)).startswith("Images go in as")


def text_network():
    words = keras.Input(1, dtype="string")
    lookup, vectorize = L.StringLookup(), L.TextVectorization(output_sequence_length=2)
    for layer in (lookup, vectorize):
        layer.adapt(["one", "two", "two"])
    tokens = L.Concatenate()([lookup(words), vectorize(words)])
    return keras.Model(words, L.Embedding(4, 3)(tokens))


def test_a_network_with_tables_is_a_saved_model_with_them(tmp_path):
    model = text_network()
    export_saved_model(model, tmp_path / "saved_model")
    words = np.array([["two"], ["three"], ["one"]]).astype(np.bytes_)
    found = load_saved_model(str(tmp_path / "saved_model"), 0, True)(words)
    np.testing.assert_array_equal(found, model(words))
