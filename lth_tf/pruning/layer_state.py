"""What a layer has adapted to data, besides its variables: Keras's preprocessing layers' state.

`Normalization` and `Discretization` compute constants from their variables once; lookups have a
table. Neither is in a layer's configuration.
"""

from typing import Any

import numpy as np
import tf_keras as keras

from lth_tf.errors import UserError
from lth_tf.pruning.kernels import named_weights
from lth_tf.pruning.walk import unwrap


def copy_state(model: keras.Model, copy: keras.Model) -> None:
    """Gives a copy of a model the weights of the original, and what its layers have adapted to.

    Args:
        model: the original.
        copy: its copy, wrapped or not.

    Raises:
        UserError: if a lookup has more than its table, which Keras gives no layer.
    """
    for original, layer in zip(_layers(model), _layers(copy), strict=True):
        vocabulary = adapted_vocabulary(original)
        if vocabulary is not None and vocabulary != adapted_vocabulary(layer):
            _set_vocabulary(layer, vocabulary)
    weights, there = named_weights(model), named_weights(copy)
    if weights.keys() != there.keys():  # a user's layer may count the names that it gives
        there = dict(zip(weights, there.values(), strict=True))
    for name, variable in weights.items():
        there[name].assign(variable.numpy())
    refresh_state(copy)


def _set_vocabulary(layer: keras.layers.Layer, vocabulary: list[Any]) -> None:
    try:
        layer.set_vocabulary(vocabulary)
    except (RuntimeError, ValueError) as error:  # tf_idf has weights beside it
        cause = " ".join(str(error).split())[:200]
        raise UserError(
            f"layer {layer.name} ({type(layer).__name__}): cannot be copied ({cause}); put it "
            "before the network, into the data"
        ) from None


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
