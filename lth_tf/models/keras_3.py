"""Keras 3 models: rebuilt in tf_keras, which tfmot needs, and tickets returned in Keras 3.

A layer is made anew from its configuration, as the class of the same name in the other library, and
its weights are copied; an operation such as `x + y` is looked up in a table. What has no
counterpart is refused by its name. Whether both networks answer alike is checked on examples.
"""

import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from lth_tf.errors import UserError, shortened

TOLERANCE = 1e-5  # of the largest output

# Keys of configurations that one library has and the other needs not know: where random
# numbers come from, what a layer is fastest with, and what it has found out when it was built.
_NEEDLESS = {
    *("seed", "implementation", "time_major", "batch_input_shape", "query_shape", "key_shape"),
    *("value_shape", "zero_output_for_mask", "dynamic", "quantization_config", "flash_attention"),
}
_RENAMED = {("LeakyReLU", "negative_slope"): "alpha", ("LeakyReLU", "alpha"): "negative_slope"}


def is_keras_3(model: Any) -> bool:
    """Says whether something is of Keras 3, or of a subclass of what is."""
    return any(base.__module__.split(".")[0] == "keras" for base in type(model).__mro__)


def reset_names() -> None:
    """Has Keras 3 number layers without a name from the start again, if it is in use."""
    import sys

    if "keras" in sys.modules:
        from keras.src.backend.common import global_state

        global_state.set_global_attribute("object_name_uids", None)


def from_keras_3(model: Any, what: str) -> Any:
    """Rebuilds a Keras 3 model in tf_keras, with its weights, loss and metrics.

    Args:
        model: a functional or Sequential model, built.
        what: what made it, for messages.

    Returns:
        The tf_keras model. Its `keras_3` is a function that returns the Keras 3 model with the
        tf_keras model's weights.

    Raises:
        UserError: if it has no counterpart; names the layer.
    """
    import keras as keras_3
    import tf_keras as keras

    if not isinstance(model, keras_3.Model):
        raise UserError(f"{what}: must return a model, not a Keras 3 {type(model).__name__}")
    functional = getattr(model, "_functional", model)
    if not hasattr(functional, "_inputs_struct"):
        raise UserError(
            f"{what}: returns a subclassed Keras 3 model or one without an input shape, whose "
            "layers cannot be rebuilt; build it as a functional or Sequential model with an Input"
        )
    rebuilding = _Rebuilding(keras_3, keras, _tensorflow_operation, what)
    rebuilt = rebuilding.model(model)
    rebuilding.copy_weights()
    if getattr(model, "compiled", False):
        rebuilt.compile(_scaling(model), **_objective(model, what))

    def with_weights() -> Any:
        rebuilding.copy_weights(back=True)
        return model

    rebuilt.keras_3 = with_weights
    return rebuilt


def to_keras_3(model: Any) -> Any:
    """Returns a tf_keras model as a Keras 3 model with the same weights.

    Args:
        model: a plain functional or Sequential model; where it was rebuilt from a Keras 3 model,
            that one is returned.

    Raises:
        UserError: if it has no counterpart, or answers otherwise; names the layer.
    """
    import keras as keras_3
    import tf_keras as keras

    if hasattr(model, "keras_3"):
        return model.keras_3()
    rebuilding = _Rebuilding(keras, keras_3, _keras_3_operation, f"model {model.name}")
    rebuilt = rebuilding.model(model)
    rebuilding.copy_weights()
    compare(model, rebuilt, _some_inputs(model), f"model {model.name}")
    return rebuilt


