"""A masked layer is the layer with a masked kernel: nothing leaks, nothing is rounded."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorflow_model_optimization.sparsity.keras import ConstantSparsity, prune_low_magnitude

from lth_tf.pruning.kernels import named_weights
from lth_tf.pruning.wrapper import MaskedLayer, get_masks, mask_layers, set_masks
from lth_tf.training.optimizers import Adam, Momentum

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1),
    "momentum": lambda: Momentum(0.05, momentum=0.9),
    "keras_momentum": lambda: keras.optimizers.SGD(0.05, 0.9, nesterov=True),
    "adam": lambda: Adam(0.01),
    "keras_adam": lambda: keras.optimizers.Adam(0.01),
}


def network():
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="output", dtype="float32")(x))


def pair():
    """A plain network and its wrapped copy, with the same weights, and masks for it."""
    keras.utils.set_random_seed(1)
    plain = network()
    model = mask_layers(plain)
    rng = np.random.default_rng(0)
    masks = {name: rng.random(mask.shape) < 0.4 for name, mask in get_masks(model).items()}
    assert masks.keys() == {"conv/kernel", "output/kernel"}
    return plain, model, masks


def examples(size=64):
    rng = np.random.default_rng(2)
    return rng.normal(size=(size, 6, 6, 2)).astype(np.float32), rng.integers(0, 3, size)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_survivors_train_as_under_masked_gradients_to_the_bit(name):
    plain, model, masks = pair()
    set_masks(model, masks)
    images, labels = examples()
    model.compile(OPTIMIZERS[name](), LOSS, run_eagerly=True)
    optimizer = OPTIMIZERS[name]()
    variables = named_weights(plain)
    for kernel, mask in masks.items():
        variables[kernel].assign(variables[kernel] * mask)
    for i in range(8):
        batch = slice(8 * i, 8 * i + 8)
        model.train_on_batch(images[batch], labels[batch])
        with tf.GradientTape() as tape:
            loss = LOSS(labels[batch], plain(images[batch]))
        gradients = tape.gradient(loss, variables)
        pairs = [(gradients[n] * masks.get(n, 1.0), v) for n, v in variables.items()]
        optimizer.apply_gradients(pairs)
    set_masks(model, masks)
    for weight, variable in named_weights(model).items():
        np.testing.assert_array_equal(variable.numpy(), variables[weight].numpy(), weight)
    for kernel, mask in masks.items():
        np.testing.assert_array_equal(named_weights(model)[kernel].numpy()[~mask], 0)
    assert not np.array_equal(variables["conv/kernel"], pair()[0].get_layer("conv").kernel)


def test_inference_uses_the_masked_kernel_whatever_lies_under_the_mask():
    plain, model, masks = pair()
    set_masks(model, masks)
    images, _ = examples()
    for kernel, mask in masks.items():
        named_weights(plain)[kernel].assign(named_weights(plain)[kernel] * mask)
        loud = np.where(mask, named_weights(plain)[kernel], np.float32(np.inf))
        named_weights(model)[kernel].assign(loud)
    np.testing.assert_array_equal(
        model.predict(images, verbose=0), plain.predict(images, verbose=0)
    )
    for kernel, mask in masks.items():
        pruned = named_weights(model)[kernel].numpy()[~mask]
        assert pruned.tobytes() == bytes(pruned.nbytes)  # positive zeros


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_does_not_round_the_weights(policy):
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        _, model, masks = pair()
        conv = keras.layers.Conv2D(4, 3)
        tfmots_own = prune_low_magnitude(conv, ConstantSparsity(0.5, 0), input_shape=(6, 6, 2))
    finally:
        keras.mixed_precision.set_global_policy(before)
    set_masks(model, masks)
    images, _ = examples()
    weights = {name: v.numpy() for name, v in named_weights(model).items()}
    outputs = model(images, training=True)
    assert model.get_layer("masked_layer_conv").output.dtype == policy.removeprefix("mixed_")
    assert outputs.dtype == "float32"
    for name, variable in named_weights(model).items():
        assert weights[name].dtype == np.float32
        np.testing.assert_array_equal(variable.numpy(), weights[name], name)
    # What this guards against: tfmot's own wrapper rounds them.
    keras.Sequential([tfmots_own])
    exact = conv.kernel.numpy()
    tfmots_own(images)
    assert not np.array_equal(conv.kernel.numpy(), exact)


def test_masks_are_set_by_name_and_ones_where_none_is_given():
    _, model, masks = pair()
    set_masks(model, masks)
    set_masks(model, {"output/kernel": masks["output/kernel"]})
    found = get_masks(model)
    assert found["conv/kernel"].all() and found["conv/kernel"].dtype == bool
    np.testing.assert_array_equal(found["output/kernel"], masks["output/kernel"])
    kernel = named_weights(model)["output/kernel"].numpy()
    np.testing.assert_array_equal(kernel != 0, masks["output/kernel"])


def test_a_mask_that_fits_no_layer_is_refused():
    _, model, masks = pair()
    with pytest.raises(ValueError, match=r"^outputs/kernel: .*conv/kernel, output/kernel$"):
        set_masks(model, {"outputs/kernel": masks["output/kernel"]})
    with pytest.raises(ValueError, match="shape"):
        set_masks(model, {"output/kernel": masks["output/kernel"].T})


def test_wrapping_copies_and_leaves_the_model_alone():
    plain, model, masks = pair()
    before = plain.get_weights()
    set_masks(model, masks)
    model.compile("sgd", LOSS)
    model.fit(*examples(), verbose=0)
    for old, new in zip(before, plain.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert [type(layer) for layer in model.layers].count(MaskedLayer) == 2


def test_pruned_weights_are_zero_after_fit_and_in_a_loop_of_ones_own_and_after_loading(tmp_path):
    _, model, masks = pair()
    set_masks(model, masks)
    images, labels = examples()
    model.compile("adam", LOSS)
    model.fit(images, labels, batch_size=16, verbose=0)
    assert pruned(model, masks) == 0
    model.save(tmp_path / "masked.keras")
    loaded = keras.models.load_model(tmp_path / "masked.keras")
    for name, mask in get_masks(loaded).items():
        np.testing.assert_array_equal(mask, masks[name])
    np.testing.assert_array_equal(loaded(images), model(images))
    for each in (model, loaded):
        optimizer = keras.optimizers.Adam(0.01)
        with tf.GradientTape() as tape:
            loss = LOSS(labels, each(images, training=True))
        optimizer.minimize(loss, each.trainable_variables, tape=tape)
        assert pruned(each, masks) == 0


def pruned(model, masks):
    """Counts pruned weights that are not zero."""
    weights = named_weights(model)
    return sum(np.count_nonzero(weights[name].numpy()[~mask]) for name, mask in masks.items())


def test_a_constraint_of_the_layers_own_holds_as_well():
    inputs = keras.Input((3,))
    layer = keras.layers.Dense(2, kernel_constraint=keras.constraints.NonNeg(), name="dense")
    model = mask_layers(keras.Model(inputs, layer(inputs)))
    mask = np.array([[True, False], [True, True], [False, True]])
    set_masks(model, {"dense/kernel": mask})
    model.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=True)
    model.train_on_batch(np.ones((4, 3)), np.full((4, 2), -9.0))
    kernel = named_weights(model)["dense/kernel"].numpy()
    assert not kernel[~mask].any() and (kernel >= 0).all()
