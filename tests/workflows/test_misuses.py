"""Networks and data that would give wrong numbers: refused before a folder is made."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from lth_tf import Recipe, UserError, find_tickets
from lth_tf.errors import UsersCodeError

L = keras.layers
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(40, 6)).astype(np.float32)
CLASSES = RNG.integers(0, 3, 40)
ONE_HOT = np.eye(3)[CLASSES]
SPARSE = "sparse_categorical_crossentropy"
RECIPE = Recipe(iterations=2, batch_size=8, eval_every=2)


def network(*layers, units=3, activation="softmax", loss=SPARSE, metrics=("accuracy",)):
    model = keras.Sequential([keras.Input(6), *layers, L.Dense(units, activation, name="out")])
    model.compile(loss=loss, metrics=list(metrics))
    return model


def sets(inputs=TABLE, targets=CLASSES, test=None):
    pair = (inputs, targets)
    parts = [tuple(part[rows] for part in pair) for rows in (slice(24), slice(24, 32))]
    return [*parts, test or tuple(part[32:] for part in pair)]


def changed(array, value, place=-1):
    """An array with one other value, its type that of both."""
    array = array.astype(np.result_type(array, type(value)))
    array[place] = value
    return array


class Sam(keras.Model):
    """Sharpness-aware training, in place of Keras's step."""

    def train_step(self, data):  # noqa: D102
        return {"loss": 0.0}


class Scaled(keras.Model):
    """Another call than the graph's."""

    def call(self, inputs, training=None):  # noqa: D102
        return 2 * super().call(inputs)


class Bare(keras.Model):
    """A subclassed model."""

    def __init__(self):
        super().__init__()
        self.dense = L.Dense(6)

    def call(self, inputs):  # noqa: D102
        return self.dense(inputs)


def of_class(kind):
    inputs = keras.Input(6)
    model = kind(inputs, L.Dense(3, activation="softmax")(inputs))
    model.compile(loss=SPARSE)
    return model


def with_own_loss():
    model = network()
    model.compute_loss = lambda *_: tf.constant(0.0)
    return model


class Forgetful(L.Layer):
    """A layer whose configuration does not have its factor."""

    factor = 1.0

    def call(self, inputs):  # noqa: D102
        return self.factor * inputs


