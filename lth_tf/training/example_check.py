"""A few examples of each set through model, loss and metrics, before anything trains.

Keras takes much that it should not, and answers with a wrong number: labels beyond the classes,
targets of another shape than the outputs, which broadcast, and values that are no numbers.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.errors import UserError, raised
from lth_tf.training.evaluation import in_float32
from lth_tf.training.objective import build_metrics, judging_metric, objective_of

_SOME = 32
_PROBABILITIES = ("binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy")
_ALL_CLASSES = ("categorical_crossentropy", "categorical_focal_crossentropy", "categorical_hinge")
# What Keras's metrics compare value by value.
_OF_ONE_SHAPE = {
    *("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "huber"),
    *("mean_squared_logarithmic_error", "log_cosh", "cosine_similarity", "kl_divergence"),
    *("poisson", "hinge", "squared_hinge", "categorical_hinge", "binary_accuracy"),
    *("binary_crossentropy", "categorical_crossentropy", "categorical_accuracy"),
    *("RootMeanSquaredError", "MeanRelativeError", "R2Score"),
}


def check_examples(model: keras.Model, sets: Mapping[str, tuple[Any, Any]], judge: str) -> None:
    """Checks that sets of examples fit a model, its loss and its metrics.

    Args:
        model: a user's model, which is compiled anew.
        sets: inputs and targets, arrays or structures of arrays [n, ...], by what messages call
            them.
        judge: the name of the metric that the model is judged by.

    Raises:
        UserError: if one does not; names the set, what was found and what is expected.
    """
    objective_of(model).compile(model, "sgd")
    for name, (inputs, targets) in sets.items():
        rows = _rows(inputs, targets)
        some = tf.nest.map_structure(lambda array, r=rows: tf.constant(array[r]), (inputs, targets))
        outputs = _outputs(name, model, inputs, some[0])
        _check_targets(name, model, outputs, targets)
        _check_measured(name, model, outputs, (inputs, targets), some[1], judge)


def _rows(inputs: Any, targets: Any) -> np.ndarray:
    """Returns the first rows, and some of those that have values that are no finite numbers."""
    count = len(tf.nest.flatten(inputs)[0])
    odd = _odd_rows(inputs) | _odd_rows(targets)
    return np.unique([*range(min(count, _SOME)), *np.flatnonzero(odd)[:_SOME]])


def _odd_rows(arrays: Any) -> np.ndarray:
    arrays = tf.nest.flatten(arrays)
    odd = np.zeros(len(arrays[0]), bool)
    for array in arrays:
        if np.issubdtype(array.dtype, np.floating):
            odd |= ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    return odd


def _outputs(name: str, model: keras.Model, inputs: Any, some: Any) -> Any:
    wanted = ", ".join(
        f"{key} {tensor.dtype.name} {_shape(tensor.shape)}"
        for key, tensor in zip(model.input_names, model.inputs, strict=True)
    )
    found = f"found {_described(inputs)}"
    try:
        arrays = model._flatten_to_reference_inputs(some)
        fitting = len(arrays) == len(model.inputs) and all(
            _fits(tensor.shape, array.shape)
            for tensor, array in zip(model.inputs, arrays, strict=True)
        )
    except (KeyError, ValueError, AttributeError):
        fitting = False
    if not fitting:
        raise UserError(f"{name}: its inputs must be {wanted}, as the model takes them, {found}")
    _check_tokens(name, model, inputs)
    try:
        return in_float32(model(some, training=False))
    except Exception as error:  # any layer's, a user's own among them
        raise raised(
            f"{name}: its inputs must be {wanted}, as the model takes them, {found}; the model "
            f"raised {_cause(error)}",
            error,
        ) from error


def _fits(wanted: tf.TensorShape, found: tf.TensorShape) -> bool:
    """Says whether an input has its shape; Keras adds an axis of 1 at the end, or takes it away."""
    if wanted.rank is None or wanted.is_compatible_with(found):
        return True
    return any(
        longer.rank == shorter.rank + 1
        and longer[-1] == 1
        and longer[:-1].is_compatible_with(shorter)
        for longer, shorter in ((wanted, found), (found, wanted))
    )


def _check_tokens(name: str, model: keras.Model, inputs: Any) -> None:
    """Checks the whole numbers that embeddings look up: some devices take any for one in range."""
    arrays = dict(zip(model.input_names, model._flatten_to_reference_inputs(inputs), strict=True))
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Embedding):
            continue
        source = layer.get_input_at(0)._keras_history.layer.name
        tokens = arrays.get(source)
        if tokens is None or not len(tokens):
            continue
        low, high = np.min(tokens), np.max(tokens)
        if low < 0 or high >= layer.input_dim:
            raise UserError(
                f"{name}: its inputs must be whole numbers from 0 to {layer.input_dim - 1}, as "
                f"layer {layer.name} (Embedding) takes them, found {low} to {high}"
            )


def _check_targets(name: str, model: keras.Model, outputs: Any, targets: Any) -> None:
    container = model.compiled_loss
    if not container.built:
        container.build(outputs)
    names = model.output_names
    several = len(names) > 1
    try:
        conformed = tf.nest.flatten(container._conform_to_outputs(outputs, targets))
    except ValueError:
        conformed = []
    flat = tf.nest.flatten(outputs)
    if len(conformed) != len(flat) or (several and not tf.nest.is_nested(targets)):
        raise UserError(
            f"{name}: its targets must be one array for each output of the model "
            f"({', '.join(names)}), found {_described(targets)}"
        )
    for key, loss, output, target in zip(names, container._losses, flat, conformed, strict=True):
        if loss is not None and target is None:
            raise UserError(f"{name}: must have targets for the output {key}, which has a loss")
        function = getattr(loss, "fn", None)
        if loss is not None and getattr(function, "__module__", "").startswith("tf_keras"):
            where = f"{name}: its targets for {key}" if several else f"{name}: its targets"
            kind = function.__name__
            if kind == "sparse_categorical_crossentropy":
                _check_classes(where, kind, loss, output, target)
            else:
                _check_values(where, kind, output, target)


def _check_classes(where: str, kind: str, loss: Any, output: tf.Tensor, target: np.ndarray) -> None:
    shape, classes = tuple(output.shape[1:-1]), output.shape[-1]
    if target.shape[1:] not in (shape, (*shape, 1)):
        hint = ""
        if target.shape[1:] == output.shape[1:]:
            hint = "; if they are one-hot, use categorical_crossentropy, or targets.argmax(-1)"
        raise UserError(
            f"{where} must be class numbers of shape {_batch(shape)} for {kind}, found "
            f"{_described(target)}{hint}"
        )
    if not target.size or not np.issubdtype(target.dtype, np.number):
        raise UserError(f"{where} must be class numbers for {kind}, found {_described(target)}")
    used = target[target != ignored] if (ignored := _ignored(loss)) is not None else target
    if used.size and np.issubdtype(used.dtype, np.floating) and (used != np.floor(used)).any():
        raise UserError(f"{where} must be whole class numbers for {kind}, found {_first_odd(used)}")
    if used.size and (used.min() < 0 or used.max() >= classes):
        raise UserError(
            f"{where} must be from 0 to {classes - 1}, as the model's output has {classes} "
            f"classes, found {used.min():g} to {used.max():g}"
        )


def _ignored(loss: Any) -> int | None:
    return loss.get_config().get("ignore_class")


def _first_odd(values: np.ndarray) -> str:
    return f"{values[values != np.floor(values)].flat[0]:g}"


def _check_values(where: str, kind: str, output: tf.Tensor, target: np.ndarray) -> None:
    shape = tuple(output.shape[1:])
    same = target.shape[1:] == shape
    ones = {shape, (*shape, 1), shape[:-1] if shape[-1:] == (1,) else shape}
    if not same and (kind in _ALL_CLASSES or target.shape[1:] not in ones):
        hint = ""
        if kind in _ALL_CLASSES and np.issubdtype(target.dtype, np.integer):
            hint = "; if they are class numbers, use sparse_categorical_crossentropy"
        raise UserError(
            f"{where} must have the shape of the model's output, {_batch(shape)}, for {kind}, "
            f"found {_described(target)}{hint}"
        )
    if not (np.issubdtype(target.dtype, np.number) or target.dtype == bool):
        raise UserError(f"{where} must be numbers for {kind}, found {_described(target)}")
    if kind in _PROBABILITIES and target.size:
        finite = target[np.isfinite(target)]
        if finite.size and (finite.min() < 0 or finite.max() > 1):
            raise UserError(
                f"{where} must be from 0 to 1 for {kind}, found {finite.min():g} to "
                f"{finite.max():g}"
            )


def _check_measured(
    name: str,
    model: keras.Model,
    outputs: Any,
    examples: tuple[Any, Any],
    targets: Any,
    judge: str,
) -> None:
    found = f"{_described(examples[1])}, and outputs {_described(outputs)}"
    try:
        loss = float(model.compiled_loss(targets, outputs))
    except Exception as error:  # a user's own, or Keras's about shapes
        raise raised(
            f"{name}: the model's loss must take its targets, {found}; it raised {_cause(error)}",
            error,
        ) from error
    if not np.isfinite(loss):
        for part, arrays in zip(("inputs", "targets"), examples, strict=True):
            if odd := int(_odd_rows(arrays).sum()):
                count = len(tf.nest.flatten(arrays)[0])
                raise UserError(
                    f"{name}: its {part} must be finite numbers; {odd:,} of {count:,} examples "
                    f"have NaN or infinity, which make the loss {loss}"
                )
        raise UserError(
            f"{name}: its loss must be finite, but is {loss} before any training; are inputs and "
            "targets scaled as the model and its loss expect?"
        )
    try:
        if not model.compiled_metrics.built:
            build_metrics(model, tf.nest.map_structure(lambda array: array[:1], targets))
        _check_compared(name, model, outputs, examples[1])
        model.compiled_metrics.update_state(targets, outputs)
        metric = judging_metric(model, judge)
        value = metric.result() if metric is not None else tf.constant(loss)
    except UserError:
        raise
    except Exception as error:
        raise raised(
            f"{name}: the model's metrics must take its targets, {found}; one raised "
            f"{_cause(error)}",
            error,
        ) from error
    if not (tf.is_tensor(value) or isinstance(value, tf.Variable)) or value.shape.rank:
        raise UserError(
            f"metric {judge}: must be one number to judge by, found {_described(value)}; as in "
            "F1Score(average='macro'), or choose another by metric= (--metric)"
        )


def _check_compared(name: str, model: keras.Model, outputs: Any, targets: Any) -> None:
    """Checks that metrics compare targets with outputs of their shape: others would broadcast."""
    container = model.compiled_metrics
    conformed = tf.nest.flatten(container._conform_to_outputs(outputs, targets))
    groups = zip(container._metrics, container._weighted_metrics, strict=True)
    flat = tf.nest.flatten(outputs)
    for output, target, group in zip(flat, conformed, groups, strict=True):
        for metric in tf.nest.flatten(group):
            if metric is None or target is None:
                continue
            function = getattr(metric, "_fn", None)
            of_keras = getattr(function, "__module__", "").startswith("tf_keras")
            kind = getattr(function, "__name__", "") if of_keras else type(metric).__name__
            if kind in _OF_ONE_SHAPE and not _alike(output, target):
                raise UserError(
                    f"{name}: its targets must have the shape of the model's output, "
                    f"{_batch(tuple(output.shape[1:]))}, for the metric {metric.name}, found "
                    f"{_described(target)}"
                )


def _alike(output: tf.Tensor, target: np.ndarray) -> bool:
    """Says whether shapes are the same, but for an axis of 1 at the end, which Keras adds."""
    one, other = (tuple(each.shape[1:]) for each in (output, target))
    return one == other or (*one, 1) == other or one == (*other, 1)


def _described(arrays: Any) -> str:
    """Returns dtypes and shapes of arrays, with their names where they have some."""
    if not tf.nest.is_nested(arrays):
        dtype = "text" if _is_text(arrays) else tf.as_dtype(arrays.dtype).name
        return f"{dtype} {_batch(tuple(arrays.shape)[1:])}"
    return ", ".join(_parts(arrays))


def _parts(arrays: Any) -> Iterator[str]:
    if isinstance(arrays, Mapping):
        yield from (f"{name} {_described(array)}" for name, array in arrays.items())
    else:
        yield from map(_described, arrays)


def _is_text(array: Any) -> bool:
    return tf.as_dtype(array.dtype) == tf.string


def _batch(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['n', *map(str, shape)])})".replace("(n)", "(n,)")


def _shape(shape: tf.TensorShape) -> str:
    return "of any shape" if shape.rank is None else _batch(tuple(shape)[1:])


def _cause(error: Exception) -> str:
    """Returns an error's name and the line of it that says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    frames = ("Exception enc", "in user code", "File")
    text = " ".join(line for line in lines if not line.startswith(frames))
    return f"{type(error).__name__}: {text[:250]}"
