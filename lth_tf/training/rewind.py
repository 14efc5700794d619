"""Rewinding: a Keras callback that stores the weights of iteration k and puts them back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.pruning.kernels import named_weights, snapshot
from lth_tf.pruning.layer_state import refresh_state
from lth_tf.pruning.wrapper import apply_masks
from lth_tf.training.optimizers import Schedule, optimizer_state, schedule_of


class Rewind(keras.callbacks.Callback):
    """Rewinds a network to the weights that it had at iteration k (Section 2, step 4).

    In the first `fit` it stores the weights, batch normalisation's statistics among them, as they
    are at iteration k. At the start of every later `fit` it puts them back, under the masks of
    that time, with the optimizer as new and an `lth_tf.Schedule` going on from k:

        rewind = Rewind()
        model.fit(images, labels, callbacks=[rewind])
        set_masks(model, prune(...))
        model.fit(images, labels, callbacks=[rewind])  # starts from mask * theta_0

    Attributes:
        iteration: k.
        weights: the stored arrays by name, `layer/weight`; None until iteration k is reached.
    """

    def __init__(
        self,
        iteration: int = 0,
        weights: Mapping[str, np.ndarray] | None = None,
        schedule: int | None = None,
    ) -> None:
        """Makes the callback.

        Args:
            iteration: the iteration k to rewind to; 0 is the initialisation.
            weights: the weights of iteration k by name, where they are known already; the first
                `fit` then starts from them as well.
            schedule: the iteration that the schedule goes on from; k by default.
        """
        super().__init__()
        self._schedule = iteration if schedule is None else schedule
        self.iteration = iteration
        self.weights = None if weights is None else dict(weights)
        self._optimizer: dict[str, Any] | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Puts the stored weights back, or stores the initial ones.

        Raises:
            ValueError: if the weights are another model's, or the schedule cannot go on from k.
        """
        if self._optimizer is None:
            # Callbacks may change the learning rate later on, and with it the configuration.
            self._optimizer = self.model.optimizer.get_config()
        if self.weights is not None:
            self._put_back()
        elif self.iteration == 0:
            self._store()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stores the weights when iteration k is reached.

        Raises:
            ValueError: if the training went past it.
        """
        if self.weights is None:
            reached = int(self.model.optimizer.iterations.numpy())
            if reached == self.iteration:
                self._store()
            elif reached > self.iteration:
                raise ValueError(
                    f"Rewind(iteration={self.iteration}): the training went past it, to {reached}; "
                    "it must begin with a new optimizer and end a step there (steps_per_execution)"
                )

    def on_train_end(self, logs: Any = None) -> None:
        """Zeroes the pruned weights, which the optimizer moves after the last forward pass.

        Raises:
            ValueError: if the training ended before iteration k.
        """
        apply_masks(self.model)
        if self.weights is None:
            reached = int(self.model.optimizer.iterations.numpy())
            raise ValueError(
                f"Rewind(iteration={self.iteration}): the training ended before it, at {reached}; "
                "the first fit must reach it"
            )

    def _store(self) -> None:
        self.weights = snapshot(self.model)

    def _put_back(self) -> None:
        set_weights(self.model, self.weights)
        make_optimizer_new(self.model, self._optimizer)
        schedule = schedule_of(self.model.optimizer)
        if isinstance(schedule, Schedule):
            schedule.start.assign(self._schedule)
        elif self._schedule and isinstance(
            schedule, keras.optimizers.schedules.LearningRateSchedule
        ):
            raise ValueError(
                f"Rewind(iteration={self.iteration}): the optimizer's {type(schedule).__name__} "
                "cannot go on from a later iteration; use lth_tf.Schedule"
            )


def set_weights(model: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Sets a model's weights by name, then zeroes those that its masks prune.

    Args:
        model: the model, wrapped or not.
        weights: arrays by name, one for each of the model's weights.

    Raises:
        ValueError: if a weight is missing or has another shape.
    """
    for name, variable in named_weights(model).items():
        if name not in weights or not variable.shape.is_compatible_with(weights[name].shape):
            found = weights[name].shape if name in weights else "none"
            raise ValueError(f"{name}: must have shape {tuple(variable.shape)}, found {found}")
        variable.assign(weights[name])
    refresh_state(model)
    apply_masks(model)


def make_optimizer_new(model: keras.Model, config: dict[str, Any]) -> None:
    """Resets the optimizer's variables and learning rate to those of a new one.

    Args:
        model: the compiled model.
        config: the configuration of its optimizer when it was new.
    """
    optimizer = model.optimizer
    with model.distribute_strategy.scope():
        new = type(optimizer).from_config(config)
        for each in (new, optimizer):
            each.build(model.trainable_variables)
        pairs = zip(optimizer_state(optimizer), optimizer_state(new), strict=True)
        for variable, initial in pairs:
            variable.assign(initial)
        rate = schedule_of(optimizer)
        if isinstance(rate, tf.Variable):
            rate.assign(schedule_of(new))
