"""Gradients and products with the Hessian are those of a network of two weights, by hand."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from lth_tf.pruning.derivatives import gradients, hessian_product
from lth_tf.pruning.wrapper import get_masks, mask_layers, set_masks

EXAMPLES = np.array([[2.0], [-1.0]], np.float32), np.array([[1.0], [4.0]], np.float32)
V, W = 3.0, -0.5


def squared(targets, outputs):
    return tf.reduce_mean((outputs - targets) ** 2)


def two_weights(*between):
    """The network w v x."""
    model = keras.Sequential(
        [
            keras.layers.Dense(1, use_bias=False, name="v", input_shape=(1,)),
            *between,
            keras.layers.Dense(1, use_bias=False, name="w"),
        ]
    )
    model.get_layer("v").set_weights([np.array([[V]])])
    model.get_layer("w").set_weights([np.array([[W]])])
    return model


def by_hand(temperature):
    """Gradient and Hessian of mean((w v x / t - y)^2) in (v, w)."""
    gradient, hessian = np.zeros(2), np.zeros((2, 2))
    for x, y in zip(*(array[:, 0] for array in EXAMPLES), strict=True):
        x = x / temperature
        rest = V * W * x - y
        gradient += [2 * rest * W * x, 2 * rest * V * x]
        mixed = 2 * rest * x + 2 * V * W * x**2
        hessian += [[2 * W**2 * x**2, mixed], [mixed, 2 * V**2 * x**2]]
    return gradient / 2, hessian / 2


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("wrap", [lambda model: model, mask_layers])
def test_derivatives_by_hand(temperature, wrap):
    model = wrap(two_weights())
    gradient, hessian = by_hand(temperature)
    found = gradients(model, EXAMPLES, squared, temperature=temperature)
    assert list(found) == ["v/kernel", "w/kernel"]
    np.testing.assert_allclose([g.item() for g in found.values()], gradient, rtol=1e-6)
    for vector in ([1.0, 0.0], [0.0, 1.0], [2.0, -3.0]):
        pairs = zip(found, vector, strict=True)
        arrays = {name: np.full((1, 1), part, np.float32) for name, part in pairs}
        product = hessian_product(model, EXAMPLES, squared, arrays, temperature=temperature)
        parts = [part.item() for part in product.values()]
        np.testing.assert_allclose(parts, hessian @ vector, rtol=1e-6)
    left_out = {"v/kernel": np.ones((1, 1), np.float32)}
    product = hessian_product(model, EXAMPLES, squared, left_out, temperature=temperature)
    np.testing.assert_allclose([part.item() for part in product.values()], hessian[0], rtol=1e-6)


def test_a_pruned_weight_has_the_gradient_at_zero():
    model = mask_layers(two_weights())
    set_masks(model, {**get_masks(model), "w/kernel": np.zeros((1, 1), bool)})
    found = gradients(model, EXAMPLES, squared)
    # w = 0: the outputs are 0; mean(-2 y v x) = -2 * 3 * (2 * 1 - 1 * 4) / 2.
    assert (found["v/kernel"].item(), found["w/kernel"].item()) == (0.0, 6.0)


def test_training_goes_by_the_examples_own_statistics_and_leaves_the_model_as_it_was():
    norm = keras.layers.BatchNormalization(center=False, scale=False, epsilon=1e-12)
    model = two_weights(norm)
    before = [weight.copy() for weight in model.get_weights()]
    found = gradients(model, EXAMPLES, squared, training=True)
    # Normalised, v x is 1 and -1 whatever v is: mean(2 (w n - y) n) = ((w - 1) - (-w - 4)).
    np.testing.assert_allclose(found["v/kernel"], 0, atol=1e-5)
    np.testing.assert_allclose(found["w/kernel"], (W - 1) - (-W - 4), rtol=1e-5)
    moved = gradients(model, EXAMPLES, squared)
    np.testing.assert_allclose(moved["v/kernel"].item(), by_hand(1.0)[0][0], rtol=1e-6)
    for kept, weight in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, weight)


def test_a_vector_of_no_kernel_is_refused():
    with pytest.raises(ValueError, match=r"^u/kernel: is no kernel .* v/kernel, w/kernel$"):
        hessian_product(two_weights(), EXAMPLES, squared, {"u/kernel": np.ones((1, 1))})
