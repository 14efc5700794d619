"""Noise inside of layers, attention and recurrent cells among them, goes by the iteration."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from lth_tf.data import UserData
from lth_tf.errors import UserError
from lth_tf.models.user_model import build_user_model
from lth_tf.pruning.kernels import kernels, pruned_kernels, snapshot
from lth_tf.recipe import Recipe
from lth_tf.training.copy_check import check_copy
from lth_tf.training.initial_state import InitialState, Keep
from lth_tf.training.mask_schedules import MASK_SCHEDULES, MaskPlan
from lth_tf.training.order import Order
from lth_tf.training.random_layers import StatelessDropout, make_repeatable, randomness_of
from lth_tf.training.trainer import Trainer

L = keras.layers
RNG = np.random.default_rng(0)
SEQUENCES = RNG.normal(size=(24, 5, 4)).astype(np.float32)
CLASSES = RNG.integers(0, 3, 24)
SETS = [(SEQUENCES[rows], CLASSES[rows]) for rows in (slice(16), slice(16, 20), slice(20, None))]


def network():
    inputs = keras.Input((5, 4))
    x = L.MultiHeadAttention(2, 2, dropout=0.4)(inputs, inputs)
    x = L.Bidirectional(L.LSTM(2, dropout=0.4, recurrent_dropout=0.4, return_sequences=True))(x)
    x = L.TimeDistributed(L.Dropout(0.4))(x)
    x = L.GaussianNoise(0.3)(L.AlphaDropout(0.2)(L.SpatialDropout1D(0.4)(x)))
    x = L.GRU(3, dropout=0.4)(x)
    model = keras.Model(inputs, L.Dense(3, activation="softmax")(x))
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def train():
    """Trains four iterations, or those left after a start at another."""
    build = functools.partial(build_user_model, network, "noisy")
    recipe = Recipe(
        iterations=4,
        batch_size=4,
        optimizer="sgd",
        learning_rate=0.5,
        eval_every=4,
        validation_size=4,
    )
    trainer = Trainer(recipe, build, UserData.of(*SETS), tf.distribute.get_strategy(), "off")
    initial = snapshot(build(0))
    masks = {k.name: np.ones(k.shape, bool) for k in pruned_kernels(kernels(build(0)), recipe)}
    plan = MaskPlan(4, {}, {}, lambda *_: np.random.default_rng(0))

    def run(start=0, weights=initial, key=2, keep=Keep()):  # noqa: B008 - nothing changes it
        order = Order(np.arange(16), 4, np.random.default_rng, augment_key=1, dropout_key=key)
        state = InitialState(start, weights, masks)
        schedule, rows = MASK_SCHEDULES["fixed"](plan), (np.arange(16, 20), np.arange(16))
        return trainer.train(state, order, schedule, *rows, keep=keep)

    return run


def test_a_training_that_goes_on_has_the_noise_that_it_would_have_had(train):
    whole = train().weights
    first = train(keep=Keep(evaluations=(2,), weights={"half": 2})).kept["half"]
    rest = train(start=2, weights=first).weights
    for name, weight in whole.items():
        np.testing.assert_array_equal(rest[name], weight, err_msg=name)
    other = train(key=3).weights
    assert not np.array_equal(other["dense/kernel"], whole["dense/kernel"])


def test_no_two_iterations_have_a_draw_in_common():
    layer = L.GaussianNoise(1.0)
    make_repeatable(keras.Sequential([keras.Input(64), layer]), 1)

    @tf.function(autograph=False)
    def drawn(iteration):
        with randomness_of([layer], None, tf.constant(9), iteration):
            return layer(tf.zeros([8, 64]), training=True)

    values = [set(drawn(tf.constant(i)).numpy().ravel()) for i in (100, 101, 100)]
    assert values[0] == values[2]
    assert len(values[0] & values[1]) < 5  # of 512; by chance, a few may meet


def test_dropout_behind_axes_of_unknown_length():
    """They are drawn for as they are; but what is no example, no numbers are shared out to."""
    layer = StatelessDropout(0.5, noise_shape=(None, None, 1))

    def draw(key, shape):
        return tf.random.stateless_uniform([4, *shape], tf.stack([key, 0]))

    def dropped(inputs):
        with randomness_of([layer], draw, tf.constant(1), tf.constant(0)):
            return layer(inputs, training=True)

    compiled = tf.function(dropped, autograph=False)
    ones = tf.ones([4, 50, 3])
    found = compiled.get_concrete_function(tf.TensorSpec([4, None, 3]))(ones).numpy()
    np.testing.assert_array_equal(found, np.broadcast_to(found[..., :1], ones.shape))
    assert set(found.ravel()) == {0.0, 2.0}
    np.testing.assert_array_equal(dropped(ones), found)
    with pytest.raises(UserError, match=r"^layer .*: draws for an axis that is not the batch; put"):
        compiled(tf.reshape(ones, [8, 25, 3]))


def test_a_layer_that_draws_by_itself_is_announced_by_its_name():
    class Sampling(L.Layer):
        """A variational autoencoder's, as in keras.io's example."""

        def call(self, inputs, training=None):
            noise = tf.random.normal(tf.shape(inputs)) if training else 0.0
            return inputs + noise

    def encoder():
        inputs = keras.Input((5, 4))
        x = Sampling(name="sampling")(L.Dense(2, name="mean")(inputs))
        model = keras.Model(inputs, L.Dense(4, name="decoder")(x))
        model.compile(loss="mse")
        return model

    examples = tf.constant(SEQUENCES[:4])
    notes = check_copy(build_user_model(encoder, "encoder", 0), examples, examples)
    assert len(notes) == 1
    assert "layer sampling (Sampling) draws random numbers of its own" in notes[0]
    plain = build_user_model(network, "noisy", 0)
    assert check_copy(plain, examples, tf.constant(CLASSES[:4])) == []
