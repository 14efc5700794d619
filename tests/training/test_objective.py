"""Any loss and metric: the evaluation gives what Keras's own `evaluate` gives."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from lth_tf.errors import UserError
from lth_tf.metric import Metric
from lth_tf.pruning.kernels import snapshot
from lth_tf.training.chunked import chunked_copy
from lth_tf.training.evaluation import Evaluator, Sums
from lth_tf.training.objective import Objective, objective_of
from lth_tf.training.rewind import set_weights

losses, metrics = keras.losses, keras.metrics
SIZE = 37
RNG = np.random.default_rng(0)
INPUTS = RNG.random((SIZE, 6)).astype(np.float32)
CLASS = RNG.integers(0, 3, SIZE)
VALUE = RNG.random((SIZE, 2)).astype(np.float32)


def dense(units, **kwargs):
    return keras.layers.Dense(units, **kwargs)


def classifier(metrics):
    inputs = keras.Input(6)
    outputs = dense(3, activation="softmax", kernel_regularizer=keras.regularizers.L2(0.1))(inputs)
    model = keras.Model(inputs, outputs)
    model.compile(loss="sparse_categorical_crossentropy", metrics=metrics)
    return model, INPUTS, CLASS


def regression(metrics):
    model = keras.Sequential([keras.Input(6), dense(4, activation="relu"), dense(2)])
    model.compile(loss=keras.losses.Huber(), metrics=metrics)
    return model, INPUTS, VALUE


def binary():
    model = keras.Sequential([keras.Input(6), dense(1, activation="sigmoid")])
    model.compile(loss="binary_crossentropy", metrics=[keras.metrics.AUC(name="auc"), "accuracy"])
    return model, INPUTS, (CLASS > 1).astype(np.float32)[:, None]


def two_outputs():
    left, right = keras.Input(6, name="left"), keras.Input(6, name="right")
    x = left + 2 * right
    outputs = {"digit": dense(3, name="digit")(x), "value": dense(2, name="value")(x)}
    model = keras.Model({"left": left, "right": right}, outputs)
    losses = {
        "digit": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "value": "mse",
    }
    metrics = {"digit": "accuracy", "value": "mae"}
    model.compile(loss=losses, loss_weights={"digit": 1.0, "value": 0.3}, metrics=metrics)
    inputs = {"left": INPUTS, "right": INPUTS[::-1].copy()}
    return model, inputs, {"digit": CLASS, "value": VALUE}


CASES = {
    "accuracy, regularised": lambda: classifier(["accuracy"]),
    "no metric": lambda: regression(None),
    "mean absolute error": lambda: regression(["mae"]),
    "root mean squared error": lambda: regression([keras.metrics.RootMeanSquaredError()]),
    "area under the curve": binary,
    "two inputs and outputs": two_outputs,
}


def judge(model, *how):
    """The metric that a model is judged by."""
    return objective_of(model).metric(chunked_copy(model, 1), *how)


def evaluated(model, inputs, targets, strategy=None, judged_by=None):
    """What this project measures of a copy with the same weights."""
    with (strategy or tf.distribute.get_strategy()).scope():
        copy = chunked_copy(model, 1)
        set_weights(copy, snapshot(model))
        objective_of(model).compile(copy, keras.optimizers.SGD())
    sums = Sums(copy, False, judged_by or judge(model).name)
    evaluator = Evaluator(sums, inputs, targets)
    evaluator()
    return evaluator()  # the second time, nothing of the first may be left


@pytest.mark.parametrize("case", CASES)
def test_is_what_keras_measures(case):
    keras.utils.set_random_seed(1)
    model, inputs, targets = CASES[case]()
    expected = model.evaluate(inputs, targets, batch_size=SIZE, verbose=0, return_dict=True)
    loss = expected.pop("loss")
    names = [name for name in expected if not name.endswith("loss")]
    metric = expected[names[0]] if names else loss
    assert evaluated(model, inputs, targets) == pytest.approx((loss, metric), rel=1e-5)


@pytest.mark.parametrize("case", ["accuracy, regularised", "root mean squared error"])
def test_is_shared_out_among_devices(case, two_devices):
    keras.utils.set_random_seed(1)
    model, inputs, targets = CASES[case]()
    alone = evaluated(model, inputs, targets)
    assert evaluated(model, inputs, targets, two_devices) == pytest.approx(alone, rel=1e-5)


def test_a_loss_that_does_not_average_is_refused():
    model = keras.Sequential([keras.Input(6), dense(1)])
    model.compile(loss=keras.losses.MeanSquaredError(reduction="sum"))
    with pytest.raises(UserError, match="mean_squared_error must average over the examples"):
        objective_of(model)


def test_the_first_metric_judges_and_its_name_tells_how():
    judged = {case: judge(make()[0]) for case, make in CASES.items()}
    assert {case: metric.name for case, metric in judged.items()} == {
        "accuracy, regularised": "accuracy",
        "no metric": "loss",
        "mean absolute error": "mae",
        "root mean squared error": "root_mean_squared_error",
        "area under the curve": "auc",
        "two inputs and outputs": "digit_accuracy",
    }
    assert [metric.higher_is_better for metric in judged.values()] == [
        True, False, False, False, True, True,
    ]  # fmt: skip


def pair():
    return keras.Sequential([keras.Input(6), dense(2)])


def snr(targets, outputs):
    """A metric of a user's own."""
    return tf.reduce_mean(targets * outputs)


