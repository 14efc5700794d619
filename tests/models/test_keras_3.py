"""Keras 3 models there and back: rebuilt with the same answers, or refused by the layer's name."""

import keras as keras_3
import numpy as np
import pytest
import tf_keras as keras

from lth_tf import Recipe, Settings, UserError, find_tickets, models
from lth_tf.formats.keras_3_file import export_keras_3, load_keras_3
from lth_tf.models.keras_3 import compare, from_keras_3, to_keras_3
from lth_tf.models.user_model import build_user_model
from lth_tf.pruning.kernels import kernels, named_weights

L = keras_3.layers


def compiled(inputs, outputs):
    model = keras_3.Model(inputs, outputs)
    loss = keras_3.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=["accuracy"])
    return model


def images():
    inner = keras_3.Sequential([keras_3.Input((8, 8, 4)), L.SeparableConv2D(4, 3), L.ReLU()])
    inputs = keras_3.Input((10, 10, 1))
    x = L.Conv2D(4, 3, activation="gelu")(L.Rescaling(1 / 255)(inputs))
    x = L.BatchNormalization(momentum=0.5)(inner(x))
    x = L.LeakyReLU(negative_slope=0.1)(x * 2 - 1) + L.DepthwiseConv2D(3, padding="same")(x)
    x = keras_3.ops.mean(L.Conv2DTranspose(3, 2, kernel_regularizer="l2")(x), axis=(1, 2))
    return compiled(inputs, L.Dense(3, name="out")(L.Dropout(0.2, seed=1)(x)))


def words():
    inputs = keras_3.Input((6,), dtype="int32")
    x = L.Embedding(9, 4, mask_zero=True)(inputs)
    x = L.Bidirectional(L.LSTM(3, return_sequences=True))(x)
    x = L.LayerNormalization()(L.MultiHeadAttention(2, 3)(x, x))
    x = L.TimeDistributed(L.Dense(4))(L.GRU(3, return_sequences=True)(x))
    return compiled(inputs, 1 - L.Dense(3, name="out")(L.Flatten()(x)))


def adapted():
    normalization = L.Normalization()
    normalization.adapt(np.arange(12.0).reshape(4, 3))
    model = keras_3.Sequential([keras_3.Input((3,)), normalization, L.Dense(3, name="out")])
    return compiled(model.inputs, model.outputs)


def few(model):
    shape = (5, *model.inputs[0].shape[1:])
    values = np.random.default_rng(0).integers(0, 9, shape)
    return values.astype(model.inputs[0].dtype.name)


@pytest.mark.parametrize("make", [images, words, adapted])
def test_it_answers_alike_there_and_back_and_in_a_file(make, tmp_path):
    original = make()
    keras_3.utils.set_random_seed(0)
    for layer in original.layers:  # statistics and biases that would show
        if not isinstance(layer, L.Normalization):
            layer.set_weights([w + np.float32(0.1) for w in layer.get_weights()])
    model = from_keras_3(original, "--model=m")
    inputs = few(model)
    compare(model, original, inputs, "m")
    assert isinstance(model, keras.Model)
    assert [k.kind for k in kernels(model)][-1] == "output"
    kernel = named_weights(model)["out/kernel"]
    kernel.assign(kernel + 1)
    back = to_keras_3(model)
    assert back is original
    compare(model, back, inputs, "m")
    export_keras_3(model, tmp_path / "m.keras")
    answer = load_keras_3(str(tmp_path / "m.keras"), 0, True)(inputs)
    np.testing.assert_allclose(answer, model(inputs), atol=1e-5)


def half_precision():
    keras_3.mixed_precision.set_global_policy("mixed_float16")
    inputs = keras_3.Input((4,))
    hidden = L.Dense(3, activation="relu", name="hidden")(inputs)
    return compiled(inputs, L.Dense(3, dtype="float32", name="out")(hidden))


def test_its_precision_policy_and_loss_scaling_are_kept_and_reach_no_other_model():
    model = build_user_model(half_precision, "m:half", 0)
    assert [model.get_layer(name).compute_dtype for name in ("hidden", "out")] == [
        "float16",
        "float32",
    ]
    assert isinstance(model.optimizer, keras.mixed_precision.LossScaleOptimizer)
    assert keras_3.mixed_precision.global_policy().name == "float32"


@pytest.mark.parametrize("name", ["lenet", "resnet18"])
def test_networks_of_tf_keras_go_to_keras_3(name):
    model = models.build(name, (8, 8, 3), 10, 0, dropout=0.1, width=0.25)
    there = to_keras_3(model)  # checks that it answers alike
    assert isinstance(there, keras_3.Model)
    assert [layer.name for layer in there.layers] == [layer.name for layer in model.layers]


def test_its_seed_draws_its_weights_and_names():
    first, again, other = (build_user_model(images, "m:images", seed) for seed in (1, 1, 2))
    one, two, three = map(named_weights, (first, again, other))
    assert one.keys() == two.keys() == three.keys()
    for name, weight in one.items():
        np.testing.assert_array_equal(weight, two[name])
    assert not np.array_equal(one["conv2d/kernel"], three["conv2d/kernel"])


