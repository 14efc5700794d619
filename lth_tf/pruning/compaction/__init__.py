"""Structured compaction: the units that a mask has cut off go, and a smaller dense network stays.

Units go for two reasons. A dead one has no path to the output. A constant one has no path from the
input: what it adds to the next layer is added to that layer's bias. `channels` and `rules` say
what each class of layer does to its channels, `graph` finds what must stay, and here the network
is made anew.
"""

import dataclasses

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.errors import UserError
from lth_tf.pruning.compaction import graph
from lth_tf.pruning.kernels import kernels
from lth_tf.pruning.sample_inputs import sample_inputs
from lth_tf.pruning.walk import copied
from lth_tf.pruning.wrapper import masked_kernels

# How far outputs may differ, as a share of their scale. Sums of another order differ by rounding,
# in float32 by less than 1e-6 through twenty layers; a unit that was wrongly removed shows far
# above this. In half precision a folded constant is no longer rounded as the unit's value was.
TOLERANCE = 1e-4
HALF_TOLERANCE = 5e-2
_TRIED = 8  # examples


@dataclasses.dataclass(frozen=True)
class LayerSize:
    """A layer's size before and after compaction.

    Attributes:
        name: the layer's name.
        units_before: its units or filters.
        units_after: those that are left.
        weights_before: its kernel's weights, pruned ones included.
        weights_after: those that are left.
    """

    name: str
    units_before: int
    units_after: int
    weights_before: int
    weights_after: int


def compact(model: keras.Model) -> keras.Model:
    """Removes the units of a pruned network that change no output.

    Layers of a class that `rules.RULES` does not have are left whole, with all channels that they
    read or write. No layer loses all of its units. A layer without bias gets one where a constant
    other than zero is folded into it.

    Args:
        model: a plain functional or Sequential model, built; pruned weights are exactly zero.

    Returns:
        A new model, not compiled, with the same inputs, the same outputs but for rounding, and the
        same names of layers. Both were run on random inputs to check that.

    Raises:
        UserError: if the model is not plain, or the check fails.
    """
    _require_plain(model)
    changes = {
        step.layer.name: step.rule.shrink(inputs, output, constants)
        for step, inputs, output, constants in graph.solve(model)
    }

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        config, _ = changes.get(layer.name, ({}, None))
        return copied(layer, lambda old: type(old).from_config({**old.get_config(), **config}))

    smaller = keras.models.clone_model(model, clone_function=clone)
    for layer, copy in zip(model.layers, smaller.layers, strict=True):
        copy.set_weights(changes[layer.name][1] if layer.name in changes else layer.get_weights())
    _check(model, smaller)
    return smaller


def compare(model: keras.Model, smaller: keras.Model) -> list[LayerSize]:
    """Tells what `compact` removed, for each layer with a kernel, in the model's order.

    Args:
        model: the model before.
        smaller: what `compact` made of it.
    """
    return [
        LayerSize(
            name=before.name.removesuffix("/kernel"),
            units_before=before.shape[before.axes[0]],
            units_after=after.shape[after.axes[0]],
            weights_before=before.size,
            weights_after=after.size,
        )
        for before, after in zip(kernels(model), kernels(smaller), strict=True)
    ]


def largest_difference(
    model: keras.Model, smaller: keras.Model, images: np.ndarray | list[np.ndarray]
) -> float:
    """Returns the largest difference of two models' outputs, as a share of their largest value.

    Args:
        model: a model.
        smaller: another, with inputs and outputs of the same shapes.
        images: a batch for each of the inputs.
    """
    before, after = (
        [np.asarray(each, np.float64) for each in tf.nest.flatten(network(images, training=False))]
        for network in (model, smaller)
    )
    differences = [
        np.abs(old - new).max() / (np.abs(old).max() or 1)
        for old, new in zip(before, after, strict=True)
    ]
    return float(np.max(differences))


def _require_plain(model: keras.Model) -> None:
    if not getattr(model, "_is_graph_network", False):
        raise UserError(f"{model.name}: must be a functional or Sequential model, built")
    wrapped = ", ".join(masked_kernels(model))
    if wrapped:
        raise UserError(
            f"{model.name}: must be plain, but {wrapped} has a mask; call lth_tf.strip first"
        )


def _check(model: keras.Model, smaller: keras.Model) -> None:
    try:
        inputs = sample_inputs(model, model.inputs, _TRIED)
    except UserError as error:
        raise UserError(f"{model.name}: cannot be made smaller: {error}") from None
    difference = largest_difference(model, smaller, inputs if len(inputs) > 1 else inputs[0])
    is_half = any(layer.compute_dtype in ("bfloat16", "float16") for layer in model.layers)
    tolerance = HALF_TOLERANCE if is_half else TOLERANCE
    if not difference <= tolerance:
        raise UserError(
            f"{model.name}: cannot be made smaller: the outputs would differ by {difference:.1e} "
            f"of their scale, and must by at most {tolerance:g}"
        )
