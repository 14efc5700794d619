"""Networks that anyone would hand in: what is trained and measured is what plain Keras has.

Each case is a model and data. The copy that is trained gives the model's outputs, losses and
metrics; a few iterations end with the weights of plain Keras, and with its loss and metric.
"""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from lth_tf.data import UserData
from lth_tf.models.user_model import build_user_model
from lth_tf.pruning.kernels import kernels, named_weights, pruned_kernels, snapshot
from lth_tf.pruning.wrapper import masked_kernels
from lth_tf.recipe import Recipe
from lth_tf.training.chunked import chunked_copy
from lth_tf.training.copy_check import check_copy
from lth_tf.training.initial_state import InitialState
from lth_tf.training.mask_schedules import MASK_SCHEDULES, MaskPlan
from lth_tf.training.objective import objective_of
from lth_tf.training.order import Order
from lth_tf.training.trainer import Trainer

pytestmark = pytest.mark.long

L = keras.layers
RNG = np.random.default_rng(0)
N = 40
TRAIN, VALIDATION, TEST = slice(24), slice(24, 33), slice(33, N)
RECIPE = Recipe(
    iterations=3, batch_size=8, optimizer="sgd", learning_rate=0.05, eval_every=3, validation_size=9
)
TABLE = RNG.normal(3, 2, (N, 6)).astype(np.float32)
IMAGES = RNG.random((N, 8, 8, 3), np.float32)
SEQUENCES = RNG.normal(size=(N, 5, 4)).astype(np.float32)
TOKENS = RNG.integers(0, 7, (N, 5))  # 0 is padding
WORDS = RNG.choice(["red", "green", "blue", "unheard of"], (N, 1))
CLASSES = RNG.integers(0, 3, N)
PER_STEP = RNG.integers(0, 3, (N, 5))
PER_PIXEL = RNG.integers(0, 3, (N, 8, 8))
ONE_HOT = np.eye(3, dtype=np.float32)[CLASSES]
BINARY = (CLASSES > 0).astype(np.float32)[:, None]
VALUES = RNG.normal(size=(N, 2)).astype(np.float32)
SPARSE = "sparse_categorical_crossentropy"


def model(inputs, outputs, loss=SPARSE, metrics=("accuracy",), **kwargs):
    made = keras.Model(inputs, outputs)
    metrics = list(metrics) if isinstance(metrics, tuple) else metrics
    made.compile(loss=loss, metrics=metrics, **kwargs)
    return made


def classifier(inputs, x, **kwargs):
    return model(inputs, L.Dense(3, activation="softmax", name="digit")(x), **kwargs)


def of_table(*layers, **kwargs):
    inputs = x = keras.Input(6)
    for layer in layers:
        x = layer(x)
    return classifier(inputs, x, **kwargs)


def adapted(layer, data):
    layer.adapt(data)
    return layer


def added_loss():
    inputs = keras.Input(6)
    hidden = L.Dense(4, name="hidden")(inputs)
    made = classifier(inputs, hidden)
    made.add_loss(0.3 * tf.reduce_mean(hidden**2))
    return made


class Penalty(L.Layer):
    """Adds a loss of its own, and has a weight of its own."""

    def build(self, shape):  # noqa: D102
        self.scale = self.add_weight("scale", (shape[-1],), initializer="ones")

    def call(self, inputs):  # noqa: D102
        self.add_loss(0.1 * tf.reduce_mean(tf.abs(inputs)))
        return inputs * self.scale


class Conditional(L.Layer):
    """Decides by a tensor, in Python's words."""

    def call(self, inputs):  # noqa: D102
        if tf.reduce_mean(inputs) > 3:
            return inputs
        return -inputs


def conditional_error(targets, outputs):
    error = tf.reduce_mean(tf.abs(targets - outputs), axis=-1)
    if tf.reduce_max(error) > 1:
        error = 2 * error
    return error


def siamese():
    left, right = keras.Input(6, name="left"), keras.Input(6, name="right")
    shared = L.Dense(4, activation="tanh")
    x = tf.abs(shared(left) - shared(right))
    return model([left, right], L.Dense(1, activation="sigmoid")(x), "binary_crossentropy")


def nested_residual():
    inner = keras.Input((8, 8, 3))
    block = keras.Model(inner, L.Conv2D(3, 3, padding="same")(inner) + inner, name="block")
    inputs = keras.Input((8, 8, 3))
    x = L.BatchNormalization()(block(inputs))
    return classifier(inputs, L.GlobalAveragePooling2D()(L.ReLU()(x)))


