"""Rewinding puts back the weights of iteration k to the bit, and all that goes with them."""

import numpy as np
import pytest
import tf_keras as keras

from lth_tf.pruning import masks
from lth_tf.pruning.kernels import named_weights
from lth_tf.pruning.wrapper import get_masks, mask_layers, set_masks
from lth_tf.training.initial_state import Keep
from lth_tf.training.optimizers import Adam, Momentum, Schedule
from lth_tf.training.rewind import Rewind

OPTIMIZERS = {
    "sgd_averaged": lambda: keras.optimizers.SGD(0.05, use_ema=True),
    "momentum": lambda: Momentum(0.02, momentum=0.9),
    "adam": lambda: Adam(0.01),
    "keras_adam": lambda: keras.optimizers.Adam(0.01),
    "adagrad": lambda: keras.optimizers.Adagrad(0.01, initial_accumulator_value=0.3),
    "scaled": lambda: keras.mixed_precision.LossScaleOptimizer(
        keras.optimizers.Adam(0.01), initial_scale=64, dynamic_growth_steps=2
    ),
}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Recorder(keras.callbacks.Callback):
    """Keeps the weights of each iteration, and the optimizer's variables of the first."""

    def on_train_begin(self, logs=None):
        """Looks at the start."""
        self.weights = [self.look()]
        self.slots = [variable.numpy() for variable in self.model.optimizer.variables]

    def on_train_batch_end(self, batch, logs=None):
        """Looks after each iteration."""
        self.weights.append(self.look())

    def look(self):
        """Returns the weights of `self.model`."""
        return {name: variable.numpy() for name, variable in named_weights(self.model).items()}


class Reader:
    """What a reader of the documentation has: a Keras model, wrapped, and `fit`."""

    def __init__(self, optimizer, data, seed=0):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((8, 8, 2))
        x = keras.layers.Rescaling(1 / 255)(inputs)
        x = keras.layers.Conv2D(3, 3, name="conv")(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="bn")(x))
        x = keras.layers.Dense(3, name="output")(keras.layers.Flatten()(x))
        plain = keras.Model(inputs, x)
        self.model = mask_layers(plain)
        self.model.compile(optimizer, LOSS)
        self.data = data

    def fit(self, *callbacks, epochs=1):
        """Five iterations an epoch."""
        recorder = Recorder()
        images, labels = self.data.train_images, self.data.train_labels
        self.model.fit(
            images, labels, 32, epochs, 0, [*callbacks, recorder], shuffle=False, validation_split=0
        )
        return recorder

    def prune(self, rate=0.5):
        """Prunes by magnitude; returns the new masks."""
        current = get_masks(self.model)
        weights = {name: named_weights(self.model)[name].numpy() for name in current}
        scores = {name: np.abs(weight) for name, weight in weights.items()}
        new = masks.prune(scores, current, dict.fromkeys(current, rate), "layer")
        for name, mask in new.items():
            removed = scores[name][current[name] & ~mask]
            assert removed.max() <= scores[name][mask].min()
            assert mask.sum() == current[name].sum() - round(rate * current[name].sum())
        set_masks(self.model, new)
        return new


def ticket(weights, current):
    return {
        name: np.where(current.get(name, True), w, np.float32(0)) for name, w in weights.items()
    }


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_round_starts_from_the_masked_initial_weights(data, name, assert_same_bits):
    reader, rewind = Reader(OPTIMIZERS[name](), data), Rewind()
    initial = Recorder.look(reader)
    dense = reader.fit(rewind)
    assert_same_bits(dense.weights[0], initial)
    for weight in ("conv/kernel", "bn/gamma", "bn/moving_mean", "output/bias"):
        assert not np.array_equal(dense.weights[-1][weight], initial[weight]), weight

    new = Reader(OPTIMIZERS[name](), data).model
    new.optimizer.build(new.trainable_variables)
    for _ in range(2):
        current = reader.prune()
        again = reader.fit(rewind)
        assert_same_bits(again.weights[0], ticket(initial, current))
        for found, variable in zip(again.slots, new.optimizer.variables, strict=True):
            if "average" not in variable.name:  # of the weights, masked by then
                np.testing.assert_array_equal(found, variable.numpy(), err_msg=variable.name)
        left = {name: named_weights(reader.model)[name].numpy() for name in current}
        for mask_name, mask in current.items():
            np.testing.assert_array_equal(get_masks(reader.model)[mask_name], mask)
            np.testing.assert_array_equal(left[mask_name] != 0, mask)


def test_a_rewound_training_repeats_the_first(data, assert_same_bits):
    """Where `fit` ends with the weights' averages as well: they begin anew."""
    reader, rewind = Reader(OPTIMIZERS["sgd_averaged"](), data), Rewind()
    last = reader.fit(rewind).weights[-1]
    first = Recorder.look(reader)
    assert not np.array_equal(first["conv/kernel"], last["conv/kernel"])
    reader.fit(rewind)
    assert_same_bits(first, Recorder.look(reader))


