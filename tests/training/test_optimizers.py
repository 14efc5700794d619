"""Optimizers and schedules follow the paper's convention; their whole state is kept."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from lth_tf.recipe import Recipe
from lth_tf.training.checkpoint import Saving
from lth_tf.training.optimizers import Adam, Momentum, Schedule, make_optimizer
from lth_tf.training.process_group import ProcessGroup
from lth_tf.training.state import read_state


def test_schedule_warms_up_and_drops_at_the_exact_iteration():
    schedule = Schedule(0.1, drops=(20_000, 25_000), warmup=4)
    expected = {0: 0, 1: 0.025, 3: 0.075, 4: 0.1, 5: 0.1, 19_999: 0.1, 20_000: 0.01,
                24_999: 0.01, 25_000: 0.001, 30_000: 0.001}  # fmt: skip
    assert {i: float(schedule(i)) for i in expected} == {
        i: float(np.float32(rate)) for i, rate in expected.items()
    }
    schedule.start.assign(19_000)
    assert float(schedule(999)) == np.float32(0.1)
    assert float(schedule(1_000)) == np.float32(0.01)


def test_schedule_without_drops_or_warmup_is_constant():
    assert {float(Schedule(1.2e-3)(i)) for i in (0, 1, 50_000)} == {float(np.float32(1.2e-3))}


@pytest.mark.parametrize(
    ("fields", "last"), [({"lr_drops": (10, 20)}, 0.01), ({"warmup": 20}, 0.1 * 19 / 20)]
)
def test_behind_its_end_the_rate_is_the_last_that_a_training_had(fields, last):
    """What happens at the end exactly, a drop or the last step of the warm-up, never counts."""
    recipe = Recipe(iterations=20, learning_rate=0.1, **fields)
    schedule = make_optimizer(recipe)._learning_rate
    assert float(schedule(19)) == pytest.approx(last)
    schedule.start.assign(20)  # --rewind=fine_tune
    assert {float(schedule(step)) for step in (0, 1, 19)} == {float(np.float32(last))}
    again = Schedule.from_config(schedule.get_config())
    assert float(again(25)) == pytest.approx(last)


def test_momentum_is_that_of_tensorflow_1_when_the_rate_drops():
    gradients = np.float32([1.0, -2.0, 0.5, 3.0, 0.25, 1.0])
    schedule = Schedule(0.1, drops=(3,))
    variable, by_keras = tf.Variable(1.0), tf.Variable(1.0)
    ours, keras_own = Momentum(schedule, momentum=0.9), keras.optimizers.SGD(schedule, 0.9)
    weight, velocity, differences = 1.0, 0.0, []
    for i, gradient in enumerate(gradients):
        velocity = 0.9 * velocity + gradient
        weight -= (0.1 if i < 3 else 0.01) * velocity
        ours.apply_gradients([(tf.constant(gradient), variable)])
        keras_own.apply_gradients([(tf.constant(gradient), by_keras)])
        assert float(variable) == pytest.approx(weight, rel=1e-6)
        differences.append(abs(float(by_keras) - weight))
    assert max(differences[:3]) < 1e-6 and min(differences[3:]) > 0.01


def test_adam_is_keras_adam():
    rng = np.random.default_rng(0)
    schedule = Schedule(0.01, drops=(30,), warmup=5)
    ours, by_keras = (tf.Variable(np.linspace(-1, 1, 12, dtype=np.float32)) for _ in range(2))
    optimizers = Adam(schedule, 0.8, 0.95), keras.optimizers.Adam(schedule, 0.8, 0.95)
    for _ in range(50):
        gradient = tf.constant(rng.normal(size=12).astype(np.float32))
        for optimizer, variable in zip(optimizers, (ours, by_keras), strict=True):
            optimizer.apply_gradients([(gradient, variable)])
        np.testing.assert_allclose(ours.numpy(), by_keras.numpy(), rtol=1e-5, atol=1e-6)
    moments = (optimizer.variables for optimizer in optimizers)
    for one, other in zip(*moments, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)


def test_optimizers_survive_their_configuration(make):
    for rule in ("adam", "momentum", "sgd"):
        recipe = make(optimizer=rule, warmup=2, lr_drops=(5, 9), learning_rate=0.5).recipe
        optimizer = make_optimizer(recipe)
        copy = type(optimizer).from_config(optimizer.get_config())
        assert copy.get_config() == optimizer.get_config()
        assert float(copy._learning_rate(7)) == np.float32(0.05)


@pytest.fixture
def overflowing(make):
    """A setting whose gradients overflow in float16 until the loss scale is halved a few times."""
    setting = make(precision="mixed_float16", model="not_normalised", learning_rate=1e-3)
    weights = {name: 8 * weight for name, weight in setting.weights.items()}
    return setting, {"initial": setting.initial(weights=weights)}


def test_a_loss_scale_begins_anew_in_each_training_and_is_gone_on_with_after_a_stop(
    overflowing, tmp_path, assert_same_bits
):
    setting, arguments = overflowing
    trainer = setting.trainer()
    optimizer = trainer.model.optimizer
    whole = setting.train(trainer, **arguments)
    scale = float(optimizer.loss_scale)
    assert scale < optimizer.initial_scale, "or this test tests nothing"
    again = setting.train(trainer, **arguments)
    assert_same_bits(whole.weights, again.weights)
    assert float(optimizer.loss_scale) == scale

    path = tmp_path / "checkpoint"
    saving = Saving(path, 0, lambda: True, ProcessGroup(tf.distribute.get_strategy()))
    with pytest.raises(KeyboardInterrupt):
        setting.train(trainer, **arguments, saving=saving)
    state = read_state(path)
    new = setting.trainer()
    continued = setting.train(new, **arguments, state=state)
    assert_same_bits(whole.weights, continued.weights)
    assert continued.rows == whole.rows
    assert float(new.model.optimizer.loss_scale) == scale

    # A checkpoint of format 1, which has no loss scale and no masks.
    known = {str(i) for i in range(len(optimizer.variables))}
    older = {name: a for name, a in state.arrays["optimizer"].items() if name in known}
    arrays = {**state.arrays, "optimizer": older, "masks": {}}
    old = setting.train(new, **arguments, state=dataclasses.replace(state, arrays=arrays))
    assert old.rows[-1].iteration == 30 and len(older) < len(state.arrays["optimizer"])
    assert_same_bits(old.masks, whole.masks)