def compare(model: Any, keras_3_model: Any, inputs: Any, what: str) -> None:
    """Checks that a model and its Keras 3 counterpart answer alike.

    Args:
        model: the tf_keras model.
        keras_3_model: the Keras 3 model.
        inputs: an array or structure of arrays, a few examples.
        what: what made the model, for messages.

    Raises:
        UserError: if they do not; names the first layer whose outputs differ.
    """
    if _difference(model, keras_3_model, inputs) <= TOLERANCE:
        return
    import keras as keras_3
    import tf_keras as keras

    for layer in keras_3_model.layers:
        try:
            pair = (
                keras.Model(model.inputs, model.get_layer(layer.name).output),
                keras_3.Model(keras_3_model.inputs, layer.output),
            )
            differs = not _difference(*pair, _flat(inputs)) <= TOLERANCE
        except (AttributeError, ValueError):  # one that is shared, or an operation
            continue
        if differs:
            raise UserError(
                f"{what}: layer {layer.name} ({type(layer).__name__}) answers otherwise in Keras 3 "
                "than in tf_keras; build the model with tf_keras (import tf_keras as keras)"
            )
    raise UserError(
        f"{what}: answers otherwise in Keras 3 than in tf_keras; build the model with tf_keras "
        "(import tf_keras as keras)"
    )


def _difference(model: Any, keras_3_model: Any, inputs: Any) -> float:
    import keras as keras_3
    import tensorflow as tf

    ours = tf.nest.flatten(model(inputs, training=False))
    theirs = _flat(keras_3_model(inputs, training=False))
    pairs = [
        (np.asarray(one, np.float64), np.asarray(keras_3.ops.convert_to_numpy(other), np.float64))
        for one, other in zip(ours, theirs, strict=True)
    ]
    # NumPy's maximum is not a number if one of them is not.
    return float(np.max([np.abs(a - b).max() / (np.abs(b).max() or 1) for a, b in pairs]))


def _some_inputs(model: Any) -> list[np.ndarray]:
    """Returns two examples for a model: small whole numbers, which any network can look up."""
    found = []
    for each in model.inputs:
        shape = (2, *(length or 8 for length in each.shape[1:]))
        found.append((np.arange(np.prod(shape)) % 2).reshape(shape).astype(each.dtype.name))
    return found if len(found) > 1 else found[0]


def _flat(structure: Any) -> list[Any]:
    import tensorflow as tf

    return tf.nest.flatten(structure)


