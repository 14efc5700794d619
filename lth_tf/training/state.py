"""State: all that a training is between two chunks, as a file to go on from to the bit.

Weights, masks, optimizer, evaluations and the best weights so far are the state; the order
of examples and all other randomness are functions of the iteration and need not be kept.
"""

import dataclasses
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from lth_tf import files, reading
from lth_tf.arrays import Arrays, checksum, flatten, nest
from lth_tf.errors import UserError
from lth_tf.reading import Count
from lth_tf.training.initial_state import InitialState
from lth_tf.training.measure import MetricsRow

_log = logging.getLogger(__name__)
_FORMAT = "3"
# Format 1 has no masks, which did not change, and no loss scale; 1 and 2 do not say whose they are.
_READ = ("1", "2", _FORMAT)
# What is kept at an iteration or drawn on the way, and a group of arrays each in checkpoints.
KEPT = ("rewind", "search", "early_bird")
ARRAY_GROUPS = ("weights", "best", "optimizer", "masks", "scores", *KEPT)


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    """What a checkpoint says besides its arrays; see `State`."""

    iteration: Count
    seconds: Annotated[float, msgspec.Meta(ge=0)]
    best: Count
    rows: Annotated[list[MetricsRow], msgspec.Meta(min_length=1)]


class _Texts(msgspec.Struct):
    """The metadata of a checkpoint."""

    state: str
    checksum: str
    training: str = ""


@dataclasses.dataclass(frozen=True)
class State:
    """A training's state at the end of a chunk.

    Attributes:
        iteration: iterations trained.
        seconds: time that they took, over all starts.
        rows: the evaluations so far.
        best: index in `rows` of the lowest validation loss.
        arrays: arrays by group, one of `ARRAY_GROUPS`, and name; masks are packed.
    """

    iteration: int
    seconds: float
    rows: list[MetricsRow]
    best: int
    arrays: dict[str, Arrays]

    def record(self) -> dict[str, Any]:
        """Returns all but the arrays, as JSON has it."""
        rows = [dataclasses.asdict(row) for row in self.rows]
        named = {name: getattr(self, name) for name in ("iteration", "seconds", "best")}
        return {**named, "rows": rows}

    @classmethod
    def of(cls, record: Mapping[str, Any], arrays: dict[str, Arrays]) -> "State":
        """Returns the state of a record and arrays.

        Args:
            record: what `record` returned.
            arrays: arrays by group and name.
        """
        rows = [MetricsRow(**row) for row in record["rows"]]
        return cls(**{**record, "rows": rows}, arrays=arrays)


def write_state(path: Path, state: State, training: str = "") -> None:
    """Writes a checkpoint.

    Args:
        path: the file.
        state: what it holds.
        training: the name of the training that it is of.
    """
    arrays = flatten(state.arrays)
    text = json.dumps(state.record())
    whole = checksum(arrays, text + training)
    metadata = {"format": _FORMAT, "state": text, "training": training, "checksum": whole}
    files.write_arrays(path, arrays, metadata)


def read_state(
    path: Path, training: str = "", initial: InitialState | None = None, iterations: int = 10**9
) -> State | None:
    """Reads a checkpoint.

    Args:
        path: the file.
        training: the name of the training that it must be of.
        initial: what that training starts from, whose weights have the names and shapes that the
            state's must have.
        iterations: the training's length.

    Returns:
        The state, or None if there is no file or (logged) it is damaged or another training's: the
        training then starts anew.
    """
    if not os.path.lexists(path):
        return None
    try:
        state = _read(path, training)
        if state.iteration >= iterations:
            raise UserError(f"{path}: must be of an iteration before {iterations:,}")
        if state.best >= len(state.rows):
            raise UserError(
                f"{path}: best must be below its {len(state.rows)} evaluations, found {state.best}"
            )
        if initial:
            _check_fits(path, state.arrays, initial)
    except UserError as error:
        _log.warning("%s; this training starts anew", error)
        return None
    return state


def _read(path: Path, training: str) -> State:
    arrays, metadata = reading.read_arrays(path)
    found = metadata.get("format")
    if found not in _READ:
        raise UserError(f"{path}: must be of format {_FORMAT} or older, found {found}")
    texts = reading.conform(path, metadata, _Texts, "metadata")
    if texts.checksum != checksum(arrays, texts.state + texts.training):
        raise UserError(f"{path}: is not what was written (its checksum differs)")
    if found == _FORMAT and texts.training != training:
        raise UserError(f"{path}: must be of {training}, found one of {texts.training}")
    record = reading.parsed_json(path, texts.state)
    reading.conform(path, record, _Record, "state")
    if odd := [name for name in arrays if name.partition(":")[0] not in ARRAY_GROUPS]:
        raise UserError(f"{path}: {odd[0]} must not be there")
    reading.require_finite(path, arrays)
    return State.of(record, nest(arrays, ARRAY_GROUPS))


def _check_fits(path: Path, arrays: dict[str, Arrays], initial: InitialState) -> None:
    """Checks that a state's arrays have the names and shapes of what its training starts from."""
    wanted = {name: np.shape(weight) for name, weight in initial.weights.items()}
    packed = {name: (-(-mask.size // 8),) for name, mask in initial.masks.items()}
    for group, shapes in (("weights", wanted), ("best", wanted), ("masks", packed)):
        found = {name: array.shape for name, array in arrays[group].items()}
        if found != shapes and (found or group != "masks"):
            odd = sorted(
                name for name in {**found, **shapes} if found.get(name) != shapes.get(name)
            )
            raise UserError(
                f"{path}: {group}:{odd[0]} must have shape {shapes.get(odd[0])}, found "
                f"{found.get(odd[0])}"
            )
