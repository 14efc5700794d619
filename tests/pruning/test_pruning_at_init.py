"""SNIP, GraSP and SynFlow score networks of a few weights as by hand."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from lth_tf.errors import UserError
from lth_tf.pruning import derivatives
from lth_tf.pruning.context import Context
from lth_tf.pruning.criteria import CRITERIA
from lth_tf.pruning.flow import Flow
from lth_tf.pruning.kernels import snapshot

EXAMPLES = np.array([[2.0], [-1.0]], np.float32), np.array([[1.0], [4.0]], np.float32)
V, W = 3.0, -0.5
FIRST = np.array([[1.0, -2.0], [3.0, 0.5]])
SECOND = np.array([[-4.0], [0.25]])


def squared(targets, outputs):
    return tf.reduce_mean((outputs - targets) ** 2)


def dense(units, name, **how):
    return keras.layers.Dense(units, use_bias=False, name=name, **how)


def model_of(kernels, *first, **layers):
    """A network of dense layers with these kernels, each behind what stands there by its name."""
    inputs = x = keras.Input(len(next(iter(kernels.values()))))
    for layer in first:
        x = layer(x)
    for name, kernel in kernels.items():
        x = dense(np.shape(kernel)[1], name)(x)
        x = layers[name](x) if name in layers else x
    model = keras.Model(inputs, x)
    for name, kernel in kernels.items():
        model.get_layer(name).set_weights([np.array(kernel)])
    return model


def scores_of(criterion, model, masks=None):
    """What a criterion scores a network's kernels, by layer."""
    weights = snapshot(model)
    kernels = {name: weight for name, weight in weights.items() if name.endswith("kernel")}
    masks = masks or {name: np.ones(kernel.shape, bool) for name, kernel in kernels.items()}
    probe = (model, EXAMPLES, squared)
    masked = {**weights, **{name: kernels[name] * mask for name, mask in masks.items()}}
    found = CRITERIA[criterion]().scores(
        Context(
            initial=kernels,
            masks=masks,
            groups=[tuple(kernels)],
            differentiate=functools.partial(derivatives.gradients, *probe),
            multiply_hessian=lambda v, **how: derivatives.hessian_product(*probe, v, **how),
            differentiate_flow=lambda: Flow(model).gradients(masked),
        )
    )
    return {name.removesuffix("/kernel"): score for name, score in found.items()}


def by_hand(temperature):
    """Gradient and Hessian of mean((w v x / t - y)^2) in (v, w)."""
    gradient, hessian = np.zeros(2), np.zeros((2, 2))
    for x, y in zip(*(array[:, 0] / 1.0 for array in EXAMPLES), strict=True):
        x = x / temperature
        rest = V * W * x - y
        gradient += np.array([rest * W * x, rest * V * x])
        mixed = rest * x + V * W * x**2
        hessian += np.array([[W**2 * x**2, mixed], [mixed, V**2 * x**2]])
    return gradient, hessian


def test_snip_is_the_weight_times_its_gradient():
    scores = scores_of("snip", model_of({"v": [[V]], "w": [[W]]}))
    expected = np.abs(np.array([V, W]) * by_hand(1.0)[0])
    np.testing.assert_allclose([scores["v"].item(), scores["w"].item()], expected, rtol=1e-6)


def test_grasp_prunes_the_highest_of_minus_the_weight_times_the_hessians_product():
    scores = scores_of("grasp", model_of({"v": [[V]], "w": [[W]]}))
    gradient, hessian = by_hand(200.0)
    hindrance = -np.array([V, W]) * (hessian @ gradient)
    # The lowest-scored are pruned.
    found = [-scores["v"].item(), -scores["w"].item()]
    np.testing.assert_allclose(found, hindrance, rtol=1e-5)


def test_grasp_leaves_out_what_is_pruned_already():
    kernels = {"v": [[V]], "w": [[0.0]]}
    masks = {"v/kernel": np.ones((1, 1), bool), "w/kernel": np.zeros((1, 1), bool)}
    scores = scores_of("grasp", model_of(kernels), masks)
    # With w = 0 nothing that remains has a gradient.
    assert scores["v"].item() == 0