class _Rebuilding:
    """Rebuilds models of one library in another."""

    def __init__(
        self,
        source: ModuleType,
        target: ModuleType,
        operation: Callable[[Any], Callable[..., Any] | None],
        what: str,
    ) -> None:
        """Begins.

        Args:
            source: the library that models are of.
            target: the library that they are rebuilt in.
            operation: returns the target's function for an operation; None if there is none.
            what: what made the model, for messages.
        """
        self._source, self._target, self._operation, self._what = source, target, operation, what
        self._layers: dict[int, tuple[Any, Any]] = {}

    def model(self, model: Any) -> Any:
        """Rebuilds a functional or Sequential model; its weights are not copied yet."""
        import tensorflow as tf

        made: dict[tuple[int, int], list[Any]] = {}
        for each in model.inputs:
            operation, node, _ = each._keras_history
            dtype = getattr(each.dtype, "name", each.dtype)
            new = self._target.Input(tuple(each.shape[1:]), name=operation.name, dtype=dtype)
            made[id(operation), node] = [new]

        def tensor(value: Any) -> Any:
            if not hasattr(value, "_keras_history"):
                return value
            operation, index, place = value._keras_history
            if (id(operation), index) not in made:
                args, kwargs = self._arguments(operation._inbound_nodes[index])
                args, kwargs = tf.nest.map_structure(tensor, (args, kwargs))
                made[id(operation), index] = tf.nest.flatten(self._call(operation, args, kwargs))
            return made[id(operation), index][place]

        whole = getattr(model, "_functional", model)  # a Sequential's, in Keras 3
        # From the inputs on, not back from the outputs: models are deeper than Python recurses.
        for _, nodes in sorted(whole._nodes_by_depth.items(), reverse=True):
            tf.nest.map_structure(tensor, [node.outputs for node in nodes])
        form = "_{}_struct" if hasattr(whole, "_inputs_struct") else "_nested_{}"
        inputs, outputs = (getattr(whole, form.format(name)) for name in ("inputs", "outputs"))
        return self._target.Model(
            tf.nest.map_structure(tensor, inputs),
            tf.nest.map_structure(tensor, outputs),
            name=model.name,
        )

    def _call(self, old: Any, args: tuple, kwargs: dict) -> Any:
        """Calls the target's counterpart of a layer, a model or an operation."""
        new = self._callable(old)
        try:
            return new(*args, **kwargs)
        except Exception as error:  # whatever a library, or a Lambda's function, raises
            raise self._refusal(old, shortened(" ".join(str(error).split()), 200)) from error

    def copy_weights(self, back: bool = False) -> None:
        """Copies the layers' weights.

        Args:
            back: whether from the target's to the source's.

        Raises:
            UserError: if a layer's do not fit.
        """
        for pair in self._layers.values():
            old, new = reversed(pair) if back else pair
            if isinstance(old, self._source.Model | self._target.Model):
                continue
            weights = old.get_weights()
            if type(old).__name__ == "Normalization" and len(weights) != len(new.weights):
                # tf_keras counts the examples that it was adapted to as well.
                weights = weights[:2] if len(weights) > 2 else [*weights, np.int64(1)]
            found, wanted = ([tuple(np.shape(w)) for w in each] for each in (weights, new.weights))
            if found != wanted:
                first, second = (_library(type(each).__module__) for each in (old, new))
                reason = f"has weights {found} in {first} and {wanted} in {second}"
                raise self._refusal(pair[0], reason)
            new.set_weights(weights)
            if hasattr(new, "finalize_state"):
                new.finalize_state()

    def _arguments(self, node: Any) -> tuple[tuple, dict]:
        """Returns what a node calls its operation with, without masks that Keras passes on."""
        if not hasattr(node, "arguments"):
            return node.call_args, node.call_kwargs
        args, kwargs = node.arguments.args, dict(node.arguments.kwargs)
        mask = kwargs.get("mask")
        if mask is not None and mask is getattr(args[0], "_keras_mask", None):
            del kwargs["mask"]
        return args, kwargs

    def _callable(self, old: Any) -> Any:
        """Returns the target's counterpart of a layer, a model or an operation."""
        if id(old) in self._layers:
            return self._layers[id(old)][1]
        if isinstance(old, self._source.Model):
            new = self.model(old)
        else:
            new = self._operation(old)
            if new is not None:
                return new
            new = self._layer(old)
        self._layers[id(old)] = old, new
        return new

    def _layer(self, old: Any) -> Any:
        name, of = type(old).__name__, type(old).__module__.split(".")[0]
        found = getattr(self._target.layers, name, None)
        known = isinstance(old, self._source.layers.Layer) and of == self._source.__name__
        if not known or found is None:
            raise self._refusal(old, "has no counterpart")
        if name == "Lambda":
            return found(old.function, name=old.name)
        config = self._config(type(old), found, old.get_config(), old)
        if str(config.get("dtype")) == "float32":
            del config["dtype"]  # the target's own default counts
        try:
            # tf_keras's attention asks its configuration for shapes that its constructor needs not.
            return found(**config) if name == "MultiHeadAttention" else found.from_config(config)
        except (TypeError, ValueError) as error:
            raise self._refusal(old, " ".join(str(error).split())[:200]) from None

    def _config(self, old: type, new: type, config: Mapping[str, Any], layer: Any) -> dict:
        """Translates a configuration; what the target does not know must be as by default."""
        known, defaults = _parameters(new), _parameters(old)
        found = {}
        for key, value in config.items():
            name = _RENAMED.get((old.__name__, key), key)
            if name in known:
                found[name] = self._value(value, layer)
            elif key not in _NEEDLESS and _matters(value, defaults.get(key)):
                raise self._refusal(layer, f"has {key}={value}, which has no counterpart")
        if old.__name__ == "BatchNormalization" and not isinstance(found["axis"], int):
            (found["axis"],) = found["axis"]
        return found

    def _value(self, value: Any, layer: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self._value(each, layer) for each in value]
        if not isinstance(value, dict):
            return float(value) if isinstance(value, np.ndarray) and not value.ndim else value
        if value.get("class_name") in ("DTypePolicy", "Policy"):
            return value["config"]["name"]
        module, name = str(value.get("module")), value.get("class_name")
        if not module.startswith("keras.") or not isinstance(value.get("config"), dict):
            return {key: self._value(each, layer) for key, each in value.items()}
        place = module.removeprefix("keras.").split(".")[0]
        old, new = (
            getattr(getattr(library, place, None), name, None)
            for library in (self._source, self._target)
        )
        if old is None or new is None:
            raise self._refusal(layer, f"has a {name}, which has no counterpart")
        config = self._config(old, new, value["config"], layer)
        return {"module": module, "class_name": name, "config": config, "registered_name": None}

    def _refusal(self, old: Any, reason: str) -> UserError:
        return UserError(
            f"{self._what}: layer {old.name} ({type(old).__name__}) cannot be rebuilt in "
            f"{_library(self._target.__name__)}: {reason}"
        )


