"""Batch normalisation's statistics are those of the examples, whatever the weights were before."""

import numpy as np
import pytest
import tf_keras as keras

from lth_tf.training import normalization
from lth_tf.training.normalization import (
    GlobalBatchNormalization,
    has_statistics,
    recompute_statistics,
)


def network():
    inputs = keras.Input((1,))
    dropped = keras.layers.Dropout(0.5)(inputs)
    first = keras.layers.BatchNormalization(epsilon=0, name="first")(dropped)
    doubled = keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)(first)
    second = keras.layers.BatchNormalization(epsilon=0, name="second")
    return keras.Model(inputs, second(doubled + 7))


def statistics_of(model, name):
    layer = model.get_layer(name)
    return layer.moving_mean.numpy().item(), layer.moving_variance.numpy().item()


def test_statistics_by_hand(monkeypatch):
    model = network()
    inputs = np.array([[0.0], [2.0], [4.0], [10.0]], np.float32)
    recompute_statistics(model, inputs)
    np.testing.assert_allclose(statistics_of(model, "first"), (4, 14), rtol=1e-6)
    np.testing.assert_allclose(statistics_of(model, "second"), (7, 1), rtol=1e-5)
    # In two batches of two: means 1 and 7, variances 1 and 9.
    monkeypatch.setattr(normalization, "_VALUES", 2)
    recompute_statistics(model, inputs)
    np.testing.assert_allclose(statistics_of(model, "first"), (4, 5), rtol=1e-6)
    # Afterwards the model is as it was: it goes by its statistics, and trains with its momentum.
    expected = (inputs - 4) / np.sqrt(5)
    np.testing.assert_allclose(model(inputs), expected, atol=1e-5)
    model(inputs, training=True)
    assert statistics_of(model, "first") != (4, 5)
    assert model.get_layer("first").momentum == 0.99


def test_an_example_of_more_values_than_go_at_a_time_is_a_batch(monkeypatch):
    monkeypatch.setattr(normalization, "_VALUES", 2)
    layer = keras.layers.BatchNormalization(name="only")
    model = keras.Sequential([keras.Input((5, 1)), layer])
    recompute_statistics(model, np.arange(10, dtype=np.float32).reshape(2, 5, 1))
    np.testing.assert_allclose(statistics_of(model, "only"), (4.5, 2), rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "axis"), [((4, 4, 3), -1), ((4, 4, 3), 1), ((4, 4, 3), 2), ((2, 2, 2, 3), -1)]
)
def test_a_global_one_has_kerass_moving_variance(shape, axis):
    """Unbiased where Keras's is fused, on as many values of each channel as there are."""
    fused = axis != 2
    inputs = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    plain = keras.layers.BatchNormalization(axis, fused=None if fused else False)
    layer = GlobalBatchNormalization.from_config(plain.get_config())
    for each in (plain, layer):
        each(inputs, training=True)
    assert plain.fused or not fused
    np.testing.assert_allclose(layer.moving_variance, plain.moving_variance, rtol=1e-5)


def test_a_network_without_has_none():
    assert has_statistics(network())
    assert not has_statistics(keras.Sequential([keras.layers.Dense(1, input_shape=(1,))]))
