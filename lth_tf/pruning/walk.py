"""Walking through a model: its layers by path, those of nested models among them, and copies."""

from collections.abc import Callable, Iterator

import tf_keras as keras
from tensorflow_model_optimization.python.core.sparsity.keras.pruning_wrapper import (
    PruneLowMagnitude,
)

from lth_tf.errors import UserError

Layer = keras.layers.Layer


def unwrap(layer: Layer) -> Layer:
    """Returns the layer inside a pruning wrapper, ours or tfmot's, or the layer itself."""
    return layer.layer if isinstance(layer, PruneLowMagnitude) else layer


def is_network(layer: Layer) -> bool:
    """Says whether a layer is a functional or Sequential model, whose layers can be seen."""
    return isinstance(layer, keras.Model) and getattr(layer, "_is_graph_network", False)


def walk(model: keras.Model) -> dict[str, Layer]:
    """Returns a model's layers by path, in its order, wrapped or not.

    A nested model's layers stand in its place, with its name before theirs: `encoder/conv1`; a
    subclassed one is a layer like any other. A layer that is shared has the first of its paths.

    Raises:
        UserError: if two layers have one path.
    """
    found: dict[str, Layer] = {}
    for path, layer in _walk(model, ""):
        if path in found and found[path] is not layer:
            raise UserError(f"{path}: two layers of the model have this name; it must be one")
        if not any(layer is other for other in found.values()):
            found[path] = layer
    return found


def _walk(model: keras.Model, prefix: str) -> Iterator[tuple[str, Layer]]:
    for layer in model.layers:
        path = f"{prefix}{unwrap(layer).name}"
        if is_network(layer):
            yield from _walk(layer, f"{path}/")
        else:
            yield path, layer


def copy_model(model: keras.Model, copy_layer: Callable[[Layer], Layer]) -> keras.Model:
    """Copies a functional or Sequential model layer by layer, its nested models too.

    Args:
        model: the model.
        copy_layer: returns a new layer for a layer; called once for each.

    Raises:
        UserError: if a layer cannot be copied.
    """
    copies: dict[int, Layer] = {}

    def copy(layer: Layer) -> Layer:
        if id(layer) not in copies:
            network = is_network(layer)
            copies[id(layer)] = clone(layer) if network else copied(layer, copy_layer)
        return copies[id(layer)]

    def clone(model: keras.Model) -> keras.Model:
        try:
            return keras.models.clone_model(model, clone_function=copy)
        except UserError:
            raise
        except (NotImplementedError, TypeError, ValueError) as error:
            cause = " ".join(str(error).split())[:200]
            raise UserError(
                f"model {model.name}: cannot be copied ({cause}); weights must be used by the "
                "layer that holds them, not by functions beside it"
            ) from None

    return clone(model)


def copied(layer: Layer, copy_layer: Callable[[Layer], Layer]) -> Layer:
    """Copies a layer.

    Args:
        layer: the layer.
        copy_layer: returns a new layer for a layer.

    Raises:
        UserError: if it cannot be copied.
    """
    try:
        copy = copy_layer(layer)
    except (NotImplementedError, TypeError, ValueError) as error:
        cause = " ".join(str(error).split())[:200]
        raise UserError(
            f"layer {layer.name} ({type(layer).__name__}): cannot be copied ({cause}); its class "
            "must have get_config, and its own functions keras.saving.register_keras_serializable"
        ) from None
    # A configuration may leave the name out.
    unwrap(copy)._name = unwrap(layer).name
    return copy
