"""A user's own data: pairs of inputs and targets, NumPy arrays or tf.data, held in memory."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lth_tf.data.split import split
from lth_tf.errors import UserError, users_code

Pair = tuple[Any, Any]


@dataclass(frozen=True)
class UserDataInfo:
    """What a plan must know of a user's data.

    Attributes:
        train_size: Number of training examples, validation examples included.
        test_size: Number of test examples.
        validation_size: Number of validation examples that the user chose, the last of those for
            training; 0 where they are to be drawn at random.
        sha256: Checksum of all arrays.
    """

    train_size: int
    test_size: int
    validation_size: int
    sha256: str

    def split(
        self, validation_size: int, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rows of the training and of the validation examples; see `split`.

        Args:
            validation_size: number of validation examples, where they are to be drawn.
            generator: draws them.

        Raises:
            UserError: if they are to be drawn, and either part would be empty.
        """
        if not self.validation_size:
            return split(self.train_size, validation_size, generator)
        first = self.train_size - self.validation_size
        return np.arange(first), np.arange(first, self.train_size)


@dataclass(frozen=True, eq=False)
class UserData:
    """A user's data in memory.

    Attributes:
        examples: (inputs, targets) for training and, behind them, validation; each an array or a
            structure (dict, tuple, list) of arrays whose first axis is the example.
        test: (inputs, targets) for testing.
        info: their numbers.
    """

    examples: Pair
    test: Pair
    info: UserDataInfo

    @classmethod
    def of(cls, train: Any, validation: Any, test: Any) -> "UserData":
        """Takes over a user's data.

        Args:
            train: (inputs, targets), or a batched tf.data.Dataset of such pairs.
            validation: likewise, or None: drawn at random from `train`.
            test: likewise.

        Raises:
            UserError: if a set is no such pair, its arrays do not have one length, or a data set
                has no end.
        """
        sets = {"train": _pair("train", train), "test": _pair("test", test)}
        examples = sets["train"]
        validated = 0
        if validation is not None:
            sets["validation"] = _pair("validation", validation)
            validated = _size("validation", sets["validation"])
            examples = _joined(sets["train"], sets["validation"])
        info = UserDataInfo(
            _size("train", examples), _size("test", sets["test"]), validated, _checksum(sets)
        )
        return cls(examples, sets["test"], info)

    @classmethod
    def made_by(cls, name: str, function: Callable[[], Any]) -> "UserData":
        """Returns the data of a function that returns (train, validation, test); see `of`.

        Args:
            name: the function's, for messages.
            function: takes no argument.

        Raises:
            UserError: if it returns something else, or the user's code raises.
        """
        # All of it: a data set's functions run when it is read.
        with users_code(f"--dataset={name}"):
            made = function()
            if not isinstance(made, tuple | list) or len(made) != 3:
                raise UserError(f"--dataset={name}: must return (train, validation, test)")
            try:
                return cls.of(*made)
            except UserError as error:
                raise UserError(f"--dataset={name}: {error}") from None


_ACCEPTED = "must be a pair (inputs, targets) of arrays, or a tf.data.Dataset of batches"
_WEIGHTED = (
    "has sample weights as a third element, which would not be used; leave them out, or put them "
    "into the targets and use a loss that takes them from there"
)


def _pair(name: str, found: Any) -> Pair:
    if hasattr(found, "element_spec"):
        pair = _collected(name, _of_dataset(name, found))
    elif _is_sequence(found):
        pair = _collected(name, [found[i] for i in range(len(found))])
    elif not isinstance(found, tuple | list):
        lazy = hasattr(found, "__next__") or callable(found)
        hint = "; collect what the generator gives in arrays" if lazy else ""
        raise UserError(f"{name}: {_ACCEPTED}, not a {type(found).__name__}{hint}")
    else:
        pair = _converted(name, _two(name, found))
    if not _size(name, pair):
        raise UserError(f"{name}: must have examples, but is empty")
    return pair


