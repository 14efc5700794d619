"""The fingerprint of a user's network: another network in the same folder is not the same run.

It is of the configuration of every layer, the source of every class and function of the user's own
that the model, its loss and its metrics are made of, and what no seed changes: adapted states,
vocabularies, pretrained weights. What a function calls in turn is not seen.
"""

import ast
import hashlib
import inspect
import json
import textwrap
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tf_keras as keras

_LIBRARIES = ("tf_keras", "keras", "tensorflow", "tensorflow_model_optimization", "builtins")


def fingerprint(
    model: "keras.Model", constant: Mapping[str, np.ndarray], others: Iterable[Any] = ()
) -> str:
    """Returns a checksum that differs where networks differ.

    Args:
        model: the model.
        constant: the initial weights that no seed changes, by name.
        others: losses and metrics.

    Returns:
        Hex digits.
    """
    layers = list(model._flatten_layers())
    checksum = hashlib.sha256()
    for part in (_config(model), *_sources([*layers, *others]), *_vocabularies(layers)):
        checksum.update(part.encode())
    for name, array in sorted(constant.items()):
        checksum.update(f"{name} {array.dtype} {array.shape}".encode())
        checksum.update(np.ascontiguousarray(array).tobytes())
    return checksum.hexdigest()[:16]


def _config(model: "keras.Model") -> str:
    try:
        config = model.get_config()
    except (NotImplementedError, TypeError, ValueError):  # its copy will say which layer
        config = {}
    return json.dumps(_plain(config), sort_keys=True, default=_named)


def _plain(value: Any) -> Any:
    """Leaves out the code of functions, which says in what line of what file they stand."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__lambda__" or value.get("function_type") == "lambda":
            return "lambda"
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _named(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return getattr(value, "__qualname__", type(value).__qualname__)


def _sources(objects: Iterable[Any]) -> Iterator[str]:
    """Yields the sources of the user's own classes and functions, each once."""
    found: dict[int, Any] = {}
    for each in objects:
        classes = () if inspect.isfunction(each) else type(each).__mro__
        values = [] if inspect.isfunction(each) else list(getattr(each, "__dict__", {}).values())
        functions = [value for value in (each, *values) if inspect.isfunction(value)]
        found |= {id(one): one for one in (*classes, *functions) if _is_users(one)}
    yield from map(_source, found.values())


def _is_users(value: Any) -> bool:
    return value.__module__.split(".")[0] not in (*_LIBRARIES, __name__.split(".")[0])


def _source(value: Any) -> str:
    try:
        text = textwrap.dedent(inspect.getsource(value))
    except (OSError, TypeError):  # made by exec, as in some consoles
        members = [value, *vars(value).values()] if inspect.isclass(value) else [value]
        codes = [member.__code__ for member in members if inspect.isfunction(member)]
        return value.__qualname__ + "".join(map(_of_code, codes))
    try:
        return ast.unparse(ast.parse(text))  # without comments
    except SyntaxError:  # a lambda in the middle of something
        return " ".join(text.split())


def _of_code(code: types.CodeType) -> str:
    """Returns what a function does, those inside of it too, but not in what file it stands."""

    def text(value: Any) -> str:
        if inspect.iscode(value):
            return _of_code(value)
        # A set's order is another one in each process.
        return repr(sorted(map(repr, value)) if isinstance(value, frozenset) else value)

    return " ".join([code.co_code.hex(), *code.co_names, *map(text, code.co_consts)])


def _vocabularies(layers: Iterable[Any]) -> Iterator[str]:
    for layer in layers:
        if hasattr(layer, "get_vocabulary"):
            yield f"{layer.name} {[str(token) for token in layer.get_vocabulary()]}"
