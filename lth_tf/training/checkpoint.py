"""Checkpoints: a training's whole state between two chunks, to go on from there to the bit.

Weights, masks' effect, optimizer, evaluations and the best weights so far are the state; the order
of examples and all other randomness are functions of the iteration and need not be kept.
"""

import dataclasses
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras as keras

from lth_tf import files
from lth_tf.errors import UserError
from lth_tf.pruning.kernels import snapshot
from lth_tf.training.measure import Measure, Row
from lth_tf.training.optimizers import schedule_of
from lth_tf.training.rewind import Rewind, set_weights
from lth_tf.training.team import Team

_log = logging.getLogger(__name__)
_FORMAT = "1"
GROUPS = ("weights", "best", "rewind", "optimizer")

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class State:
    """A training's state at the end of a chunk.

    Attributes:
        iteration: iterations trained.
        seconds: time that they took, over all starts.
        rows: the evaluations so far.
        best: index in `rows` of the lowest validation loss.
        arrays: arrays by group ("weights", "best", "rewind", "optimizer") and name.
    """

    iteration: int
    seconds: float
    rows: list[Row]
    best: int
    arrays: dict[str, Arrays]

    def record(self) -> dict[str, Any]:
        """Returns all but the arrays, as JSON has it."""
        rows = [dataclasses.asdict(row) for row in self.rows]
        named = {name: getattr(self, name) for name in ("iteration", "seconds", "best")}
        return {**named, "rows": rows}

    @classmethod
    def of(cls, record: Mapping[str, Any], arrays: dict[str, Arrays]) -> "State":
        """Returns the state of a record and arrays."""
        rows = [Row(**row) for row in record["rows"]]
        return cls(**{**record, "rows": rows}, arrays=arrays)


@dataclasses.dataclass(frozen=True)
class Saving:
    """Where and when a training's state is kept.

    Attributes:
        path: the checkpoint's file; None in the workers that do not write it.
        every: seconds between two checkpoints.
        should_stop: says whether the training is to keep its state and stop.
        team: the workers that train together, and must keep their state together.
    """

    path: Path | None
    every: float
    should_stop: Callable[[], bool]
    team: Team


class Resume(keras.callbacks.Callback):
    """Puts a state back at the beginning of `fit`, in the place of `Rewind`."""

    def __init__(self, state: State, start: int) -> None:
        """Makes the callback.

        Args:
            state: the state to go on from.
            start: the iteration that the training had started from.
        """
        super().__init__()
        self._state = state
        self._start = start

    def on_train_begin(self, logs: Any = None) -> None:
        """Restores weights, optimizer and schedule."""
        optimizer = self.model.optimizer
        optimizer.build(self.model.trainable_variables)
        schedule_of(optimizer).start.assign(self._start)
        saved = self._state.arrays["optimizer"]
        for index, variable in enumerate(optimizer.variables):
            variable.assign(saved[str(index)])
        set_weights(self.model, self._state.arrays["weights"])


class Checkpoint(keras.callbacks.Callback):
    """Writes the state every few minutes, and when the training is asked to stop."""

    def __init__(
        self,
        saving: Saving,
        ends: list[int],
        measure: Measure,
        rewind: Rewind,
        began: float,
    ) -> None:
        """Makes the callback; it must come behind the others.

        Args:
            saving: where and when to write.
            ends: the iterations at which chunks end.
            measure: has the evaluations.
            rewind: has the weights to rewind to, once the training passed them.
            began: when the training began, on the monotonic clock, had it not been interrupted.
        """
        super().__init__()
        self._saving = saving
        self._ends = ends
        self._measure = measure
        self._rewind = rewind
        self._began = began
        self._last = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Writes the state if it is time.

        Raises:
            KeyboardInterrupt: if the training is asked to stop.
        """
        if self._ends[batch] == self._ends[-1]:
            return
        saving = self._saving
        due = saving.path is not None and time.monotonic() - self._last >= saving.every
        stop, due = saving.team.any(saving.should_stop(), due)
        if stop or due:
            self._keep(self._ends[batch])
            self._last = time.monotonic()
        if stop:
            raise KeyboardInterrupt

    def _keep(self, iteration: int) -> None:
        # On every worker: reading batch normalisation's averages is a sum over all of them.
        variables = self.model.optimizer.variables
        arrays = {
            "weights": snapshot(self.model),
            "best": self._measure.best_weights,
            "rewind": self._rewind.weights or {},
            "optimizer": {str(i): v.numpy() for i, v in enumerate(variables)},
        }
        seconds = time.monotonic() - self._began
        state = State(iteration, seconds, self._measure.rows, self._measure.best, arrays)
        if self._saving.path:
            write_state(self._saving.path, state)


def write_state(path: Path, state: State) -> None:
    """Writes a checkpoint."""
    arrays = flatten(state.arrays)
    text = json.dumps(state.record())
    metadata = {"format": _FORMAT, "state": text, "checksum": _checksum(arrays, text)}
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
        text = metadata.get("state", "")
        if metadata.get("format") != _FORMAT or metadata["checksum"] != _checksum(arrays, text):
            raise UserError(f"{path}: is not what was written (its checksum differs)")
    except UserError as error:
        _log.warning("%s; this training starts anew", error)
        return None
    return State.of(json.loads(text), nest(arrays, GROUPS))


def flatten(groups: Mapping[str, Mapping[str, np.ndarray]]) -> Arrays:
    """Returns arrays of groups in one dict, by `group:name`."""
    return {f"{g}:{n}": array for g, group in groups.items() for n, array in group.items()}


def nest(arrays: Mapping[str, np.ndarray], groups: Iterable[str]) -> dict[str, Arrays]:
    """Returns what `flatten` was given, empty groups among them."""
    nested: dict[str, Arrays] = {group: {} for group in groups}
    for key, array in arrays.items():
        group, name = key.split(":", 1)
        nested[group][name] = array
    return nested


def _checksum(arrays: Mapping[str, np.ndarray], text: str) -> str:
    checksum = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        checksum.update(name.encode())
        checksum.update(np.ascontiguousarray(arrays[name]).tobytes())
    return checksum.hexdigest()
