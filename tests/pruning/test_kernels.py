"""Which weights can be pruned, at what rate, and what they are called."""

import dataclasses

import pytest
import tf_keras as keras

from lth_tf import models
from lth_tf.errors import UserError
from lth_tf.paper.recipes import paper_recipe
from lth_tf.pruning.kernels import kernels, named_weights, rates
from lth_tf.pruning.wrapper import mask_layers


def many_layers():
    """A network with layers that have kernels of all sorts, beside those that are pruned."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = keras.layers.SeparableConv2D(4, 1, name="separable")(x)
    x = keras.layers.Conv2D(4, 1, name="frozen", trainable=False)(x)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.Dense(5, name="first")(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.Dense(2, name="last")(x))


def wrapped(model):
    return mask_layers(model)


def test_kernels_are_pruned_and_biases_normalisation_and_frozen_layers_are_not():
    plain = many_layers()
    found = kernels(plain)
    assert [(k.name, k.kind, k.shape, k.size) for k in found] == [
        ("conv/kernel", "conv", (3, 3, 3, 4), 108),
        ("depthwise/depthwise_kernel", "conv", (3, 3, 4, 1), 36),
        ("separable/depthwise_kernel", "conv", (1, 1, 4, 1), 4),
        ("separable/pointwise_kernel", "conv", (1, 1, 4, 4), 16),
        ("first/kernel", "dense", (64, 5), 320),
        ("last/kernel", "output", (5, 2), 10),
    ]
    assert kernels(wrapped(plain)) == found


@pytest.mark.parametrize("build", [many_layers, lambda: models.build("resnet18", (8, 8, 3), 10, 0)])
def test_weights_have_the_same_names_and_shapes_wrapped_or_not(build):
    plain = build()
    named = named_weights(plain)
    shapes = {name: variable.shape for name, variable in named.items()}
    assert len(named) == len(plain.weights)
    assert {name: v.shape for name, v in named_weights(wrapped(plain)).items()} == shapes
    assert {name: v.shape for name, v in named_weights(wrapped(wrapped(plain))).items()} == shapes
    assert named["conv/kernel" if "conv/kernel" in named else "stem/kernel"].name.endswith(
        "/kernel:0"
    )


def test_layers_inside_of_a_layer_keep_their_weights_apart():
    inner_inputs = keras.Input((4,))
    x = keras.layers.Dense(4, name="b")(keras.layers.Dense(4, name="a")(inner_inputs))
    inner = keras.Model(inner_inputs, x, name="inner")
    inputs = keras.Input((3, 4))
    x = keras.layers.MultiHeadAttention(2, 4, name="attention")(inputs, inputs)
    x = keras.layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, inner(x))
    named = named_weights(model)
    assert len(named) == len(model.weights)
    assert {"inner/a/kernel", "inner/b/bias", "attention/query/kernel"} < named.keys()


def test_rates_by_kind_and_by_the_first_name_or_class_that_fits():
    recipe = dataclasses.replace(
        paper_recipe("conv2"),
        prune_conv=0.1,
        prune_dense=0.2,
        prune_output=0.05,
        prune_layers=(
            ("f*", 0.4),
            ("f?rst", 0.6),
            ("last", 0.0),
            ("separable/pointwise_kernel", 0.3),
            ("DepthwiseConv2D", 0.5),
            ("SeparableConv2D", 0.7),
        ),
    )
    assert rates(kernels(many_layers()), recipe) == {
        "conv/kernel": 0.1,
        "depthwise/depthwise_kernel": 0.5,
        "separable/depthwise_kernel": 0.7,
        "separable/pointwise_kernel": 0.3,
        "first/kernel": 0.4,
        "last/kernel": 0.0,
    }


def test_shortcuts_and_output_of_resnet_are_never_pruned():
    found = kernels(models.build("resnet18", (8, 8, 3), 10, 0))
    given = rates(found, paper_recipe("resnet18"))
    never = {k.name: k.size for k in found if not given[k.name]}
    assert never.keys() == {
        "stage2_block1_shortcut/kernel",
        "stage3_block1_shortcut/kernel",
        "output/kernel",
    }
    assert sum(k.size for k in found) - sum(never.values()) == 267_696
    assert {rate for rate in given.values() if rate} == {0.2}


def test_a_pattern_that_fits_no_layer_is_refused():
    recipe = dataclasses.replace(paper_recipe("conv2"), prune_layers=(("dense9", 0.5),))
    with pytest.raises(
        UserError, match=r"--prune_layers=dense9=0.5: .* conv, depthwise, separable, first, last$"
    ):
        rates(kernels(many_layers()), recipe)