def u_net():
    inputs = keras.Input((8, 8, 3))
    skip = L.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    x = L.Conv2D(4, 3, strides=2, padding="same", activation="relu")(skip)
    x = L.Conv2DTranspose(4, 3, strides=2, padding="same")(x)
    x = L.Concatenate()([L.UpSampling2D()(L.MaxPooling2D()(x)), skip])
    return model(inputs, L.Conv2D(3, 1, activation="softmax")(x))


def autoencoder():
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(2, 3, strides=2, padding="same", activation="relu")(inputs)
    x = L.Conv2DTranspose(3, 3, strides=2, padding="same", activation="sigmoid")(x)
    return model(inputs, x, "mse", ("mae",))


def averaged_embedding():
    inputs = keras.Input(5, dtype="int64")
    x = L.Dense(4, activation="relu")(L.Embedding(7, 4, mask_zero=True)(inputs))
    return classifier(inputs, L.GlobalAveragePooling1D()(x))


def tagger():
    inputs = keras.Input(5, dtype="int64")
    x = L.Embedding(7, 4, mask_zero=True)(inputs)
    return classifier(inputs, L.Dense(4, activation="relu")(x))


def bidirectional():
    inputs = keras.Input(5, dtype="int64")
    x = L.Bidirectional(L.LSTM(3))(L.Embedding(7, 4, mask_zero=True)(inputs))
    return classifier(inputs, x)


def transformer(dropout=0.0):
    inputs = keras.Input((5, 4))
    attention = L.MultiHeadAttention(2, 2, dropout=dropout, name="attention")
    x = L.LayerNormalization()(inputs + attention(inputs, inputs))
    return classifier(inputs, L.GlobalAveragePooling1D()(x))


def tickets(structure=list, losses=None, metrics=None):
    """keras.io's functional guide: outputs in a list, losses and targets by their layers' names."""
    title, body = keras.Input(6, name="title"), keras.Input(6, name="body")
    x = L.Concatenate()([title, body])
    outputs = {
        "priority": L.Dense(1, activation="sigmoid", name="priority")(x),
        "department": L.Dense(3, name="department")(x),
    }
    made = keras.Model([title, body], outputs if structure is dict else list(outputs.values()))
    logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(
        loss=losses or {"priority": "binary_crossentropy", "department": logits},
        loss_weights={"priority": 1.0, "department": 0.2} if not losses else None,
        metrics=metrics or {"department": ["accuracy"]},
    )
    return made


TITLE_AND_BODY = {"title": TABLE, "body": TABLE[::-1].copy()}
BY_NAME = {"priority": BINARY, "department": CLASSES}


def wave_net():
    inputs = keras.Input((5, 4))
    x, skips = L.Conv1D(4, 1)(inputs), []
    for rate in (1, 2):
        how = {"padding": "causal", "dilation_rate": rate}
        gate = L.Conv1D(4, 2, activation="sigmoid", **how)(x)
        y = L.Multiply()([gate, L.Conv1D(4, 2, activation="tanh", **how)(x)])
        y = L.Conv1D(4, 1)(y)
        x = L.Add()([x, y])
        skips.append(y)
    return classifier(inputs, L.GlobalMaxPooling1D()(L.ReLU()(L.Add()(skips))))


def attention_u_net():
    inputs = keras.Input((8, 8, 3))
    skip = L.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    x = L.Conv2D(4, 3, strides=2, padding="same", activation="relu")(skip)
    x = L.UpSampling2D(interpolation="bilinear")(x)
    gate = L.Conv2D(1, 1, activation="sigmoid")(L.ReLU()(L.Conv2D(2, 1)(skip) + L.Conv2D(2, 1)(x)))
    return classifier(inputs, L.Concatenate()([skip * gate, x]))


def translation():
    """A GRU's last state is where another begins."""
    source, target = (keras.Input(5, dtype="int64", name=name) for name in ("source", "target"))
    _, state = L.GRU(3, return_state=True)(L.Embedding(7, 4, mask_zero=True)(source))
    decoder = L.GRU(3, return_sequences=True, name="decoder")
    return classifier([source, target], decoder(L.Embedding(7, 4)(target), initial_state=state))


