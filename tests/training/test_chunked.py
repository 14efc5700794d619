"""A chunked training is the plain training, written out by hand, and repeats to the bit."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from lth_tf.data.augmentations.flip_crop import flip_crop
from lth_tf.pruning.kernels import named_weights
from lth_tf.training.trainer import build_model

FULL = {"dropout": 0.4, "augment": "flip_crop", "weight_decay": 0.01}
RULES = {
    "sgd": {"optimizer": "sgd", "learning_rate": 0.1},
    "momentum": {"optimizer": "momentum", "learning_rate": 0.05},
    "adam": {"optimizer": "adam", "learning_rate": 2e-3},
}


class GivenDropout(keras.layers.Dropout):
    """Dropout with noise that is given."""

    noise = 1.0

    def call(self, inputs, training=None):
        """Drops where the noise is below the rate."""
        return tf.where(self.noise >= self.rate, inputs / (1 - self.rate), 0.0)


def learning_rate(recipe, iteration):
    rate = recipe.learning_rate / 10 ** sum(iteration >= drop for drop in recipe.lr_drops)
    return rate * min(1, iteration / recipe.warmup) if recipe.warmup else rate


def update(rule, state, weight, gradient, rate, step):
    """One step of a rule as its paper has it, in float64; returns the new weight."""
    if rule == "sgd":
        return weight - rate * gradient
    if rule == "momentum":
        state["v"] = 0.9 * state.get("v", 0) + gradient
        return weight - rate * state["v"]
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * gradient
    state["s"] = 0.999 * state.get("s", 0) + 0.001 * gradient**2
    corrected = state["m"] / (1 - 0.9**step), state["s"] / (1 - 0.999**step)
    return weight - rate * corrected[0] / (np.sqrt(corrected[1]) + 1e-7)


def train_by_hand(setting, masks, iterations):
    """The training in plain eager TensorFlow and numpy; returns the weights and the mean loss."""
    recipe, data, order = setting.recipe, setting.data, setting.order
    model = build_model(recipe, data.info, seed=0)
    model = keras.models.clone_model(
        model,
        clone_function=lambda layer: (
            GivenDropout if isinstance(layer, keras.layers.Dropout) else type(layer)
        ).from_config(layer.get_config()),
    )
    variables = named_weights(model)
    for name, value in setting.weights.items():
        variables[name].assign(value * masks.get(name, np.float32(1)))
    trained = {name: v for name, v in variables.items() if v.trainable}
    states = {name: {} for name in trained}
    losses = []
    for i in range(iterations):
        rows = order.batches(i, i + 1)[0]
        images = data.train_images[rows]
        if recipe.augment == "flip_crop":
            seed = [order.augment_key, i]
            images = flip_crop(images, tf.random.stateless_uniform([8, 3], seed, alg="philox"))
        layers = [layer for layer in model.layers if isinstance(layer, GivenDropout)]
        for place, layer in enumerate(layers):
            seed = [order.dropout_key ^ place, i]
            layer.noise = tf.random.stateless_uniform([8, 12], seed, alg="philox")
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(data.train_labels[rows], logits)
            )
        losses.append(float(loss))
        gradients = tape.gradient(loss, trained)
        for name, variable in trained.items():
            mask = masks.get(name, 1)
            weight, gradient = (np.float64(a) for a in (variable.numpy(), gradients[name].numpy()))
            if name.endswith("/kernel"):
                gradient += recipe.weight_decay * weight
            rate = learning_rate(recipe, i)
            new = update(recipe.optimizer, states[name], weight, gradient * mask, rate, i + 1)
            variable.assign(new)
    return {name: variable.numpy() for name, variable in variables.items()}, np.mean(losses)


@pytest.mark.parametrize("rule", RULES)
def test_equals_the_plain_loop(make, rule):
    setting = make(**RULES[rule], **FULL, warmup=3, lr_drops=(6, 8), iterations=10)
    outcome = setting.train(setting.trainer())
    expected, loss = train_by_hand(setting, setting.masks, 10)
    # The hand's update is in float64, the trainer's in float32: 10 roundings, and what the network
    # makes of them; Adam, where a gradient is about 0, divides rounding by rounding, so that a few
    # weights differ by some of its steps of 2e-3 to 2e-5.
    atol = 2e-4 if rule == "adam" else 2e-6
    for name, weight in outcome.weights.items():
        np.testing.assert_allclose(weight, expected[name], rtol=1e-4, atol=atol, err_msg=name)
        np.testing.assert_array_equal(weight[~setting.masks.get(name, weight == weight)], 0)
    assert outcome.rows[-1].train_loss == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(
    ("xla", "fields"), [("off", {"model": "tiny", **FULL}), ("on", {"model": "dense"})]
)
def test_chunk_length_changes_nothing(make, xla, fields, assert_same_bits):
    setting = make(**RULES["momentum"], **fields, iterations=50, eval_every=10)
    trainer = setting.trainer(xla=xla)
    short = setting.train(trainer)
    trainer.recipe = setting.recipe.override(eval_every=25)
    long = setting.train(trainer)
    assert (len(short.rows), len(long.rows)) == (6, 3)
    assert_same_bits(short.weights, long.weights)
    assert short.rows[-1].validation_loss == long.rows[-1].validation_loss


def test_what_the_loss_does_not_depend_on_does_not_decay(make, partly):
    setting = make(model=partly, weight_decay=0.5, iterations=1, eval_every=1)
    trained = setting.train(setting.trainer()).weights
    changed = {
        name: (weight != setting.weights[name])[mask].any()
        for name, weight in trained.items()
        if (mask := setting.masks.get(name)) is not None
    }
    assert changed == {"unused/kernel": False, "output/kernel": True}


def test_a_training_repeats_to_the_bit_whatever_ran_in_between(make, assert_same_bits):
    setting = make(**RULES["adam"], **FULL, lr_drops=(15,))
    trainer = setting.trainer()
    first = setting.train(trainer)
    again = setting.train(trainer)
    dense = setting.train(
        trainer,
        initial=setting.initial(
            10, masks={}, weights={name: w + 1 for name, w in setting.weights.items()}
        ),
        validation_rows=np.arange(50),
    )
    after = setting.train(trainer)
    new = setting.train(setting.trainer())
    for other in (again, after, new):
        assert_same_bits(first.weights, other.weights)
        assert first.rows == other.rows
    assert not np.array_equal(dense.weights["dense1/kernel"], first.weights["dense1/kernel"])


def test_streams_decide_the_training(make):
    """Order, augmentation and dropout each change the weights, alone."""
    setting = make(**RULES["sgd"], **FULL, iterations=10)
    trainer = setting.trainer()
    other = dataclasses.replace(setting, streams=dataclasses.replace(setting.streams, replicate=2))
    orders = [setting.order] + [
        dataclasses.replace(setting.order, **{name: getattr(other.order, name)})
        for name in ("epoch_generator", "augment_key", "dropout_key")
    ]
    weights = [setting.train(trainer, order=order).weights for order in orders]
    assert len({w["dense1/kernel"].tobytes() for w in weights}) == 4


def test_mixed_precision_trains_float32_weights(make):
    halves = {"mixed_bfloat16": tf.bfloat16, "mixed_float16": tf.float16}
    kernels = {}
    for precision in ("float32", *halves):
        setting = make(**RULES["sgd"], iterations=20, precision=precision)
        kernels[precision] = setting.train(setting.trainer()).weights["dense1/kernel"]
    mask = setting.masks["dense1/kernel"]
    moved = kernels["float32"] - setting.weights["dense1/kernel"] * mask
    for precision, half in halves.items():
        kernel = kernels[precision]
        assert kernel.dtype == np.float32
        rounded = tf.cast(tf.cast(kernel, half), tf.float32).numpy()
        assert (kernel != rounded)[mask].mean() > 0.9
        assert not kernel[~mask].any()
        assert 0 < np.linalg.norm(kernel - kernels["float32"]) < 0.1 * np.linalg.norm(moved)


def test_the_caller_keeps_its_precision_policy(make):
    make(precision="mixed_bfloat16").trainer()
    assert keras.mixed_precision.global_policy().name == "float32"
