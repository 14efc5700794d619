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
    return keras.Model(images, keras.layers.Dense(3, name="output")(keras.layers.Flatten()(y)))


def test_a_scale_is_found_where_batch_normalisation_alone_reads_the_convolution():
    assert filter_scales(network()) == {"followed/kernel": "bn/gamma"}


def test_masks_keep_or_prune_whole_filters():
    filters = {"a": np.array([True, False, True])}
    masks = whole_filters(filters, {"a": (2, 2, 5, 3), "b": (4, 2)})
    assert masks["a"][..., [0, 2]].all() and not masks["a"][..., 1].any() and masks["b"].all()
