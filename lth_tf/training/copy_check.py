"""The copy that is trained against the model that was handed in, on real examples.

Training runs a copy whose kernels are masked and whose randomness is a function of the iteration.
Before anything trains, both get the same examples, as in training and after it: their outputs,
losses and metrics must be the same, or what is reported is not of the user's model.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.arrays import Arrays
from lth_tf.errors import UserError
from lth_tf.pruning.kernels import snapshot
from lth_tf.pruning.walk import unwrap
from lth_tf.training.chunked import chunked_copy
from lth_tf.training.evaluation import in_float32
from lth_tf.training.objective import build_metrics, objective_of
from lth_tf.training.random_layers import StatelessDropout, random_layers
from lth_tf.training.rewind import set_weights

_RANDOM = ("Random", "Rng", "StatefulUniform", "StatefulStandard", "Multinomial", "TruncatedNormal")


class _Measured(NamedTuple):
    outputs: list[np.ndarray]
    losses: list[np.ndarray]
    loss: np.ndarray
    metrics: list[np.ndarray]


def check_copy(model: keras.Model, inputs: Any, targets: Any) -> list[str]:
    """Compares a model with the copy of it that is trained.

    Args:
        model: a user's model, compiled; its weights are as they were afterwards.
        inputs: some examples, an array or structure of arrays [n, ...].
        targets: likewise.

    Returns:
        What cannot be repeated, a sentence for each layer whose randomness is its own.

    Raises:
        UserError: if they differ; names the first layer whose outputs do.
    """
    objective = objective_of(model)
    copy = chunked_copy(model, replicas=1)
    for each in (model, copy):
        objective.compile(each, "sgd")
    weights = snapshot(model)
    set_weights(copy, weights)
    drawing = _drawing(copy, inputs)
    for training in (False, True):
        if training and drawing:
            break
        with _same_randomness(model, copy):
            found = [_measured(each, inputs, targets, training) for each in (model, copy)]
        _compare(model, copy, inputs, training, *found)
        for each in (model, copy):  # batch normalisation has moved
            set_weights(each, weights)
    if not drawing:
        _check_apart(model, copy, inputs, weights)
    return drawing


def _check_apart(model: keras.Model, copy: keras.Model, inputs: Any, weights: Arrays) -> None:
    """Checks that a copy uses its own weights throughout: with others, it is the model with these.

    A function that has found weights outside of its arguments has them still in the copy, or what
    they were, as tied embeddings do by `tf.matmul(x, embedding.embeddings, transpose_b=True)`.
    """
    generator = np.random.default_rng(0)
    moved = {
        name: (weight * generator.uniform(1, 1.2, weight.shape) + 1e-3).astype(weight.dtype)
        if weight.dtype.kind == "f"
        else weight
        for name, weight in weights.items()
    }

    def answers(network: keras.Model, layer: keras.layers.Layer | None) -> list[np.ndarray]:
        set_weights(network, moved)
        try:
            outputs = (
                _output_of(network, layer, inputs, False)
                if layer
                else [*tf.nest.flatten(network(inputs, training=False)), *network.losses]
            )
            return [np.asarray(output) for output in outputs]
        finally:
            set_weights(network, weights)

    def differs(layer: keras.layers.Layer | None, copied: keras.layers.Layer | None) -> bool:
        pairs = zip(answers(model, layer), answers(copy, copied), strict=True)
        return not all(_close(model, *pair) for pair in pairs)

    if differs(None, None):
        layers = zip(_layers(model), _layers(copy), strict=False)
        layer = next((one for one, other in layers if differs(one, other)), None)
        where = f"layer {layer.name} ({type(layer).__name__})" if layer else f"model {model.name}"
        raise UserError(
            f"{where}: uses another layer's weights, and would go on with those of before the "
            "training, as a copy is trained; use them in a layer of your own that holds both"
        )


def _measured(model: keras.Model, inputs: Any, targets: Any, training: bool) -> _Measured:
    outputs = in_float32(model(inputs, training=training))
    losses = [tf.cast(loss, tf.float32).numpy() for loss in model.losses]
    loss = model.compute_loss(inputs, targets, outputs)
    first = tf.nest.map_structure(lambda array: array[:1], targets)
    if not model.compiled_metrics.built:
        build_metrics(model, first)
    model.compiled_metrics.reset_state()
    model.compiled_metrics.update_state(targets, outputs)
    metrics = [np.asarray(metric.result()) for metric in model.compiled_metrics.metrics]
    arrays = [output.numpy() for output in tf.nest.flatten(outputs)]
    return _Measured(arrays, losses, loss.numpy(), metrics)


def _compare(
    model: keras.Model,
    copy: keras.Model,
    inputs: Any,
    training: bool,
    first: _Measured,
    second: _Measured,
) -> None:
    when = "in training" if training else "after training"
    outputs = model.output_names
    for name, one, other in zip(outputs, first.outputs, second.outputs, strict=False):
        if not _close(model, one, other):
            raise UserError(
                f"layer {_culprit(model, copy, inputs, training) or name}: gives other outputs "
                f"{when} in the copy of the model that is trained; its get_config must have all "
                "that its outputs depend on, and no weight or state may be set behind Keras's back"
            )
    same_losses = len(first.losses) == len(second.losses) and all(
        _close(model, one, other) for one, other in zip(first.losses, second.losses, strict=True)
    )
    if not same_losses or not _close(model, first.loss, second.loss):
        raise UserError(
            f"model {model.name}: has the loss {first.loss:.6g} {when}, and the copy of it that is "
            f"trained {second.loss:.6g}; add losses inside of layers, by self.add_loss in call"
        )
    for metric, one, other in zip(
        model.compiled_metrics.metrics, first.metrics, second.metrics, strict=True
    ):
        if not _close(model, one, other):
            raise UserError(
                f"metric {metric.name}: is {one} of the model {when}, and {other} of the copy of "
                "it that is trained; its get_config must have all that it depends on"
            )


def _close(model: keras.Model, one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape:
        return False
    half = any(layer.compute_dtype != "float32" for layer in model.layers)
    scale = np.abs(one[np.isfinite(one)]).max(initial=1e-6)
    return np.allclose(one, other, rtol=0, atol=(2e-2 if half else 1e-4) * scale, equal_nan=True)


def _culprit(model: keras.Model, copy: keras.Model, inputs: Any, training: bool) -> str:
    """Returns the first layer whose outputs differ, with its class."""
    for layer, copied in zip(_layers(model), _layers(copy), strict=False):
        with _same_randomness(model, copy):
            found = [
                _output_of(each, inside, inputs, training)
                for each, inside in ((model, layer), (copy, copied))
            ]
        if not all(
            _close(model, np.asarray(a), np.asarray(b)) for a, b in zip(*found, strict=True)
        ):
            return f"{layer.name} ({type(unwrap(layer)).__name__})"
    return ""


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]


def _output_of(model: keras.Model, layer: keras.layers.Layer, inputs: Any, training: bool) -> list:
    """Returns what a layer gives where the model calls it first, or last if it is a model."""
    node = len(layer.inbound_nodes) - 1 if isinstance(layer, keras.Model) else 0
    inner = keras.Model(model.inputs, layer.get_output_at(node))
    outputs = inner(model._flatten_to_reference_inputs(inputs), training=training)
    return tf.nest.flatten(outputs)


@contextlib.contextmanager
def _same_randomness(model: keras.Model, copy: keras.Model) -> Iterator[None]:
    """Gives a model's random layers the draws of its copy's, whose dropout does nothing here."""
    with contextlib.ExitStack() as restored:
        for place, (layer, copied) in enumerate(
            zip(random_layers(model), random_layers(copy), strict=True)
        ):
            if isinstance(copied, StatelessDropout):
                restored.callback(setattr, layer, "rate", layer.rate)
                layer.rate = 0.0
                continue
            for each in (layer, copied):
                before = each._random_generator
                generator = type(before)(seed=0, rng_type="stateful")
                generator._maybe_init()
                generator._generator.reset_from_key_counter(place, [0, 0])
                restored.callback(setattr, each, "_random_generator", before)
                each._random_generator = generator
        yield


def _drawing(copy: keras.Model, inputs: Any) -> list[str]:
    """Returns a sentence for each layer that draws random numbers that no stream gives it."""
    graph = tf.function(lambda: copy(inputs, training=True)).get_concrete_function().graph
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    names = [node.name for node in nodes if node.op.startswith(_RANDOM)]
    layers = {layer.name: layer for layer in copy._flatten_layers() if layer is not copy}
    repeatable = {layer.name for layer in random_layers(copy)}
    found = {}
    for name in names:
        inside = [part for part in name.split("/") if part in layers]
        if not repeatable.intersection(inside):
            found[inside[-1] if inside else ""] = None
    return [
        f"layer {name} ({type(layers[name]).__name__}) draws random numbers of its own: a training "
        "that is continued or repeated gets others; draw them from self._random_generator of "
        "Keras's BaseRandomLayer, or have a Dropout or GaussianNoise layer draw them"
        if name
        else "a layer draws random numbers of its own: a training that is continued or repeated "
        "gets others"
        for name in found
    ]