def _library(module: str) -> str:
    """Returns the library that a module is of, for messages."""
    return "tf_keras" if module.split(".")[0] == "tf_keras" else "Keras 3"


def _matters(value: Any, default: Any) -> bool:
    """Says whether a setting does something, and something else than by default."""
    return value is not None and value is not False and value != default


def _parameters(kind: type) -> dict[str, Any]:
    """Returns what a class's constructor, or those of its bases, take, with defaults."""
    found: dict[str, Any] = {"name": None, "trainable": True, "dtype": None}
    for each in kind.__mro__:
        if "__init__" in vars(each) and each is not object:
            for name, parameter in inspect.signature(each.__init__).parameters.items():
                found.setdefault(name, parameter.default)
    return found


def _scaling(model: Any) -> Any:
    """Returns a stand-in for a Keras 3 model's optimizer, of which only loss scaling counts."""
    import keras as keras_3
    import tf_keras as keras

    if not isinstance(model.optimizer, keras_3.optimizers.LossScaleOptimizer):
        return "sgd"
    config = model.optimizer.get_config()
    scale, steps = (config[name] for name in ("initial_scale", "dynamic_growth_steps"))
    sgd = keras.optimizers.SGD()
    return keras.mixed_precision.LossScaleOptimizer(
        sgd, initial_scale=scale, dynamic_growth_steps=steps
    )


def _objective(model: Any, what: str) -> dict[str, Any]:
    """Returns what a Keras 3 model was compiled with, but for the optimizer, for tf_keras."""
    compiled = model._compile_config.config
    names = ("loss", "metrics", "weighted_metrics", "loss_weights")
    return {name: _judge(compiled.get(name), what) for name in names}


def _judge(value: Any, what: str) -> Any:
    """Returns tf_keras's counterpart of Keras 3's losses and metrics."""
    import keras as keras_3
    import tf_keras as keras

    if isinstance(value, dict):
        return {key: _judge(each, what) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_judge(each, what) for each in value]
    places = {keras_3.losses.Loss: keras.losses, keras_3.metrics.Metric: keras.metrics}
    for base, there in places.items():
        if isinstance(value, base):
            found = getattr(there, type(value).__name__, None)
            if found is None or type(value).__module__.split(".")[0] != "keras":
                break
            return _made_anew(value, found, what)
    else:
        if getattr(value, "__module__", "").split(".")[0] != "keras":
            return value
        for there in (keras.losses, keras.metrics):
            if hasattr(there, value.__name__):
                return getattr(there, value.__name__)
    raise UserError(
        f"{what}: its {getattr(value, 'name', type(value).__name__)} has no counterpart in "
        "tf_keras; compile it with one of Keras's own, or with a function"
    )


def _made_anew(value: Any, new: type, what: str) -> Any:
    """Returns a loss or metric as one of its counterpart's class, from its configuration."""
    known, defaults = _parameters(new), _parameters(type(value))
    # A configuration of Keras 3's leaves some arguments out: Huber's delta, an axis.
    config = {**getattr(value, "_fn_kwargs", {}), **value.get_config()}
    config.pop("dtype", None)
    for key, each in config.items():
        if key not in known and _matters(each, defaults.get(key)):
            raise UserError(
                f"{what}: its {value.name} has {key}={each}, which has no counterpart in tf_keras; "
                "compile it without"
            )
    try:
        return new.from_config({key: each for key, each in config.items() if key in known})
    except (TypeError, ValueError) as error:
        reason = shortened(" ".join(str(error).split()), 200)
        raise UserError(f"{what}: its {value.name} is refused by tf_keras: {reason}") from error


