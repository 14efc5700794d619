"""The graph of a model, and which channels of each of its tensors must stay.

A tensor has two vectors over its channels (its last axis): what value a channel has if it is the
same whatever the input (nan if it varies), and whether the channel stays. The first comes from one
pass forward. The second is the smallest set that has all outputs, whatever a channel that stays is
computed from, and in each layer only what its rule allows; it grows until nothing changes.
"""

import collections
import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.pruning.compaction.channels import Channels, Channelwise, Constants, Rule
from lth_tf.pruning.compaction.rules import find_rule

Stays = dict[int, Channels]
Values = dict[int, Constants]


@dataclasses.dataclass(frozen=True)
class Step:
    """One call of a layer.

    Attributes:
        layer: the layer.
        rule: what the layer does to its channels; None if that is not known.
        inputs: the tensors that it reads, by id.
        outputs: those that it writes.
    """

    layer: keras.layers.Layer
    rule: Rule | None
    inputs: list[int]
    outputs: list[int]


def solve(
    model: keras.Model,
) -> Iterator[tuple[Step, list[Channels], Channels, list[Constants]]]:
    """Finds what must stay.

    Yields:
        Each call of a layer whose rule is known, with the channels of its inputs and of its output
        that stay (boolean vectors), and the inputs' constants (nan where a channel varies).
    """
    steps, values = _read(model)
    stays = {tensor: np.zeros(value.shape, bool) for tensor, value in values.items()}
    whole = [tensor for step in steps if not step.rule for tensor in step.inputs + step.outputs]
    for tensor in [*whole, *map(id, model.outputs)]:
        stays[tensor][:] = True
    _grow(steps, stays, values)
    # A layer cannot be empty. A constant needs no input; if none is there, the unit is dead, and
    # may lose its inputs too: nothing that reaches the output reads it.
    linked = [step for step in steps if isinstance(step.rule, Channelwise)]
    for tensor, channels in stays.items():
        if not channels.any():
            channels[np.argmax(~np.isnan(values[tensor]))] = True
            _grow(linked, stays, values)
    for step in steps:
        if step.rule:
            inputs = [stays[tensor] for tensor in step.inputs]
            constants = [values[tensor] for tensor in step.inputs]
            yield step, inputs, stays[step.outputs[0]], constants


def _read(model: keras.Model) -> tuple[list[Step], Values]:
    """Returns the calls of a model's layers, in order, and the tensors' constants."""
    nodes = [node for _, level in sorted(model._nodes_by_depth.items())[::-1] for node in level]
    calls = collections.Counter(node.layer for node in nodes)
    steps, values = [], {}
    for node in nodes:
        inputs, outputs = node.keras_inputs, tf.nest.flatten(node.outputs)
        # A layer that is called twice would have to lose the same units in both places.
        is_plain = calls[node.layer] == 1 and all(v is None for v in node.call_kwargs.values())
        rule = find_rule(node.layer, inputs, outputs) if is_plain else None
        step = Step(node.layer, rule, [id(each) for each in inputs], [id(each) for each in outputs])
        for tensor in outputs:
            width = tensor.shape[-1] if tensor.shape.rank else 1
            values[id(tensor)] = np.full(width or 1, np.nan)
        if rule:
            values[step.outputs[0]] = rule.constants([values[tensor] for tensor in step.inputs])
        steps.append(step)
    return steps, values


def _grow(steps: list[Step], stays: Stays, values: Values) -> None:
    """Adds to what stays what that needs, until nothing changes."""
    before = -1
    while (count := sum(map(np.count_nonzero, stays.values()))) > before:
        before = count
        for step in reversed(steps):
            if step.rule:
                inputs = [stays[tensor] for tensor in step.inputs]
                constants = [values[tensor] for tensor in step.inputs]
                step.rule.grow(inputs, stays[step.outputs[0]], constants)