class WithoutConfig(L.Layer):
    """A layer that cannot be made again."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor


def forgetful():
    layer = Forgetful(name="lost")
    layer.factor = 2.0
    return network(layer)


def patched():
    dense = L.Dense(4, name="patched")
    dense.call = lambda inputs: 3 * L.Dense.call(dense, inputs)
    return network(dense)


def raising():
    raise KeyError("no such file")


def raising_loss(targets, outputs):
    raise RuntimeError("my loss is not finished")


def own_score(targets, outputs):
    return tf.reduce_mean(outputs)


def two_outputs():
    inputs = keras.Input(6)
    outputs = [L.Dense(1, name="a")(inputs), L.Dense(1, name="b")(inputs)]
    model = keras.Model(inputs, outputs)
    model.compile(loss={"a": "mse", "b": "mse"})
    return model


def looked_up():
    inputs = keras.Input(5, dtype="int64")
    x = L.Flatten()(L.Embedding(7, 2, name="tokens")(inputs))
    model = keras.Model(inputs, L.Dense(3, activation="softmax")(x))
    model.compile(loss=SPARSE)
    return model


def tied():
    inputs = keras.Input(5, dtype="int64")
    embedding = L.Embedding(7, 4, name="tokens")
    x = L.Dense(4)(embedding(inputs))
    logits = tf.matmul(x, embedding.embeddings, transpose_b=True)
    model = keras.Model(inputs, L.Dense(3, activation="softmax")(L.Flatten()(logits)))
    model.compile(loss=SPARSE)
    return model


def closed_over():
    inputs = keras.Input(6)
    first = L.Dense(6, name="first")
    x = first(inputs)
    x = L.Lambda(lambda values: tf.matmul(values, first.kernel), name="tied")(x)
    model = keras.Model(inputs, L.Dense(3, activation="softmax")(x))
    model.compile(loss=SPARSE)
    return model


def partly_seeded():
    init = keras.initializers.GlorotUniform(seed=1)
    return network(L.Dense(4, kernel_initializer=init, name="pretrained"))


def half_adapted():
    layer = L.Normalization(name="scale")
    layer.adapt(RNG.normal(size=(9, 6)))  # other examples each time
    return network(layer)


def binary(**kwargs):
    return network(units=1, activation="sigmoid", loss="binary_crossentropy", **kwargs)


def one_hot(**kwargs):
    return network(loss="categorical_crossentropy", **kwargs)


def regression(loss="mse", metrics=()):
    return network(units=2, activation=None, loss=loss, metrics=metrics)


EMPTY = (TABLE[:0], CLASSES[:0])
CASES = {
    "a train_step": (lambda: of_class(Sam), sets(), "is a Sam, whose train_step would not be"),
    "a call": (lambda: of_class(Scaled), sets(), "is a Scaled, whose call would not be called"),
    "a nested subclass": (lambda: network(Bare()), sets(), "model bare is a Bare, whose call"),
    "an own compute_loss": (with_own_loss, sets(), "has a compute_loss of its own"),
    "a patched layer": (patched, sets(), r"layer patched \(Dense\): gives other outputs after"),
    "a forgetful layer": (
        forgetful,
        sets(),
        r"layer lost \(Forgetful\): gives other outputs .* get_config",
    ),
    "no get_config": (
        lambda: network(WithoutConfig(lambda x: 2 * x)),
        sets(),
        "must have get_config",
    ),
    "its own exception": (raising, sets(), r"own code raised KeyError: 'no such file' \(.*line "),
    "its loss raises": (
        lambda: network(loss=raising_loss),
        sets(),
        "train: the model's loss must take its targets, int64 .*RuntimeError: my loss is not",
    ),
    "a metric that broadcasts": (
        lambda: network(metrics=["mae"]),
        sets(),
        r"train: its targets must have .*\(n, 3\), for the metric mae, found int64 \(n,\)",
    ),
    "weights of another layer": (
        tied,
        sets(inputs=RNG.integers(0, 7, (40, 5))),
        "cannot be copied",
    ),
    "a lambda around the weights of another layer": (
        closed_over,
        sets(),
        r"layer tied \(Lambda\): uses another layer's weights",
    ),
    "pretrained kernels": (
        partly_seeded,
        sets(),
        r"pretrained/kernel: has the same initial weights whatever the seed.*initial_weights=",
    ),
    "adapted to chance": (half_adapted, sets(), r"layer scale .* another state each time"),
    "a metric by class": (
        lambda: network(metrics=[keras.metrics.MeanTensor("each")]),
        sets(),
        "metric each: ",
    ),
    "F1 of each class": (
        lambda: one_hot(metrics=[keras.metrics.F1Score()]),
        sets(targets=ONE_HOT),
        r"metric f1_score: must be one number to judge by, found float32 .*average='macro'",
    ),
    "an unknown direction": (
        lambda: network(metrics=[own_score]),
        sets(),
        "metric own_score: it must be said",
    ),
    "no validation": (network, [sets()[0], EMPTY, sets()[2]], "validation: must have examples"),
    "no test": (network, [*sets()[:2], EMPTY], "test: must have examples, but is empty"),
    "other lengths": (
        network,
        [*sets()[:2], (TABLE, CLASSES[:9])],
        r"test: .* as many examples each, .*\(9,\)",
    ),
    "other features": (
        network,
        sets(test=(TABLE[:, :5], CLASSES)),
        r"test: its inputs must be .*\(n, 6\), .*\(n, 5\)",
    ),
    "another rank": (
        network,
        sets(test=(TABLE[:, :, None, None], CLASSES)),
        r"test: its inputs must be .*\(n, 6\), .* found float32 \(n, 6, 1, 1\)",
    ),
    "text for numbers": (
        network,
        sets(test=(np.full((9, 6), "a"), CLASSES[:9])),
        "test: .*float32.* found text",
    ),
    "objects": (
        network,
        sets(test=(np.full((9, 6), None), CLASSES[:9])),
        "test: must be arrays of",
    ),
    "complex numbers": (
        network,
        sets(test=(TABLE * 1j, CLASSES)),
        "test: must be arrays of numbers",
    ),
    "lists of numbers": (
        network,
        sets(test=([1.0, 2.0], [0, 1])),
        "test: must be arrays, not lists",
    ),
    "labels out of range": (
        network,
        sets(targets=changed(CLASSES, 3)),
        r"test: its targets must be from 0 to 2.*0 to 3",
    ),
    "labels below 0": (
        network,
        sets(targets=CLASSES - 1),
        "train: .* from 0 to 2, .* found -1 to 1",
    ),
    "fractions of classes": (
        network,
        sets(targets=changed(CLASSES, 0.5, 0)),
        "train: .* whole class numbers .* 0.5",
    ),
    "one-hot for sparse": (
        network,
        sets(targets=ONE_HOT),
        r"train: .* class numbers of shape \(n,\) .*one-hot, use cat",
    ),
    "sparse for one-hot": (
        one_hot,
        sets(targets=CLASSES),
        r"train: .* shape of .*\(n, 3\), .* use sparse_categorical",
    ),
    "two classes for one unit": (
        lambda: network(units=1, activation="sigmoid"),
        sets(),
        "train: .* from 0 to 0",
    ),
    "classes for probabilities": (
        binary,
        sets(targets=CLASSES.astype(float)),
        "train: .* from 0 to 1 for binary_crossentropy",
    ),
    "targets that broadcast": (
        regression,
        sets(targets=CLASSES.astype(float)),
        r"train: .* shape .*\(n, 2\), for mean_sq",
    ),
    "NaN in inputs": (
        network,
        sets(inputs=changed(TABLE, np.nan, 20)),
        "train: its inputs must be finite numbers; 1 of 24 examples have NaN",
    ),
    "NaN in targets": (
        regression,
        sets(targets=changed(TABLE[:, :2], np.inf, 39)),
        "test: its targets must be finite numbers; 1 of 8 examples",
    ),
    "a loss that overflows": (
        regression,
        sets(targets=np.full((40, 2), 1e30)),
        "train: its loss must be finite, but is inf",
    ),
    "one target for two outputs": (
        two_outputs,
        sets(targets=CLASSES[:, None]),
        r"train: .* one array for each output .*a, b",
    ),
    "tokens out of range": (
        looked_up,
        sets(inputs=RNG.integers(0, 9, (40, 5))),
        r"train: .* whole numbers from 0 to 6, as layer tokens \(Embedding\) .* found 0 to 8",
    ),
    "sample weights": (
        network,
        sets(test=(TABLE, CLASSES, CLASSES)),
        "test: has sample weights .* leave them out",
    ),
    "a generator": (
        network,
        [(pair for pair in [sets()[0]]), *sets()[1:]],
        "train: must be a pair .* not a generator; collect",
    ),
    "tf.data without batches": (
        network,
        [tf.data.Dataset.from_tensor_slices(sets()[0]), *sets()[1:]],
        r"train: must be a data set of batches; add .batch\(100\)",
    ),
}


def test_refuses_a_policy_that_trainings_would_not_have(tmp_path):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        with pytest.raises(UserError, match=r"global policy is mixed_float16, .* inside of"):
            find_tickets(network, *sets(), RECIPE, rounds=1, folder=tmp_path / "e")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert not (tmp_path / "e").exists()


def test_what_ones_own_loss_raises_keeps_its_traceback(tmp_path):
    with pytest.raises(UsersCodeError, match="my loss is not finished") as raised:
        find_tickets(lambda: network(loss=raising_loss), *sets(), RECIPE, folder=tmp_path / "e")
    assert isinstance(raised.value.__cause__, RuntimeError)
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize("case", CASES)
def test_refuses(case, tmp_path):
    make, data, message = CASES[case]
    with pytest.raises(UserError, match=message):
        find_tickets(make, *data, RECIPE, rounds=1, folder=tmp_path / "e")
    assert not (tmp_path / "e").exists()