class Own(keras_3.layers.Layer):
    """A layer of a user's own."""

    def call(self, inputs):  # noqa: D102
        return inputs


def own():
    inputs = keras_3.Input((4,))
    return compiled(inputs, Own(name="mine")(inputs))


def unknown_operation():
    inputs = keras_3.Input((4,))
    return compiled(inputs, keras_3.ops.cumsum(inputs, axis=1))


def unknown_setting():
    inputs = keras_3.Input((4,))
    return compiled(inputs, L.LayerNormalization(rms_scaling=True, name="norm")(inputs))


class Subclassed(keras_3.Model):
    """A model whose layers cannot be seen."""

    def call(self, inputs):  # noqa: D102
        return inputs


def with_loss(make):
    def compiled_with():
        model = keras_3.Sequential([keras_3.Input((4,)), L.Dense(3)])
        model.compile(loss=make())
        return model

    return compiled_with


def called_by_a_name():
    inputs = keras_3.Input((4, 2))
    return compiled(inputs, L.Dense(3)(L.LSTM(5, name="cells")(sequences=inputs)))


REFUSED = {
    "loss's axis": (
        with_loss(lambda: keras_3.losses.SparseCategoricalCrossentropy(axis=1)),
        "its sparse_categorical_crossentropy has axis=1, which has no counterpart in tf_keras",
    ),
    "loss's reduction": (
        with_loss(lambda: keras_3.losses.MeanSquaredError(reduction="mean")),
        "its mean_squared_error is refused by tf_keras: .* mean",
    ),
    "call": (called_by_a_name, r"layer cells \(LSTM\) cannot be rebuilt in tf_keras: .*'inputs'"),
    "own layer": (own, r"layer mine \(Own\) cannot be rebuilt in tf_keras"),
    "operation": (unknown_operation, r"\(Cumsum\) cannot be rebuilt in tf_keras"),
    "setting": (unknown_setting, r"layer norm \(LayerNormalization\).* rms_scaling=True"),
    "subclassed": (Subclassed, "subclassed Keras 3 model"),
    "not built": (lambda: keras_3.Sequential([L.Dense(2)]), "without an input shape"),
    "not compiled": (
        lambda: keras_3.Sequential([keras_3.Input((4,)), L.Dense(2)]),
        r"model.compile\(loss",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refuses(what):
    make, message = REFUSED[what]
    with pytest.raises(UserError, match=f"^--model=m:make: .*{message}"):
        build_user_model(make, "m:make", 0)


def test_a_deep_model_is_rebuilt_with_all_of_its_losss_arguments():
    inputs = keras_3.Input((3,))
    x = L.Dense(2, name="out")(inputs)
    for _ in range(200):
        x = x + 1
    model = keras_3.Model(inputs, x)
    model.compile(loss=keras_3.losses.Huber(delta=0.25))
    rebuilt = from_keras_3(model, "m")
    compare(rebuilt, model, np.ones((2, 3), np.float32), "m")
    assert float(rebuilt.loss([[0.0]], [[8.0]])) == 0.25 * (8 - 0.25 / 2)


def test_an_output_that_is_not_a_number_is_no_match():
    inputs = keras_3.Input((3,))
    model = keras_3.Model(inputs, [L.Dense(2)(inputs), L.Dense(2, name="second")(inputs)])
    rebuilt = from_keras_3(model, "m")
    named_weights(rebuilt)["second/bias"].assign([np.nan, 0])
    with pytest.raises(UserError, match=r"m: layer second \(Dense\) answers otherwise in Keras 3"):
        compare(rebuilt, model, np.ones((2, 3), np.float32), "m")


def test_a_layer_that_answers_otherwise_is_named():
    original = images()
    model = from_keras_3(original, "m")
    inputs = few(model)
    weights = original.get_layer("out").get_weights()
    original.get_layer("out").set_weights([weights[0] + 1, weights[1]])
    with pytest.raises(UserError, match=r"m: layer out \(Dense\) answers otherwise in Keras 3"):
        compare(model, original, inputs, "m")


def test_its_tickets_are_keras_3_models(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(48, 3)).astype(np.float32), rng.integers(0, 3, 48)
    train, rest = ([array[part] for array in rows] for part in (slice(32), slice(32, None)))
    recipe = Recipe(iterations=4, batch_size=16, eval_every=2)
    found = find_tickets(
        adapted,
        train,
        rest,
        rest,
        recipe,
        rounds=1,
        folder=tmp_path / "run",
        settings=Settings(xla="off"),
        report=False,
    )
    ticket = found.ticket(1)
    model = ticket.model(make=adapted, keras=3)
    assert isinstance(model, keras_3.Model)
    compare(ticket.model(make=adapted), model, rest[0], "m")
    kernel = np.asarray(model.get_layer("out").kernel)
    assert np.count_nonzero(kernel == 0) == (~ticket.masks["out/kernel"]).sum() > 0
