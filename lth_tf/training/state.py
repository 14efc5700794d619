"""State: all that a training is between two chunks, as a file to go on from to the bit.

Weights, masks, optimizer, evaluations and the best weights so far are the state; the order
of examples and all other randomness are functions of the iteration and need not be kept.
"""

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lth_tf import files
from lth_tf.arrays import Arrays, checksum, flatten, nest
from lth_tf.errors import UserError
from lth_tf.training.measure import MetricsRow

_log = logging.getLogger(__name__)
_FORMAT = "2"
_READ = ("1", _FORMAT)  # format 1 has no masks, which did not change, and no loss scale
# What is kept at an iteration or drawn on the way, and a group of arrays each in checkpoints.
KEPT = ("rewind", "search", "early_bird")
ARRAY_GROUPS = ("weights", "best", "optimizer", "masks", *KEPT)


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


def write_state(path: Path, state: State) -> None:
    """Writes a checkpoint.

    Args:
        path: the file.
        state: what it holds.
    """
    arrays = flatten(state.arrays)
    text = json.dumps(state.record())
    metadata = {"format": _FORMAT, "state": text, "checksum": checksum(arrays, text)}
    files.write_arrays(path, arrays, metadata)


def read_state(path: Path) -> State | None:
    """Reads a checkpoint.

    Args:
        path: the file.

    Returns:
        The state, or None if there is no file or (logged) it is damaged: the training then starts
        anew.
    """
    if not path.exists():
        return None
    try:
        arrays, metadata = files.read_arrays(path)
        found = metadata.get("format")
        if found not in _READ:
            raise UserError(f"{path}: must be of format {_FORMAT} or older, found {found}")
        text = metadata["state"]
        if metadata["checksum"] != checksum(arrays, text):
            raise UserError(f"{path}: is not what was written (its checksum differs)")
    except UserError as error:
        _log.warning("%s; this training starts anew", error)
        return None
    return State.of(json.loads(text), nest(arrays, ARRAY_GROUPS))
