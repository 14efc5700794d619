"""Checkpoints: Keras callbacks that keep a training's state, and put it back."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras as keras

from lth_tf.arrays import Arrays
from lth_tf.pruning.kernels import snapshot
from lth_tf.pruning.packing import pack
from lth_tf.training.mask_learning import LearnMasks
from lth_tf.training.mask_updates import MaskUpdates
from lth_tf.training.measure import Measure
from lth_tf.training.optimizers import optimizer_arrays, optimizer_state, schedule_of
from lth_tf.training.process_group import ProcessGroup
from lth_tf.training.rewind import make_optimizer_new, set_weights
from lth_tf.training.state import State, write_state


@dataclasses.dataclass(frozen=True)
class Saving:
    """Where and when a training's state is kept.

    Attributes:
        path: the checkpoint's file; None in the workers that do not write it.
        every: seconds between two checkpoints.
        should_stop: says whether the training is to keep its state and stop.
        process_group: the workers that train together, and must keep their state together.
        training: the training's name, by which its state is known.
    """

    path: Path | None
    every: float
    should_stop: Callable[[], bool]
    process_group: ProcessGroup
    training: str = ""


class Resume(keras.callbacks.Callback):
    """Puts weights and optimizer back at the beginning of `fit`, in the place of `Rewind`."""

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        optimizer: Mapping[str, np.ndarray],
        schedule: int,
    ) -> None:
        """Makes the callback.

        Args:
            weights: the weights by name.
            optimizer: the optimizer's variables by index.
            schedule: the iteration that the schedule started from.
        """
        super().__init__()
        self._weights = weights
        self._optimizer = optimizer
        self._schedule = schedule

    def on_train_begin(self, logs: Any = None) -> None:
        """Restores weights, optimizer and schedule."""
        optimizer = self.model.optimizer
        make_optimizer_new(self.model, optimizer.get_config())
        schedule_of(optimizer).start.assign(self._schedule)
        known = len(optimizer.variables)
        for index, variable in enumerate(optimizer_state(optimizer)):
            # Files of earlier versions have no loss scale: it is as new, as it was there.
            if index < known or str(index) in self._optimizer:
                variable.assign(self._optimizer[str(index)])
        set_weights(self.model, self._weights)


class Checkpoint(keras.callbacks.Callback):
    """Writes the state every few minutes, and when the training is asked to stop."""

    def __init__(
        self,
        saving: Saving,
        ends: list[int],
        measure: Measure,
        updates: MaskUpdates | LearnMasks,
        kept: Callable[[], Mapping[str, Arrays]],
        began: float,
    ) -> None:
        """Makes the callback; it must come behind the others.

        Args:
            saving: where and when to write.
            ends: the iterations at which chunks end.
            measure: has the evaluations.
            updates: has the masks, and the scores of masks that are learned.
            kept: returns what was kept so far for later trainings, by name.
            began: when the training began, on the monotonic clock, had it not been interrupted.
        """
        super().__init__()
        self._saving = saving
        self._ends = ends
        self._measure = measure
        self._updates = updates
        self._kept = kept
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
        stop, due = saving.process_group.any(saving.should_stop(), due)
        if stop or due:
            self._keep(self._ends[batch])
            self._last = time.monotonic()
        if stop:
            raise KeyboardInterrupt

    def _keep(self, iteration: int) -> None:
        # On every worker: reading batch normalisation's averages is a sum over all of them.
        arrays = {
            "weights": snapshot(self.model),
            "best": self._measure.best_weights,
            "optimizer": optimizer_arrays(self.model.optimizer),
            "masks": {name: pack(mask) for name, mask in self._updates.masks.items()},
            **self._updates.kept,
            **self._kept(),
        }
        seconds = time.monotonic() - self._began
        state = State(iteration, seconds, self._measure.rows, self._measure.best, arrays)
        if self._saving.path:
            write_state(self._saving.path, state, self._saving.training)