def _two(name: str, found: Any) -> Pair:
    if len(found) == 3:
        raise UserError(f"{name}: {_WEIGHTED}")
    if len(found) != 2:
        raise UserError(f"{name}: {_ACCEPTED}, found {len(found)} elements")
    return found[0], found[1]


def _is_sequence(found: Any) -> bool:
    """Says whether it is one of Keras's sequences of batches."""
    keras = [base.__name__ for base in type(found).__mro__ if "keras" in base.__module__]
    return any(name in ("Sequence", "PyDataset") for name in keras)


def _of_dataset(name: str, dataset: Any) -> list[Any]:
    import tensorflow as tf

    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise UserError(f"{name}: must be a data set with an end, without repeat()")
    if not isinstance(dataset.element_spec, tuple):
        raise UserError(f"{name}: must be a data set of pairs (inputs, targets), in batches")
    shapes = [spec.shape for spec in tf.nest.flatten(dataset.element_spec)]
    if any(shape.rank == 0 for shape in shapes):
        raise UserError(f"{name}: must be a data set of batches; add .batch(100)")
    return list(dataset.as_numpy_iterator())


def _collected(name: str, batches: list[Any]) -> Pair:
    if not batches:
        raise UserError(f"{name}: must have examples, but is empty")
    pairs = [_converted(name, _two(name, batch)) for batch in batches]
    try:
        return _map(lambda *parts: np.concatenate(parts), *pairs)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name}: its batches must be alike, but {error}") from None


def _joined(first: Pair, second: Pair) -> Pair:
    try:
        return _map(lambda a, b: np.concatenate([a, b]), first, second)
    except (TypeError, ValueError) as error:
        raise UserError(f"validation: must be arrays like those of train, but {error}") from None


def _converted(name: str, pair: Pair) -> Pair:
    return _map(lambda found: _array(name, found), pair)


def _array(name: str, found: Any) -> np.ndarray:
    """Returns an array as training takes it: floats in 32 bits, labels in 64, text as bytes."""
    try:
        array = np.asarray(found)
    except ValueError as error:
        raise UserError(f"{name}: must be arrays of one shape, but {error}") from None
    if array.dtype == np.float64:
        return array.astype(np.float32)
    if array.dtype.kind == "O" and all(isinstance(each, str | bytes) for each in array.flat):
        array = array.astype(np.bytes_ if _are_bytes(array) else np.str_)
    if array.dtype.kind == "U":
        return np.char.encode(array, "utf-8")
    if array.dtype.kind not in "bifuS":
        raise UserError(
            f"{name}: must be arrays of numbers or text, found {array.dtype} {array.shape}"
        )
    return array.astype(np.int64) if array.dtype == np.int32 else array


def _are_bytes(array: np.ndarray) -> bool:
    return all(isinstance(each, bytes) for each in array.flat)


def _size(name: str, pair: Pair) -> int:
    arrays = _leaves(pair)
    if not arrays:
        raise UserError(f"{name}: must have arrays, but has none")
    if any(not array.ndim for array in arrays):
        raise UserError(f"{name}: must be arrays, not lists of numbers; use np.asarray")
    if len({len(array) for array in arrays}) != 1:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise UserError(f"{name}: its arrays must have as many examples each, found {shapes}")
    return len(arrays[0])


def _checksum(sets: dict[str, Pair]) -> str:
    checksum = hashlib.sha256()
    for name, pair in sorted(sets.items()):
        for array in _leaves(pair):
            checksum.update(f"{name} {array.dtype} {array.shape}".encode())
            checksum.update(np.ascontiguousarray(array).data)
    return checksum.hexdigest()


def _map(function: Callable[..., np.ndarray], *structures: Any) -> Any:
    """Applies a function to the arrays of structures, which are built alike."""
    import tensorflow as tf

    return tf.nest.map_structure(function, *structures)


def _leaves(structure: Any) -> list[np.ndarray]:
    import tensorflow as tf

    return tf.nest.flatten(structure)
