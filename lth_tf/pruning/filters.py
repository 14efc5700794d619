"""Filters: the scale that batch normalisation gives the output of each convolution's filters."""

import numpy as np
import tf_keras as keras

from lth_tf.arrays import Arrays
from lth_tf.pruning.kernels import Kernel, kernels
from lth_tf.pruning.walk import unwrap, walk


def filter_scales(model: keras.Model) -> dict[str, str]:
    """Returns the name of the scale, γ, of each convolution that batch normalisation follows.

    It follows where it alone reads what the convolution gives. γ has a number for each filter.

    Args:
        model: the model.

    Returns:
        Names of weights by kernel name.
    """
    layers = walk(model)
    paths = {id(unwrap(layer)): path for path, layer in layers.items()}
    found = {}
    for kernel in kernels(model):
        readers = [node.layer for node in layers[kernel.layer].outbound_nodes]
        if not _has_filters(kernel) or len(readers) != 1:
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


def _has_filters(kernel: Kernel) -> bool:
    """Says whether a kernel's last axis is that of its filters."""
    return kernel.kind == "conv" and kernel.axes[0] == -1