def _tensorflow_operation(operation: Any) -> Callable[..., Any] | None:
    """Returns TensorFlow's function for an operation of Keras 3's that is no layer."""
    import tensorflow as tf

    def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x: function(x, axis=operation.axis, keepdims=operation.keepdims)

    plain = {
        **{"Add": tf.add, "Subtract": tf.subtract, "Multiply": tf.multiply, "Power": tf.pow},
        **{"Divide": tf.truediv, "TrueDivide": tf.truediv, "Negative": tf.negative},
        **{"Matmul": tf.matmul, "Maximum": tf.maximum, "Minimum": tf.minimum, "Exp": tf.exp},
        **{"Square": tf.square, "Sqrt": tf.sqrt, "Log": tf.math.log, "Absolute": tf.abs},
        **{"Tanh": tf.tanh, "Sigmoid": tf.sigmoid, "Relu": tf.nn.relu, "NotEqual": tf.not_equal},
    }
    shaped = {
        "Mean": lambda: reduction(tf.reduce_mean),
        "Sum": lambda: reduction(tf.reduce_sum),
        "Max": lambda: reduction(tf.reduce_max),
        "Min": lambda: reduction(tf.reduce_min),
        "Softmax": lambda: lambda x: tf.nn.softmax(x, axis=operation.axis),
        "Reshape": lambda: (
            lambda x: tf.reshape(
                x, [-1 if length is None else length for length in operation.newshape]
            )
        ),
        "Transpose": lambda: lambda x: tf.transpose(x, operation.axes),
        "Concatenate": lambda: lambda xs: tf.concat(xs, operation.axis),
        "ExpandDims": lambda: lambda x: tf.expand_dims(x, operation.axis),
        "Squeeze": lambda: lambda x: tf.squeeze(x, operation.axis),
        "Cast": lambda: lambda x: tf.cast(x, operation.dtype),
    }
    if hasattr(operation, "get_weights"):
        return None
    name = type(operation).__name__
    if name in plain:
        return lambda *values: plain[name](*_of_one_kind(values))
    return shaped[name]() if name in shaped else None


def _of_one_kind(values: tuple) -> list[Any]:
    """Returns an operation's arguments, whole numbers beside floating ones as such: `1 - x`."""
    dtypes = [value.dtype for value in values if hasattr(value, "dtype")]
    floating = any(dtype.is_floating for dtype in dtypes)
    return [float(v) if floating and isinstance(v, int) else v for v in values]


def _keras_3_operation(layer: Any) -> Callable[..., Any] | None:
    """Returns Keras 3's function for a TensorFlow function in a tf_keras model."""
    from keras import ops

    binary = {
        **{"__operators__.add": ops.add, "math.add": ops.add, "math.subtract": ops.subtract},
        **{"math.multiply": ops.multiply, "math.truediv": ops.true_divide, "math.pow": ops.power},
        **{"math.negative": ops.negative, "linalg.matmul": ops.matmul, "math.square": ops.square},
        **{"math.maximum": ops.maximum, "math.minimum": ops.minimum, "math.exp": ops.exp},
        **{"math.sqrt": ops.sqrt, "math.log": ops.log, "math.abs": ops.absolute},
        **{"nn.relu": ops.relu, "math.tanh": ops.tanh, "math.sigmoid": ops.sigmoid},
    }
    others = {
        **{"math.reduce_mean": ops.mean, "math.reduce_sum": ops.sum, "nn.softmax": ops.softmax},
        **{"math.reduce_max": ops.max, "math.reduce_min": ops.min, "reshape": ops.reshape},
        **{"transpose": ops.transpose, "concat": ops.concatenate, "expand_dims": ops.expand_dims},
        **{"cast": ops.cast, "squeeze": ops.squeeze},
    }
    symbol = getattr(layer, "symbol", None)
    if symbol in binary:
        return lambda *args, name=None, **kwargs: binary[symbol](*args, *kwargs.values())
    if symbol in others:
        return lambda *args, name=None, **kwargs: others[symbol](*args, **kwargs)
    return None
