"""Filters are ranked by the scale that follows them, where one follows, and pruned as a whole."""

import numpy as np
import tf_keras as keras

from lth_tf.pruning.filters import filter_scales, whole_filters


def network():
    """A convolution for each way to be followed, or not, by batch normalisation."""
    images = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(4, 3, name="followed")(images)
    x = keras.layers.BatchNormalization(name="bn")(x)
    y = keras.layers.Conv2D(4, 1, name="read_twice")(x)
    y = keras.layers.Add(name="add")([keras.layers.BatchNormalization(name="other")(y), y])
    y = keras.layers.Conv2D(2, 1, name="unscaled")(y)
    y = keras.layers.BatchNormalization(scale=False, name="no_gamma")(y)
    y = keras.layers.Conv2D(2, 1, name="then_relu")(y)
    y = keras.layers.ReLU()(y)
    y = keras.layers.DepthwiseConv2D(2, name="depthwise")(y)
    y = keras.layers.BatchNormalization(name="of_depthwise")(y)
    z = keras.layers.Reshape((1, 6, 6, 1))(images)
    z = keras.layers.BatchNormalization()(keras.layers.ConvLSTM2D(2, 3, name="recurrent")(z))
    w = keras.layers.Conv2D(2, 1, name="is_output")(images)
    flat = keras.layers.Flatten()(z + keras.layers.BatchNormalization()(w)[:, 2:, 2:])
    return keras.Model(images, [keras.layers.Dense(3, name="output")(flat), w, y])


def test_a_scale_is_found_where_batch_normalisation_alone_reads_the_convolution():
    model = network()
    assert filter_scales(model) == {"followed/kernel": "bn/gamma"}
    # A reader outside of the model is none of its own.
    keras.layers.ReLU()(model.get_layer("followed").output)
    assert filter_scales(model) == {"followed/kernel": "bn/gamma"}


def test_the_output_of_a_nested_model_is_read_outside_of_it_too():
    images = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(2, 3, name="conv")(images)
    seen = keras.layers.BatchNormalization(name="bn")(x)
    inner = keras.Model(images, [x, seen], name="inner")
    outer = keras.Input((6, 6, 1))
    assert not filter_scales(keras.Model(outer, keras.layers.Add()(inner(outer))))
    alone = keras.Model(images, seen, name="alone")
    found = filter_scales(keras.Model(outer, keras.layers.ReLU()(alone(outer))))
    assert found == {"alone/conv/kernel": "alone/bn/gamma"}


def test_masks_keep_or_prune_whole_filters():
    filters = {"a": np.array([True, False, True])}
    masks = whole_filters(filters, {"a": (2, 2, 5, 3), "b": (4, 2)})
    assert masks["a"][..., [0, 2]].all() and not masks["a"][..., 1].any() and masks["b"].all()