@pytest.mark.parametrize("k", [5, 7])
def test_iteration_k_is_stored_at_exactly_k(data, k, assert_same_bits):
    reader, rewind = Reader(OPTIMIZERS["adam"](), data), Rewind(k)
    first = reader.fit(rewind, epochs=2)
    assert_same_bits(rewind.weights, first.weights[k])
    for _ in range(2):
        current = reader.prune()
        again = reader.fit(rewind)
        assert_same_bits(again.weights[0], ticket(first.weights[k], current))


@pytest.mark.parametrize("scaled", [False, True])
def test_a_learning_rate_that_a_callback_changed_is_rewound_as_well(data, scaled):
    rates = []

    def halve(epoch, rate):
        rates.append(rate)
        return rate / 2

    optimizer = keras.optimizers.SGD(0.5)
    if scaled:
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    reader, rewind = Reader(optimizer, data), Rewind()
    for _ in range(2):
        reader.fit(rewind, keras.callbacks.LearningRateScheduler(halve), epochs=3)
    assert rates == [0.5, 0.25, 0.125] * 2


def test_two_runs_with_two_callbacks_do_not_meet(data, assert_same_bits):
    runs = []
    for seed in (0, 1, 0):
        reader, rewind = Reader(OPTIMIZERS["adam"](), data, seed), Rewind()
        reader.fit(rewind)
        reader.prune()
        runs.append((rewind.weights, reader.fit(rewind).weights[-1]))
    for first, second in zip(runs[0], runs[2], strict=True):
        assert_same_bits(first, second)
    assert not np.array_equal(runs[0][0]["conv/kernel"], runs[1][0]["conv/kernel"])


def test_given_weights_are_where_the_first_training_starts(data, assert_same_bits):
    reader = Reader(OPTIMIZERS["adam"](), data)
    given = {name: w + np.float32(0.01) for name, w in Recorder.look(reader).items()}
    assert_same_bits(reader.fit(Rewind(0, given)).weights[0], given)


def test_a_schedule_goes_on_from_k(data):
    """Each weight's gradient is 1, so each step is the learning rate."""
    inputs = keras.Input((1,))
    x = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="dense")(inputs)
    model = keras.Model(inputs, x)
    schedule = Schedule(0.5, drops=(6, 8), warmup=4)
    model.compile(keras.optimizers.SGD(schedule), lambda labels, outputs: outputs)

    def rates(*callbacks):
        recorder = Recorder()
        ones = np.ones((10, 1), np.float32)
        model.fit(ones, ones, 1, 1, 0, [*callbacks, recorder])
        return -np.diff([w["dense/kernel"].item() for w in recorder.weights])

    expected = [0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.05, 0.05, 0.005, 0.005]
    rewind = Rewind(5)
    np.testing.assert_allclose(rates(rewind), expected, rtol=1e-4, atol=1e-9)
    for _ in range(2):
        np.testing.assert_allclose(rates(rewind), [*expected[5:], *[0.005] * 5], rtol=1e-4)


def test_a_schedule_that_cannot_go_on_is_refused(data):
    drops = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    reader, rewind = Reader(keras.optimizers.SGD(drops), data), Rewind(2)
    reader.fit(rewind)
    with pytest.raises(ValueError, match=r"ExponentialDecay.*use lth_tf\.Schedule"):
        reader.fit(rewind)
    reader, rewind = Reader(keras.optimizers.SGD(drops), data), Rewind(0)
    reader.fit(rewind)
    reader.fit(rewind)


def test_a_training_that_does_not_stop_at_k_is_refused(data):
    reader = Reader(OPTIMIZERS["adam"](), data)
    reader.fit()
    with pytest.raises(ValueError, match=r"iteration=3.*went past it, to 6"):
        reader.fit(Rewind(3))
    with pytest.raises(ValueError, match=r"iteration=60.*ended before it, at 11; the first fit"):
        reader.fit(Rewind(60))


def test_weights_of_another_model_are_refused(data):
    with pytest.raises(ValueError, match=r"conv/kernel: must have shape \(3, 3, 2, 3\)"):
        Reader(OPTIMIZERS["adam"](), data).fit(Rewind(0, {}))


def test_a_chunked_training_goes_on_from_k_as_if_it_had_never_stopped(make, assert_same_bits):
    """With SGD, which has no memory, order, noise and learning rate must go on from k as well."""
    setting = make(dropout=0.4, augment="flip_crop", lr_drops=(12, 25), warmup=15)
    trainer = setting.trainer()
    whole = setting.train(trainer, keep=Keep((7,), {"rewind": 7}))
    rest = setting.train(trainer, initial=setting.initial(7, weights=whole.kept["rewind"]))
    assert_same_bits(whole.weights, rest.weights)
    assert rest.kept == {}
    unkept = setting.train(trainer, keep=Keep((7,)))
    assert unkept.kept == {} and unkept.rows == whole.rows
    assert [row.iteration for row in rest.rows] == [7, 10, 20, 30]
