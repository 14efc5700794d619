"""Models of any shape are walked and copied whole: nested, shared, with operations and noise."""

import itertools

import numpy as np
import pytest
import tf_keras as keras

from lth_tf.errors import UserError
from lth_tf.pruning.kernels import kernels, named_weights
from lth_tf.pruning.walk import copy_model, walk
from lth_tf.pruning.wrapper import get_masks, mask_layers, set_masks, strip

L = keras.layers


def everything():
    """Nested models (one used twice), a shared layer, `x + y`, convolutions of every kind."""
    inner_inputs = keras.Input((8, 8, 4))
    inner = L.Conv2D(4, 3, padding="same", name="conv")(inner_inputs)
    inner = L.BatchNormalization(name="bn")(inner)
    block = keras.Model(inner_inputs, inner + inner_inputs, name="block")
    head = keras.Sequential([L.Flatten(), L.Dense(6, activation="relu", name="dense")], name="head")
    shared = L.Dense(6, name="shared")
    inputs = keras.Input((8, 8, 3))
    x = L.RandomFlip()(L.Rescaling(1 / 255)(inputs))
    x = block(block(L.Conv2D(4, 3, padding="same", name="stem")(x)))
    x = L.DepthwiseConv2D(3, name="depthwise")(L.GaussianNoise(0.1)(x))
    x = L.Lambda(lambda t: 2 * t)(L.Conv2DTranspose(3, 2, name="transposed")(x))
    x = shared(shared(head(x)))
    return keras.Model(inputs, [L.Dense(3, name="digit")(x), L.Dense(1, name="value")(x)])


def test_kernels_are_found_by_path_and_counted_once():
    found = {kernel.name: kernel.kind for kernel in kernels(everything())}
    assert found == {
        "stem/kernel": "conv",
        "block/conv/kernel": "conv",
        "depthwise/depthwise_kernel": "conv",
        "transposed/kernel": "conv",
        "head/dense/kernel": "dense",
        "shared/kernel": "dense",
        "digit/kernel": "output",
        "value/kernel": "output",
    }


def test_a_masked_copy_computes_the_same_and_masks_what_is_nested_or_shared():
    model = everything()
    masked = mask_layers(model)
    images = np.random.default_rng(0).random((5, 8, 8, 3)).astype(np.float32)
    for ours, theirs in zip(
        masked(images, training=False), model(images, training=False), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    rng = np.random.default_rng(1)
    masks = {name: rng.random(mask.shape) < 0.5 for name, mask in get_masks(masked).items()}
    assert masks.keys() == {kernel.name for kernel in kernels(model)}
    set_masks(masked, masks)
    weights, pruned = named_weights(model), named_weights(masked)
    for name, mask in masks.items():
        weights[name].assign(np.where(mask, weights[name], 0))
        np.testing.assert_array_equal(pruned[name], weights[name])
    for ours, theirs in zip(
        masked(images, training=False), model(images, training=False), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_layers_stay_shared():
    shared = L.Dense(4, name="shared")
    inner_inputs = keras.Input(4)
    inner = keras.Model(inner_inputs, shared(inner_inputs), name="inner")
    inputs = keras.Input(4)
    model = keras.Model(inputs, inner(inputs) + shared(inputs))
    copy = mask_layers(model)
    assert len(walk(copy)) == len(walk(model))
    assert len(named_weights(copy)) == 2


class Shifted(keras.Model):
    """A subclassed model that holds a weight itself, beside its layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm, self.dense = L.Normalization(), L.Dense(3)

    def build(self, shape):  # noqa: D102
        self.shift = self.add_weight("shift", (3,))
        super().build(shape)

    def call(self, inputs):  # noqa: D102
        return self.dense(self.norm(inputs)) + self.shift

    def get_config(self):  # noqa: D102
        return {"name": self.name}


class Counting(Shifted):
    """Counts the names of its layers, so that a copy's have others."""

    numbers = itertools.count()

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = L.Dense(3, name=f"part_{next(self.numbers)}")


@pytest.mark.parametrize("make", [Shifted, Counting])
def test_a_subclassed_models_own_weights_and_state_are_copied(make):
    rows = np.random.default_rng(0).normal(3, 2, (6, 4)).astype(np.float32)
    shifted = make(name="shifted")
    shifted.norm.adapt(rows)
    inputs = keras.Input(4)
    model = keras.Model(inputs, shifted(inputs))
    shifted.shift.assign([1.0, 2.0, 3.0])
    masked = mask_layers(model)
    for copy in (masked, strip(masked)):
        np.testing.assert_array_equal(copy(rows), model(rows))


def test_a_layer_whose_state_cannot_be_copied_is_named():
    inputs = keras.Input(1, dtype="string")
    weighted = L.TextVectorization(output_mode="tf_idf", name="weighted")
    weighted.adapt(["one two", "two"])
    model = keras.Model(inputs, L.Dense(2)(weighted(inputs)))
    with pytest.raises(UserError, match=r"^layer weighted \(TextV.*idf.* before the network, into"):
        mask_layers(model)


class Uncopyable(L.Layer):
    """Its configuration leaves out what its constructor needs."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width

    def get_config(self):  # noqa: D102
        return {"name": self.name}

    def call(self, inputs):  # noqa: D102
        return self.width * inputs


def test_a_layer_that_cannot_be_copied_is_named():
    model = keras.Sequential([keras.Input(3), L.Dense(2), Uncopyable(3, name="odd")])
    with pytest.raises(UserError, match=r"layer odd \(Uncopyable\).*get_config"):
        mask_layers(model)


def test_two_layers_of_one_path_are_refused():
    def block(name):
        inputs = keras.Input(4)
        return keras.Model(inputs, L.Dense(4, name="dense")(inputs), name=name)

    with pytest.raises(UserError, match="same/dense: two layers"):
        walk(Pair([block("same"), block("same")]))


class Pair(keras.Model):
    """Two models in one."""

    def __init__(self, models):
        super().__init__()
        self.models = models


def test_copies_are_new():
    model = everything()
    copy = copy_model(model, lambda layer: type(layer).from_config(layer.get_config()))
    old = {id(layer) for layer in walk(model).values()}
    assert not old & {id(layer) for layer in walk(copy).values()}
