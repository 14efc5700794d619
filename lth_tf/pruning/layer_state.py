"""What a layer has adapted to data, besides its variables: Keras's preprocessing layers' state.

`Normalization` and `Discretization` compute constants from their variables once; lookups have a
table. Neither is in a layer's configuration.
"""

from typing import Any

import numpy as np
import tf_keras as keras

from lth_tf.pruning.walk import unwrap


def copy_state(model: keras.Model, copy: keras.Model) -> None:
    """Gives a copy of a model the weights of the original, and what its layers have adapted to.

    Args:
        model: the original.
        copy: its copy, wrapped or not.
    """
    for original, layer in zip(_layers(model), _layers(copy), strict=True):
        vocabulary = adapted_vocabulary(original)
        if vocabulary is None:
            layer.set_weights(original.get_weights())
        elif vocabulary != adapted_vocabulary(layer):
            layer.set_vocabulary(vocabulary)
    refresh_state(copy)


def refresh_state(model: keras.Model) -> None:
    """Lets preprocessing layers take over their variables, once these have been set."""
    for layer in _layers(model):
        if hasattr(layer, "finalize_state") and not _has_vocabulary(layer):
            layer.finalize_state()


def adapted_vocabulary(layer: keras.layers.Layer) -> list[Any] | None:
    """Returns the table of a lookup; None of layers that have none."""
    if not _has_vocabulary(layer):
        return None
    return [
        token.item() if isinstance(token, np.generic) else token
        for token in layer.get_vocabulary(include_special_tokens=False)
    ]


def _has_vocabulary(layer: keras.layers.Layer) -> bool:
    return hasattr(layer, "get_vocabulary") and hasattr(layer, "set_vocabulary")


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Lists a model's layers in its order, without wrappers and what is inside of them."""
    found, waiting = [], list(model.layers)
    while waiting:
        layer = unwrap(waiting.pop(0))
        if isinstance(layer, keras.Model):
            waiting = [*layer.layers, *waiting]
        elif layer not in found and not isinstance(layer, keras.layers.InputLayer):
            found.append(layer)
    return found