@pytest.mark.parametrize(
    ("make", "name", "higher"),
    [
        # The class tells more than the name that an object was given.
        (lambda: metrics.MeanSquaredError(name="auc"), "auc", False),
        (lambda: metrics.SparseCategoricalAccuracy(name="digits"), "digits", True),
        (lambda: metrics.MeanIoU(2, name="overlap"), "overlap", True),
        # As a loss, cosine_similarity is its negative.
        (lambda: "cosine_similarity", "cosine_similarity", True),
        (lambda: losses.cosine_similarity, "cosine_similarity", False),
        (losses.CosineSimilarity, "cosine_similarity", False),
        (lambda: metrics.MeanMetricWrapper(losses.cosine_similarity, "auc"), "auc", False),
    ],
)
def test_keras_own_metrics_tell_whatever_they_are_called(make, name, higher):
    assert Objective("mse", [make()]).metric(pair()) == Metric(name, higher)


def test_objectives_that_differ_have_other_texts():
    choices = ("mse", None), ("mae", None), ("mse", "mae"), ("mse", ["mae"])
    objectives = [Objective(loss, "mse", weighted) for loss, weighted in choices]
    assert len({objective.describe() for objective in objectives}) == len(choices)
    # Those of runs that there are stay as they are.
    assert objectives[0].describe() == '["mse", "mse", null]'
    assert Objective("mse", None, "mae").describe() == '["mse", "mae", null]'


@pytest.mark.parametrize("make", [lambda: snr, lambda: metrics.MeanMetricWrapper(snr, "snr")])
def test_a_metric_that_is_not_keras_own_must_be_stated(make):
    objective = Objective("mse", [make()])
    with pytest.raises(UserError, match=r"metric snr: .*higher_is_better=True or False"):
        objective.metric(pair())
    assert objective.metric(pair(), None, False) == Metric("snr", False)
    assert objective.metric(pair(), "snr", True) == Metric("snr", True)


def test_name_and_value_are_of_the_same_metric():
    """Keras has metrics in the order of outputs, a dict in that of its keys."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input(6)
    outputs = [dense(2, name="value")(inputs), dense(3, name="digit")(inputs)]
    model = keras.Model(inputs, outputs)
    metrics = {"digit": "accuracy", "value": ["mae", "mse"]}
    logits = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=["mse", logits], metrics=metrics)
    targets = [VALUE, CLASS]
    expected = model.evaluate(INPUTS, targets, batch_size=SIZE, verbose=0, return_dict=True)
    assert judge(model) == Metric("value_mae", False)
    for name, higher in (("value_mae", False), ("value_mse", False), ("digit_accuracy", True)):
        assert judge(model, name) == Metric(name, higher)
        measured = evaluated(model, INPUTS, targets, judged_by=name)[1]
        assert measured == pytest.approx(expected[name], rel=1e-5)
    assert judge(model, "loss") == Metric("loss", False)
    with pytest.raises(UserError, match=r"--metric=mae: must be one of .*: value_mae, value_mse, "):
        judge(model, "mae")
