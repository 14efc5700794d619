"""A compacted network computes what the pruned one did, and nothing that can go is left."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

import lth_tf
from lth_tf import models
from lth_tf.errors import UserError
from lth_tf.pruning.compaction import LayerSize, compact, compare, largest_difference

pytestmark = pytest.mark.long

L = keras.layers
# Of the outputs' scale: the removed terms are zeros or go into the bias, so that sums differ in
# their order only, by a few units of float32's last place (6e-8) for each layer.
ROUNDING = 1e-5
seeds = st.integers(0, 2**32 - 1)
densities = st.floats(0.05, 0.7)


def dense_chain():
    layers = [L.Dense(6, "tanh"), L.Dense(5, "sigmoid"), L.Dense(4, "tanh"), L.Dense(3)]
    return keras.Sequential([keras.Input((4,)), *layers])


def conv_chain(padding):
    layers = [
        L.Rescaling(0.5),
        L.Conv2D(4, 3, padding=padding, activation="tanh"),
        L.MaxPooling2D(padding=padding),
        L.Conv2D(5, 2, 2, padding, activation="tanh"),
        L.Dropout(0.5),
        L.Flatten(),
    ]
    # Padding makes of a constant what is the same for all images, but not at all places. A dense
    # unit that sees nothing else could go; compaction does not look for that.
    hidden = [L.Dense(4, "tanh")] if padding == "valid" else []
    return keras.Sequential([keras.Input((9, 9, 2)), *layers, *hidden, L.Dense(3)])


def normalized(padding):
    def block(filters):
        yield L.Conv2D(filters, 2, padding=padding, use_bias=False)
        yield L.BatchNormalization()
        yield L.Activation("tanh")

    pooled = [L.GlobalAveragePooling2D(), L.Dense(3)]
    return keras.Sequential([keras.Input((5, 5, 2)), *block(4), *block(5), *pooled])


def residual():
    """Two blocks, the second with a projection on its shortcut."""
    images = keras.Input((6, 6, 2))
    x = L.Conv2D(4, 3, padding="same", use_bias=False, name="stem")(images)
    x = L.BatchNormalization(name="stem_bn")(x)
    for name, width, stride in (("a", 4, 1), ("b", 5, 2)):
        shortcut = x
        if stride > 1:
            shortcut = L.Conv2D(width, 1, stride, use_bias=False, name=f"{name}_shortcut")(x)
        x = L.Conv2D(5, 3, stride, "same", activation="relu", name=f"{name}1")(x)
        x = L.Conv2D(width, 3, padding="same", use_bias=False, name=f"{name}2")(x)
        x = L.ReLU()(L.Add()([L.BatchNormalization(name=f"{name}_bn")(x), shortcut]))
    return keras.Model(images, L.Dense(3, name="output")(L.GlobalAveragePooling2D()(x)))


def others():
    """Images of any size, and the layers that the other networks do not have."""
    return keras.Sequential(
        [
            keras.Input((None, None, 2)),
            L.Conv2D(5, 3, 2, "same", activation=tf.nn.relu),
            L.AveragePooling2D(padding="same"),
            L.Conv2D(5, 1, activation=tf.nn.sigmoid),
            L.LeakyReLU(),
            L.Conv2D(5, (3, 1), padding="same", dilation_rate=2, use_bias=False),
            L.ELU(),
            L.GlobalMaxPooling2D(),
            L.Dense(4, "softplus"),
            L.Dense(3, "softmax"),
        ]
    )


NETWORKS = {
    "dense": dense_chain,
    "conv_valid": functools.partial(conv_chain, "valid"),
    "conv_same": functools.partial(conv_chain, "same"),
    "normalized_valid": functools.partial(normalized, "valid"),
    "normalized_same": functools.partial(normalized, "same"),
    "residual": residual,
    "others": others,
}
BY_TRIAL = [name for name in NETWORKS if name not in ("residual", "others")]
network = functools.cache(lambda name: NETWORKS[name]())


def fill(model, rng, density, output_density=0.5):
    """Gives all layers random weights, pruned ones zero, and a third of the biases zero."""
    for layer in model.layers:
        weights = [rng.uniform(0.8, 1.2, w.shape) for w in layer.get_weights()]
        if hasattr(layer, "kernel"):
            share = output_density if layer is model.layers[-1] else density
            if layer.name.endswith(("_shortcut", "stem", "block1_conv1")):
                share = 1  # not pruned in the paper, or hardly
            kernel = rng.normal(size=weights[0].shape) / np.sqrt(weights[0][..., 0].size * share)
            weights[0] = np.where(rng.random(kernel.shape) < share, kernel, 0)
        for i in range(1, min(len(weights), 3)):  # a bias; beta and the moving mean
            weights[i] *= rng.choice([0, 0.5, -0.5], weights[i].shape)
        layer.set_weights(weights)


def examples(model, rng, size=4):
    shape = [side or 11 for side in model.input_shape[1:]]
    return rng.normal(size=(size, *shape)).astype(np.float32)


def units(sizes):
    return {size.name: size.units_after for size in sizes}


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=15, deadline=None)
@given(seed=seeds, density=densities)
def test_outputs_are_the_same_whatever_the_masks(name, seed, density):
    rng = np.random.default_rng(seed)
    model = network(name)
    fill(model, rng, density)
    smaller = compact(model)
    assert largest_difference(model, smaller, examples(model, rng)) < ROUNDING
    for size in compare(model, smaller):
        assert 1 <= size.units_after <= size.units_before
        assert smaller.get_layer(size.name).kernel.shape.num_elements() == size.weights_after


def is_even(layer):
    """Says of each input channel and output of a convolution: does a constant add one number?"""
    channels = layer.input_shape[-1]
    ones = np.zeros((channels, *layer.input_shape[1:]), np.float32)
    ones[np.arange(channels), ..., np.arange(channels)] = 1
    added = layer.convolution_op(ones, layer.kernel).numpy()
    return np.ptp(added, axis=(1, 2)) < 1e-6


def removable(model, images):
    """Finds by trial which hidden units may go: layer name to a boolean vector.

    A unit's value is changed through its bias (or beta): if no output follows, it may go. Else it
    may go if it never varies, and is zero or adds one number to what stays of the next layer.
    """
    outputs = model(images).numpy()
    found = {}
    mixing = [layer for layer in model.layers if hasattr(layer, "kernel")]
    for layer, consumer in reversed(list(itertools.pairwise(mixing))):
        at = model.layers.index(layer)
        bias = layer.bias if layer.use_bias else model.layers[at + 1].beta
        value = layer if layer.use_bias else model.layers[at + 2]
        values = keras.Model(model.inputs, value.output)(images).numpy()
        values = values.reshape(-1, values.shape[-1])
        # The same sum can be rounded in another way at another place of the batch.
        still = np.ptp(values, axis=0) < 1e-6
        if isinstance(consumer, L.Conv2D):
            stays = ~found[consumer.name]
            still &= (values[0] == 0) | is_even(consumer)[:, stays].all(1)
        before = bias.numpy()
        unheard = []
        for unit in range(before.size):
            bias.assign(before + 0.5 * np.eye(before.size)[unit])
            unheard.append(np.array_equal(model(images).numpy(), outputs))
        bias.assign(before)
        found[layer.name] = still | unheard
    return found


@pytest.mark.parametrize("name", BY_TRIAL)
@settings(max_examples=15, deadline=None)
@given(seed=seeds, density=densities)
def test_what_goes_is_what_trial_says_may_go(name, seed, density):
    rng = np.random.default_rng(seed)
    model = network(name)
    fill(model, rng, density)
    expected = {
        n: max(1, np.sum(~goes)) for n, goes in removable(model, examples(model, rng)).items()
    }
    assert units(compare(model, compact(model))) == {**expected, model.layers[-1].name: 3}


def set_dense(model, *weights):
    model.set_weights([np.array(each, np.float32) for each in weights])


def test_a_case_by_hand():
    first, second = L.Dense(4, "relu", name="first"), L.Dense(2, "relu", name="second")
    model = keras.Sequential([keras.Input((2,)), first, second, L.Dense(1, name="output")])
    set_dense(
        model,
        # Units: 0 stays; 1 is constant relu(3); 2 feeds only what is dead; 3 feeds nothing.
        [[1, 0, 1, 5], [2, 0, 0, 5]], [0.5, 3, 0, 0],
        [[7, 0], [10, 4], [0, 1], [0, 0]], [1, -1],
        # Unit 1 of the second layer is dead, so unit 2 of the first is.
        [[2], [0]], [9],
    )  # fmt: skip
    smaller = compact(model)
    expected = ([[1], [2]], [0.5], [[7]], [1 + 3 * 10], [[2]], [9])
    for found, wanted in zip(smaller.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert compare(model, smaller) == [
        LayerSize("first", 4, 1, 8, 2),
        LayerSize("second", 2, 1, 8, 1),
        LayerSize("output", 1, 1, 2, 1),
    ]
    assert [layer.name for layer in smaller.layers] == ["first", "second", "output"]
    assert first.units == 4 and not np.shares_memory(
        model.get_weights()[0], smaller.get_weights()[0]
    )


@pytest.mark.parametrize(
    ("padding", "kernel", "constant", "left"),
    [
        ("same", "all", 0.5, 2),
        ("same", "all", -0.5, 1),  # relu(-0.5) is zero
        ("same", "centre", 0.5, 1),  # only the centre of the kernel is left, which meets no padding
        ("valid", "all", 0.5, 1),
    ],
)
def test_a_constant_before_padding_goes_only_if_it_adds_one_number(padding, kernel, constant, left):
    first = L.Conv2D(2, 3, padding="same", activation="relu", name="first")
    second = L.Conv2D(2, 3, padding=padding, use_bias=False, name="second")
    head = [L.MaxPooling2D(padding="same"), L.Flatten(), L.Dense(2)]
    model = keras.Sequential([keras.Input((5, 5, 1)), first, second, *head])
    weights = first.kernel.numpy()
    weights[..., 1] = 0
    first.set_weights([weights, np.array([0.1, constant])])
    if kernel == "centre":
        second.set_weights([second.kernel.numpy() * np.eye(9)[4].reshape(3, 3, 1, 1)])
    smaller = compact(model)
    assert smaller.get_layer("first").filters == left
    # Where a constant was folded, the layer has a bias for it.
    assert smaller.get_layer("second").use_bias == (left == 1 and constant > 0)
    assert largest_difference(model, smaller, examples(model, np.random.default_rng(0))) < ROUNDING


def test_a_channel_of_a_residual_sum_goes_only_if_all_allow_it():
    rng = np.random.default_rng(0)
    model = residual()
    fill(model, rng, 1, output_density=1)
    assert all(size.units_after == size.units_before for size in compare(model, compact(model)))

    def cut(name, channel):
        layer = model.get_layer(name)
        kernel = layer.kernel.numpy()
        kernel[..., channel, :] = 0
        layer.kernel.assign(kernel)

    cut("b_shortcut", 1)
    assert units(compare(model, compact(model)))["stem"] == 4
    cut("b1", 1)  # Nothing reads the sum's channel 1 now, but the first block reads the stem's.
    assert units(compare(model, compact(model)))["stem"] == 4
    cut("a1", 1)
    left = units(compare(model, compact(model)))
    assert left == {"stem": 3, "a1": 5, "a2": 3, "b1": 5, "b2": 5, "b_shortcut": 5, "output": 3}
    cut("output", 2)
    left = units(compare(model, compact(model)))
    assert left["b2"] == left["b_shortcut"] == 4


@pytest.mark.parametrize("name", models.NETWORKS)
def test_the_six_networks_give_the_same_logits(name):
    rng = np.random.default_rng(1)
    model = models.build(name, (12, 12, 3), 10, seed=0, dropout=0.5)
    fill(model, rng, 0.01, output_density=0.3)
    images = rng.integers(0, 256, (8, 12, 12, 3)).astype(np.uint8)
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.momentum = 0
    model(images, training=True)  # The statistics are the images', or nothing gets through.
    smaller = compact(model)
    logits = model(images).numpy()
    assert np.ptp(logits, axis=0).min() > 1e-3 * np.abs(logits).max()  # the mask leaves a network
    assert largest_difference(model, smaller, images) < ROUNDING
    sizes = compare(model, smaller)
    assert sum(s.weights_after for s in sizes) < sum(s.weights_before for s in sizes)


def test_a_network_that_is_cut_through_keeps_one_unit_of_each_layer():
    for name in NETWORKS:
        model = network(name)
        fill(model, np.random.default_rng(0), 1)
        model.layers[-1].set_weights([np.zeros_like(w) for w in model.layers[-1].get_weights()])
        model.layers[-1].bias.assign([1, 2, 3])
        smaller = compact(model)
        *hidden, output = compare(model, smaller)
        assert {size.units_after for size in hidden} == {1} and output.units_after == 3
        images = examples(model, np.random.default_rng(1))
        np.testing.assert_array_equal(smaller(images), model(images))


class Rolled(L.Layer):
    """Mixes channels, in a way that no rule knows."""

    def call(self, x):  # noqa: D102
        return keras.backend.concatenate([x[..., 1:], x[..., :1]])


class Subclass(L.Dense):
    """Is no Dense layer: it adds its last unit to all of them."""

    def call(self, x):  # noqa: D102
        y = super().call(x)
        return y + y[..., -1:]


def differences(y):
    return y - y[..., :1]


SHARED = L.Dense(5, name="shared")
WHOLE = {
    "unknown": lambda x: Rolled()(x),
    "subclass": lambda x: Subclass(5)(x),
    "softmax": lambda x: L.Dense(5, "softmax")(x),
    "softmax_layer": lambda x: L.Activation("softmax")(x),
    "own_activation": lambda x: L.Dense(5, differences)(x),
    "operator": lambda x: x + 1.0,
    "called_twice": lambda x: SHARED(SHARED(x)),
    "broadcast": lambda x: L.Add()([x, L.Dense(1)(x)]),
    "batch_statistics": lambda x: L.BatchNormalization()(x, training=True),
    "nested": lambda x: keras.Sequential([L.Dense(5, input_shape=(5,))])(x),
    "normalized_over_rows": lambda x: L.BatchNormalization(axis=1)(L.Reshape((5, 1))(x)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_not_known_is_left_whole(name):
    inputs = keras.Input((4,))
    x = WHOLE[name](L.Dense(5, "relu", name="before")(L.Dense(6, name="first")(inputs)))
    last = L.Dense(2, name="output")
    model = keras.Model(inputs, last(L.Dense(5, name="after")(L.Flatten()(x))))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([rng.uniform(0.1, 1, w.shape) for w in layer.get_weights()])
    for layer in ("first", "after"):  # A constant and a dead unit on both sides.
        kernel, bias = model.get_layer(layer).get_weights()
        kernel[:, 0] = 0
        model.get_layer(layer).set_weights([kernel, bias])
    for layer in ("before", "after", "output"):
        kernel, bias = model.get_layer(layer).get_weights()
        kernel[1] = 0
        model.get_layer(layer).set_weights([kernel, bias])
    smaller = compact(model)
    left = units(compare(model, smaller))
    assert (left["first"], left["after"]) == (4, 3)
    # Before a layer that mixes in a way of its own, nothing goes. A dense layer that does, by its
    # activation, has a kernel that says what it reads: all of this one.
    assert left["before"] == 5
    for layer, copy in zip(model.layers, smaller.layers, strict=True):
        if layer.name not in ("first", "before", "after", "output"):
            assert [w.shape for w in copy.get_weights()] == [w.shape for w in layer.get_weights()]
    assert largest_difference(model, smaller, examples(model, rng)) < ROUNDING


class Scaled(L.Layer):
    """Has a factor that its configuration does not tell."""

    factor = 1.0

    def call(self, x):  # noqa: D102
        return x * self.factor


def test_units_of_a_transposed_convolution_are_its_outputs():
    images = keras.Input((4, 4, 3))
    model = keras.Model(images, L.Conv2DTranspose(2, 3, name="up")(images))
    assert units(compare(model, compact(model))) == {"up": 2}


def test_what_cannot_be_compacted_is_refused():
    model = dense_chain()
    text = keras.Input(1, dtype="string")
    looked_up = L.StringLookup(vocabulary=["a"])(text)
    with pytest.raises(UserError, match=r"be made smaller: its inputs must be numbers, not text$"):
        compact(keras.Model(text, L.Embedding(2, 2)(looked_up)))
    with pytest.raises(
        UserError, match=r"must be plain, but dense.*/kernel.* mask; call lth_tf.strip"
    ):
        compact(lth_tf.mask_layers(model))
    with pytest.raises(UserError, match="functional or Sequential model, built"):
        compact(keras.Sequential([L.Dense(3)]))
    scaled = Scaled()
    model = keras.Sequential([keras.Input((4,)), L.Dense(3), scaled])
    scaled.factor = 1.01
    with pytest.raises(UserError, match=r"outputs would differ by 9\.9e-03 .* at most 0\.0001"):
        compact(model)