def video():
    inputs = keras.Input((3, 8, 8, 1))
    x = L.ConvLSTM2D(2, 3, strides=2)(inputs)
    return classifier(inputs, L.GlobalAveragePooling2D()(x))


def mixer():
    inputs = keras.Input((5, 4))
    x = L.Permute((2, 1))(L.LayerNormalization()(inputs))
    x = inputs + L.Permute((2, 1))(L.Dense(5, activation="gelu")(x))
    x += L.Dense(4, activation="gelu")(L.LayerNormalization()(x))
    return classifier(inputs, L.GlobalAveragePooling1D()(x))


class Positions(L.Layer):
    """Adds an embedding of each position, as keras.io's transformers do."""

    def build(self, shape):  # noqa: D102
        self.table = L.Embedding(shape[1], shape[2])

    def call(self, inputs):  # noqa: D102
        return inputs + self.table(tf.range(inputs.shape[1]))


def vision_transformer():
    inputs = keras.Input((8, 8, 3))
    x = Positions()(L.Reshape((4, 4))(L.Conv2D(4, 4, strides=4)(inputs)))
    y = L.LayerNormalization(epsilon=1e-6)(x)
    x = L.Add()([x, L.MultiHeadAttention(2, 2)(y, y)])
    return classifier(inputs, L.Flatten()(x + L.Dense(4, activation="gelu")(x)))


def wide_and_deep():
    numbers, kind = keras.Input(6, name="numbers"), keras.Input(1, dtype="int64", name="kind")
    wide = adapted(L.IntegerLookup(output_mode="multi_hot"), CLASSES)(kind)
    deep = L.Dense(4, activation="relu")(adapted(L.Normalization(), TABLE)(numbers))
    return classifier([numbers, kind], L.Concatenate()([wide, deep]))


def merged():
    left, right = keras.Input(6, name="left"), keras.Input(6, name="right")
    pair = [L.Dense(4, name="a")(left), L.Dense(4, name="b")(right)]
    found = [L.Dot(1, normalize=True)(pair), L.Average()(pair), L.Maximum()(pair)]
    return classifier([left, right], L.Concatenate()([*found, L.Subtract()(pair)]))


def attending():
    inputs = keras.Input(5, dtype="int64")
    x = L.Embedding(7, 4, mask_zero=True)(inputs)
    x = L.Attention(use_scale=True)([x, x])
    x = L.MultiHeadAttention(2, 2)(x, x, use_causal_mask=True)
    return classifier(inputs, L.GlobalAveragePooling1D()(x))


class Tied(L.Layer):
    """A table in which tokens are looked up, and by which they are scored."""

    def build(self, shape):  # noqa: D102
        self.table = self.add_weight("table", (7, 4))

    def call(self, inputs):  # noqa: D102
        if inputs.dtype.is_integer:
            return tf.gather(self.table, inputs)
        return tf.matmul(inputs, self.table, transpose_b=True)


def language_model():
    inputs = keras.Input(5, dtype="int64")
    tied = Tied()
    x = L.Dense(4, activation="relu")(tied(inputs))
    return model(inputs, tied(x), keras.losses.SparseCategoricalCrossentropy(from_logits=True))


def half_precision():
    inputs = keras.Input(6)
    return model(inputs, L.Dense(3, activation="softmax", dtype="float16")(inputs))