def test_synflow_is_the_weights_of_all_paths_through_a_weight():
    scores = scores_of("synflow", model_of({"a": FIRST, "b": SECOND}))
    first, second = np.abs(FIRST), np.abs(SECOND)
    np.testing.assert_allclose(scores["a"], first * second.T)
    np.testing.assert_allclose(scores["b"], first.sum(0)[:, None] * second)
    assert scores["a"].dtype == np.float64


def test_synflow_is_that_of_the_masked_network():
    masks = {"a/kernel": np.array([[True, True], [False, True]]), "b/kernel": np.ones((2, 1), bool)}
    scores = scores_of("synflow", model_of({"a": FIRST, "b": SECOND}), masks)
    np.testing.assert_allclose(scores["b"].ravel(), [1 * 4, 2.5 * 0.25])


def test_synflow_takes_statistics_by_their_absolute_values_in_inference_mode():
    norm = keras.layers.BatchNormalization(epsilon=0, name="norm")
    model = model_of({"a": FIRST, "b": SECOND}, a=norm)
    # gamma, beta, mean, variance: the outputs |gamma| (z - |mean|) / sqrt(|variance|) + |beta|.
    norm.set_weights([np.array(v) for v in ([-2.0, 1.0], [-1.0, 0.0], [-0.5, 0.0], [4.0, 1.0])])
    scores = scores_of("synflow", model)
    np.testing.assert_allclose(scores["a"], np.abs(FIRST) * [2 / 2 * 4, 0.25])
    np.testing.assert_allclose(scores["b"].ravel(), [((4 - 0.5) * 2 / 2 + 1) * 4, 2.5 * 0.25])


def test_synflow_is_conserved_at_every_hidden_unit_and_layer():
    rng = np.random.default_rng(1)
    shapes = {"a": (5, 4), "b": (4, 6), "c": (6, 3)}
    relu = {name: keras.layers.ReLU() for name in ("a", "b")}
    scores = scores_of(
        "synflow", model_of({n: rng.normal(size=s) for n, s in shapes.items()}, **relu)
    )
    for before, after in (("a", "b"), ("b", "c")):
        np.testing.assert_allclose(scores[before].sum(0), scores[after].sum(1))
    assert len({round(score.sum(), 6) for score in scores.values()}) == 1


def test_synflow_sees_ones_behind_the_scaling_of_inputs():
    scaling = keras.layers.Rescaling([1 / 255, 1 / 255], [-2.0, -2.0])
    scaled, plain = (
        scores_of("synflow", model_of({"a": FIRST, "b": SECOND}, *first, a=keras.layers.ReLU()))
        for first in ((scaling,), ())
    )
    for name, score in plain.items():
        np.testing.assert_allclose(scaled[name], score)


def test_synflow_takes_networks_of_whole_numbers():
    images = keras.Input((1, 1, 2), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(images)
    model = keras.Model(images, keras.layers.Conv2D(3, 1, name="out")(x))
    found = Flow(model).gradients(snapshot(model))
    np.testing.assert_array_equal(found["out/kernel"], np.ones((1, 1, 2, 3)))


def test_synflow_is_finite_where_float32_overflows():
    kernels = {name: np.full((1, 1), 1e15) for name in "abc"}
    scores = scores_of("synflow", model_of(kernels))
    np.testing.assert_allclose([score.item() for score in scores.values()], 1e45, rtol=1e-6)


@pytest.mark.parametrize(("first", "last"), [((), "softmax"), ((lambda x: x - 2.0,), "relu")])
def test_a_network_that_nothing_flows_through_is_refused(first, last):
    model = model_of({"a": FIRST, "b": FIRST}, *first, b=keras.layers.Activation(last))
    with pytest.raises(UserError, match=r"^--criterion: asks for synaptic flow.* logits$"):
        Flow(model)
