"""Filters: the scale that batch normalisation gives the output of each convolution's filters."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.arrays import Arrays
from lth_tf.pruning.kernels import Kernel, kernels
from lth_tf.pruning.walk import is_network, unwrap, walk


def filter_scales(model: keras.Model) -> dict[str, str]:
    """Returns the name of the scale, γ, of each convolution that batch normalisation follows.

    It follows where it alone reads in the model what the convolution gives, and that is no output.
    γ has a number for each filter.

    Args:
        model: the model.

    Returns:
        Names of weights by kernel name.
    """
    layers = walk(model)
    paths = {id(unwrap(layer)): path for path, layer in layers.items()}
    networks = list(_networks(model))
    # A layer knows its readers in all models that it is part of.
    inside = {
        id(node)
        for network in networks
        for nodes in network._nodes_by_depth.values()
        for node in nodes
    }
    outputs = {
        id(output._keras_history.layer)
        for network in networks
        for output in tf.nest.flatten(network.outputs)
    }
    found = {}
    for kernel in kernels(model):
        layer = layers[kernel.layer]
        readers = [node.layer for node in layer.outbound_nodes if id(node) in inside]
        if not _has_filters(kernel) or len(readers) != 1 or id(layer) in outputs:
            continue
        path, reader = paths.get(id(unwrap(readers[0]))), unwrap(readers[0])
        if path and isinstance(reader, keras.layers.BatchNormalization) and reader.scale:
            found[kernel.name] = f"{path}/gamma"
    return found


def whole_filters(filters: Arrays, shapes: dict[str, tuple[int, ...]]) -> Arrays:
    """Returns masks of kernels whose filters are kept or pruned as a whole.

    Args:
        filters: which filters are kept, booleans [filters] by kernel name; others keep all.
        shapes: the kernels' shapes.
    """
    return {
        name: np.broadcast_to(filters.get(name, np.array(True)), shape).copy()
        for name, shape in shapes.items()
    }


def _networks(model: keras.Model) -> Iterator[keras.Model]:
    """Yields a model and those that are nested in it."""
    yield model
    for layer in model.layers:
        if is_network(layer):
            yield from _networks(layer)


def _has_filters(kernel: Kernel) -> bool:
    """Says whether a kernel's last axis is that of its filters; a ConvLSTM's is of its gates."""
    return kernel.kind == "conv" and kernel.axes[0] == -1 and "RNN" not in kernel.classes