def mixed_precision():
    """A policy of its own; its first updates overflow in float16, and Keras leaves them out."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    inputs = keras.Input(6)
    x = L.BatchNormalization()(L.Dense(4, activation="relu")(inputs))
    return model(inputs, L.Dense(2, dtype="float32")(x), "mse", ("mae",))


def words():
    inputs = keras.Input(1, dtype=tf.string)
    lookup = adapted(L.StringLookup(), WORDS[:, 0][WORDS[:, 0] != "unheard of"])
    return classifier(inputs, L.Flatten()(L.Embedding(4, 3)(lookup(inputs))))


def text():
    inputs = keras.Input(1, dtype=tf.string)
    vectorize = adapted(L.TextVectorization(output_sequence_length=3), WORDS[:, 0])
    x = L.Dense(3)(L.Embedding(8, 3, mask_zero=True)(vectorize(inputs)))
    return classifier(inputs, L.GlobalAveragePooling1D()(x))


def categories():
    inputs = keras.Input(1, dtype="int64")
    lookup = adapted(L.IntegerLookup(output_mode="one_hot"), CLASSES)
    return classifier(inputs, lookup(inputs))


def frozen():
    base = L.Dense(4, activation="relu", name="base")
    base.trainable = False
    return of_table(base, L.Dense(4, name="head"))


def own_error(targets, outputs):
    return tf.reduce_mean(tf.abs(targets - outputs) ** 1.5, -1)


class Worst(keras.metrics.Metric):
    """The largest error: no mean, and no weights."""

    def __init__(self, name="mae", **kwargs):
        super().__init__(name=name, **kwargs)
        self.worst = self.add_weight("worst", initializer="zeros")

    def update_state(self, targets, outputs, sample_weight=None):  # noqa: D102
        assert sample_weight is None
        self.worst.assign(tf.maximum(self.worst, tf.reduce_max(tf.abs(targets - outputs))))

    def result(self):  # noqa: D102
        return self.worst


def regression(**kwargs):
    inputs = keras.Input(6)
    return model(inputs, L.Dense(2)(L.Dense(4, activation="relu")(inputs)), **kwargs)


def ignoring():
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=2)
    return of_table(loss=loss)


CASES = {
    "Normalization, adapted": (
        lambda: of_table(adapted(L.Normalization(), TABLE)), TABLE, CLASSES
    ),
    "Discretization, adapted": (
        lambda: of_table(adapted(L.Discretization(num_bins=3), TABLE), L.Rescaling(1.0)),
        TABLE, CLASSES,
    ),
    "model.add_loss": (added_loss, TABLE, CLASSES),
    "a layer's add_loss": (lambda: of_table(Penalty()), TABLE, CLASSES),
    "conditions on tensors": (
        lambda: model(
            x := keras.Input(6), Conditional()(L.Dense(2)(x)), conditional_error,
            metrics=(keras.metrics.MeanMetricWrapper(conditional_error, "worst"),),
        ),
        TABLE, VALUES,
    ),
    "regularizers": (
        lambda: of_table(L.Dense(4, kernel_regularizer="l2", activity_regularizer="l1")),
        TABLE, CLASSES,
    ),
    "a shared layer": (siamese, [TABLE, TABLE[::-1].copy()], BINARY),
    "a nested model, x + y": (nested_residual, IMAGES, CLASSES),
    "uint8 images": (
        lambda: classifier(
            x := keras.Input((8, 8, 3)), L.Flatten()(L.Rescaling(1 / 255)(x))
        ),
        (255 * IMAGES).astype(np.uint8), CLASSES,
    ),
    "a U-Net": (u_net, IMAGES, PER_PIXEL),
    "an autoencoder": (autoencoder, IMAGES, IMAGES),
    "mask_zero reaches Dense": (averaged_embedding, TOKENS, CLASSES),
    "mask_zero reaches the loss": (tagger, TOKENS, PER_STEP),
    "a BiLSTM": (bidirectional, TOKENS, CLASSES),
    "a transformer": (transformer, SEQUENCES, CLASSES),
    "a separable convolution": (
        lambda: classifier(
            x := keras.Input((8, 8, 3)), L.Flatten()(L.SeparableConv2D(2, 3, name="s")(x))
        ),
        IMAGES, CLASSES,
    ),
    "F1Score": (
        lambda: of_table(
            loss="categorical_crossentropy", metrics=(keras.metrics.F1Score("macro"),)
        ),
        TABLE, ONE_HOT,
    ),
    "label smoothing": (
        lambda: of_table(loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1)),
        TABLE, ONE_HOT,
    ),
    "AUC": (
        lambda: model(
            x := keras.Input(6), L.Dense(1, activation="sigmoid")(x), "binary_crossentropy",
            (keras.metrics.AUC(),),
        ),
        TABLE, BINARY,
    ),
    "hinge": (
        lambda: model(x := keras.Input(6), L.Dense(1, activation="tanh")(x), "hinge", ("hinge",)),
        TABLE, 2 * BINARY - 1,
    ),
    "weighted metrics": (
        lambda: of_table(metrics=None, weighted_metrics=["accuracy"]), TABLE, CLASSES
    ),
    "no metric": (lambda: regression(loss="huber", metrics=None), TABLE, VALUES),
    "a loss and metric of one's own": (
        lambda: regression(loss=own_error, metrics=(Worst(),)), TABLE, VALUES
    ),
    "ignore_class": (ignoring, TABLE, CLASSES),
    "losses by name": (tickets, TITLE_AND_BODY, BY_NAME),
    "outputs by name": (lambda: tickets(dict), TITLE_AND_BODY, BY_NAME),
    "targets in a list": (tickets, TITLE_AND_BODY, list(BY_NAME.values())),
    "losses in a list": (
        lambda: tickets(losses=["mse", SPARSE], metrics=[["mae"], ["accuracy"]]),
        TITLE_AND_BODY, list(BY_NAME.values()),
    ),
    "an output without a loss": (
        lambda: tickets(losses={"priority": "mse"}, metrics={"priority": "mae"}),
        TITLE_AND_BODY, {"priority": BINARY},
    ),
    "half-precision outputs": (half_precision, TABLE, CLASSES),
    "mixed_float16 of its own": (mixed_precision, TABLE, 20 * VALUES),
    "words": (words, WORDS, CLASSES),
    "text": (text, WORDS, CLASSES),
    "categories": (categories, CLASSES[:, None], CLASSES),
    "dilated causal convolutions": (wave_net, SEQUENCES, CLASSES),
    "an attention U-Net": (attention_u_net, IMAGES, PER_PIXEL),
    "an encoder's state": (translation, [TOKENS, TOKENS[::-1].copy()], PER_STEP),
    "a convolutional LSTM": (video, IMAGES.transpose(0, 3, 1, 2)[..., None].copy(), CLASSES),
    "an MLP-Mixer": (mixer, SEQUENCES, CLASSES),
    "a vision transformer": (vision_transformer, IMAGES, CLASSES),
    "wide and deep": (wide_and_deep, {"numbers": TABLE, "kind": CLASSES[:, None]}, CLASSES),
    "merging layers": (merged, [TABLE, TABLE[::-1].copy()], CLASSES),
    "attention under masks": (attending, TOKENS, CLASSES),
    "tied embeddings": (language_model, TOKENS, TOKENS),
    "activation layers": (
        lambda: of_table(L.Dense(4), L.PReLU(), L.LeakyReLU(0.2), L.ELU(), L.Softmax()),
        TABLE, CLASSES,
    ),
    "group and unit normalization": (
        lambda: classifier(
            x := keras.Input((8, 8, 3)),
            L.Flatten()(L.UnitNormalization()(L.GroupNormalization(2)(L.Conv2D(4, 3)(x)))),
        ),
        IMAGES, CLASSES,
    ),
    "spectral normalization": (
        lambda: of_table(L.SpectralNormalization(L.Dense(4), name="spectral")), TABLE, CLASSES
    ),
    "steps without values": (
        lambda: classifier(x := keras.Input((5, 4)), L.LSTM(3)(L.Masking()(x))),
        SEQUENCES * (np.arange(5) < 3)[:, None], CLASSES,
    ),
    "cells in a stack": (
        lambda: classifier(
            x := keras.Input((5, 4)), L.RNN([L.LSTMCell(3), L.GRUCell(2)])(x)
        ),
        SEQUENCES, CLASSES,
    ),
    "resized and cropped images": (
        lambda: classifier(
            x := keras.Input((8, 8, 3)),
            L.Flatten()(L.Rescaling(2, -1)(L.CenterCrop(4, 4)(L.Resizing(6, 6)(x)))),
        ),
        IMAGES, CLASSES,
    ),
    "frozen kernels": (frozen, TABLE, CLASSES),
    "a Lambda": (lambda: of_table(L.Lambda(lambda x: x * 2)), TABLE, CLASSES),
}  # fmt: skip


# Whose metric does not say whether more of it is better.
OF_ONES_OWN = ("a loss and metric of one's own", "conditions on tensors")
# The others too, by other tests; XLA takes its time. It cannot compile text.
COMPILED = ("F1Score", "words", "text")


def at(rows, arrays):
    return tf.nest.map_structure(lambda array: array[rows], arrays)


def data_of(inputs, targets):
    sets = (
        tuple(at(rows, part) for part in (inputs, targets)) for rows in (TRAIN, VALIDATION, TEST)
    )
    return UserData.of(*sets)


def order_of(data):
    rows = np.arange(24)
    generators = functools.partial(np.random.default_rng)
    return Order(rows, RECIPE.batch_size, generators, augment_key=1, dropout_key=2)


def trained(build, plain, data, judge, xla="off"):
    """What this program trains and measures, from the weights of a plain model."""
    trainer = Trainer(RECIPE, build, data, tf.distribute.get_strategy(), xla, judge)
    plan = MaskPlan(RECIPE.iterations, {}, {}, lambda *_: np.random.default_rng(0))
    schedule = MASK_SCHEDULES["fixed"](plan)
    found = pruned_kernels(kernels(plain), RECIPE)
    masks = {kernel.name: np.ones(kernel.shape, bool) for kernel in found}
    start = InitialState(0, snapshot(plain), masks)
    return trainer.train(start, order_of(data), schedule, np.arange(24, 33), np.arange(24))


def trained_by_keras(plain, data, judge):
    """What plain Keras does with the same batches: weights, and loss and metric on validation."""
    given = plain._compile_config.config
    names = ("loss", "metrics", "weighted_metrics", "loss_weights")
    sgd = keras.optimizers.SGD(RECIPE.learning_rate)
    plain.compile(sgd, run_eagerly=True, **{name: given[name] for name in names})
    measured = []
    validation = at(slice(24, 33), data.examples)
    for batches in ((), order_of(data).batches(0, RECIPE.iterations)):
        for rows in batches:
            plain.train_on_batch(*at(rows, data.examples))
        values = plain.test_on_batch(*validation, return_dict=True)
        measured.append((values["loss"], values[judge]))
    return snapshot(plain), *measured


@pytest.mark.parametrize("case", CASES)
def test_trains_and_measures_what_plain_keras_does(case):
    make, inputs, targets = CASES[case]
    data = data_of(inputs, targets)
    build = functools.partial(build_user_model, make, case)
    plain, other = build(0), build(1)
    assert check_copy(other, *map(tf.nest.map_structure, [tf.constant] * 2, data.test)) == []
    higher = True if case in OF_ONES_OWN else None
    judge = objective_of(plain).metric(other, None, higher).name
    found = trained(build, plain, data, judge, "auto" if case in COMPILED else "off")
    weights, before, after = trained_by_keras(plain, data, judge)
    tolerance = {"rtol": 2e-2, "atol": 2e-3} if "half" in case else {"rtol": 1e-4, "atol": 1e-6}
    for row, expected in zip(found.rows, (before, after), strict=True):
        np.testing.assert_allclose(
            (row.validation_loss, row.validation_accuracy), expected, **tolerance
        )
    assert found.weights.keys() == weights.keys()
    for name, weight in weights.items():
        np.testing.assert_allclose(found.weights[name], weight, err_msg=name, **tolerance)
    assert keras.mixed_precision.global_policy().name == "float32"


def mobile_net():
    network = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=3)
    network.compile(loss=SPARSE, metrics=["accuracy"])
    return network


def xception():
    """Its entry flow and the first block of its middle flow; the seven others are the same."""
    whole = keras.applications.Xception(False, None, input_shape=(71, 71, 3))
    fourth = [layer for layer in whole.layers if isinstance(layer, L.Add)][3]
    return classifier(whole.input, L.GlobalAveragePooling2D()(fourth.output))


def gradients(network, inputs, targets):
    """The loss's gradients in training, by weight."""
    with tf.GradientTape() as tape:
        loss = network.compute_loss(inputs, targets, network(inputs, training=True))
    found = tape.gradient(loss, network.trainable_variables)
    names = {id(variable): name for name, variable in named_weights(network).items()}
    by_name = zip(network.trainable_variables, found, strict=True)
    return {names[id(variable)]: gradient.numpy() for variable, gradient in by_name}


@pytest.mark.parametrize(("make", "side"), [(mobile_net, 32), (xception, 71)])
def test_networks_of_keras_applications_have_their_gradients(make, side):
    plain = build_user_model(make, make.__name__, 0)
    inputs = tf.constant(RNG.random((3, side, side, 3), np.float32))
    targets = tf.constant([0, 1, 2])
    assert check_copy(plain, inputs, targets) == []
    copy = chunked_copy(plain, 1)
    objective_of(plain).compile(copy, "sgd")
    expected, found = (gradients(each, inputs, targets) for each in (plain, copy))
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(found[name], gradient, atol=1e-4 * scale, err_msg=name)
    assert set(masked_kernels(copy)) == {kernel.name for kernel in kernels(plain)}
