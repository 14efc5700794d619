"""Measuring a training as it runs: losses and accuracies at every evaluation and early stopping.

Training always runs to its end; the early-stopping iteration is where the validation loss was
lowest (Section 2), found afterwards. Where masks change in a training, only evaluations from their
last update on count: before it the network is denser than its level, and no denser network's
accuracy may be reported for a level, at marked iterations neither. The weights of the best
iteration so far are kept aside, so that the test set is evaluated there once, and never decides
anything. It is evaluated before the first iteration as well: what mask * theta_0 can do untrained
(a supermask, Zhou et al., 2019, if that is more than chance). Training examples are evaluated at
early stopping and at the end, as they are without augmentation (Figures 4 and 5).
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tf_keras as keras

from lth_tf.errors import UserError
from lth_tf.pruning.kernels import snapshot
from lth_tf.pruning.wrapper import get_masks, set_masks
from lth_tf.training.evaluation import Evaluator
from lth_tf.training.optimizers import schedule_of
from lth_tf.training.rewind import set_weights


@dataclasses.dataclass
class MetricsRow:
    """One evaluation; accuracies are fractions, None where there was none.

    Attributes:
        iteration: iterations trained.
        train_loss: mean loss of the iterations since the row before.
        validation_loss: mean cross-entropy of the validation examples.
        validation_accuracy: their accuracy.
        learning_rate: learning rate of the last iteration; of the first before any.
        density: share of the kernels' weights that remain; None in checkpoints of older versions.
        multiply_adds: what a training step takes for one example at these masks; likewise.
        test_accuracy: the test examples' accuracy.
        train_accuracy: accuracy of a fixed sample of the training examples, without augmentation.
    """

    iteration: int
    train_loss: float | None
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    test_accuracy: float | None = None
    train_accuracy: float | None = None
    density: float | None = None
    multiply_adds: float | None = None


def multiply_adds_of(rows: Sequence[MetricsRow], batch_size: int) -> float | None:
    """Returns the multiply-adds of a training's steps, at the densities at which they ran.

    Args:
        rows: its evaluations; masks change at evaluations only, or hardly in number.
        batch_size: examples per iteration.

    Returns:
        The multiply-adds; None if an older version has trained a part and did not count.
    """
    total = 0.0
    for row, following in itertools.pairwise(rows):
        if row.multiply_adds is None:
            return None
        total += (following.iteration - row.iteration) * row.multiply_adds * batch_size
    return total


class DivergedError(UserError):
    """A loss was not finite."""


class Measure(keras.callbacks.Callback):
    """Evaluates at the end of each chunk, and on the test set where the protocol asks for it.

    Attributes:
        rows: the evaluations so far.
        best: index in `rows` of the lowest validation loss, once there is one that counts.
        best_weights: the weights there, by name.
    """

    def __init__(
        self,
        validation: Evaluator,
        test: Evaluator,
        training: Evaluator,
        first: int,
        ends: list[int],
        marks: tuple[int, ...],
        counts_from: int,
        density: Callable[[], float],
        multiply_adds: Callable[[], float],
        on_row: Callable[[MetricsRow], None],
        rate: str = "--learning_rate",
    ) -> None:
        """Makes the callback.

        Args:
            validation: evaluates the validation examples.
            test: evaluates the test examples.
            training: evaluates the sample of training examples.
            first: the iteration that the training starts from.
            ends: the iterations at which its chunks end; the last is the training's end.
            marks: iterations whose test accuracy is recorded, besides the first and the last.
            counts_from: the iteration from which on the masks are the level's.
            density: returns the density at work.
            multiply_adds: returns what a training step takes for one example at the masks at work.
            on_row: is called with each evaluation.
            rate: the flag of the learning rate, for messages.
        """
        super().__init__()
        self.rows: list[MetricsRow] = []
        self.best = 0
        self.best_weights: dict[str, np.ndarray] = {}
        self._validation = validation
        self._test = test
        self._training = training
        self._first = first
        self._ends = ends
        self._tested = {*(i for i in (first, *marks) if i >= counts_from), ends[-1]}
        self._counts_from = counts_from
        self._density = density
        self._multiply_adds = multiply_adds
        self._on_row = on_row
        self._rate = rate

    def go_on(self, rows: list[MetricsRow], best: int, best_weights: dict[str, np.ndarray]) -> None:
        """Takes over what was measured before the training was interrupted.

        Args:
            rows: the evaluations so far.
            best: index in `rows` of the lowest validation loss.
            best_weights: the weights there, by name.
        """
        self.rows, self.best, self.best_weights = rows, best, best_weights
        for row in rows:
            self._on_row(row)

    def on_train_begin(self, logs: Any = None) -> None:
        """Evaluates the network as it is before training.

        Raises:
            DivergedError: if its loss is not finite.
        """
        if not self.rows:
            self._evaluate(self._first, None)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Evaluates at the end of a chunk.

        Raises:
            DivergedError: if a loss is not finite.
        """
        self._evaluate(self._ends[batch], float(logs["loss"]))

    def on_train_end(self, logs: Any = None) -> None:
        """Evaluates test and training examples at early stopping, the latter at the end too.

        Raises:
            DivergedError: if a weight is not finite.
        """
        row = self.rows[self.best]
        last = snapshot(self.model)
        # The loss can be finite all the same: a ReLU may make 0 of what is not a number.
        if not all(np.isfinite(weight).all() for weight in last.values()):
            raise self._diverged("a weight is not finite", self._ends[-1])
        self.rows[-1].train_accuracy = self._training()[1]
        if row is not self.rows[-1]:
            # Its masks may have been others: what they pruned is zero in its weights.
            masks = get_masks(self.model)
            set_masks(self.model, {})
            set_weights(self.model, self.best_weights)
            row.train_accuracy = self._training()[1]
            if row.test_accuracy is None:
                row.test_accuracy = self._test()[1]
            set_masks(self.model, masks)
            set_weights(self.model, last)

    def _evaluate(self, iteration: int, train_loss: float | None) -> None:
        loss, accuracy = self._validation()
        optimizer = self.model.optimizer
        last = int(optimizer.iterations.numpy()) - (iteration > self._first)
        rate = float(schedule_of(optimizer)(last))
        row = MetricsRow(iteration, train_loss, loss, accuracy, rate)
        row.density, row.multiply_adds = self._density(), self._multiply_adds()
        for name, value in (("training", train_loss), ("validation", loss)):
            if value is not None and not math.isfinite(value):
                raise self._diverged(f"the {name} loss is {value}", iteration)
        if iteration in self._tested:
            row.test_accuracy = self._test()[1]
        self.rows.append(row)
        if self._is_best(row):
            self.best = len(self.rows) - 1
            self.best_weights = snapshot(self.model)
        self._on_row(row)

    def _is_best(self, row: MetricsRow) -> bool:
        if row.iteration < self._counts_from:
            return False
        best = self.rows[self.best]
        first = best is row or best.iteration < self._counts_from
        return first or row.validation_loss < best.validation_loss

    def _diverged(self, what: str, iteration: int) -> DivergedError:
        trained, cause = "", f"too high a learning rate ({self._rate}, --warmup)"
        if iteration == self._first:
            trained = ", before any training"
            cause = "initial weights or inputs that are too large,"
        return DivergedError(
            f"{what} at iteration {iteration}{trained}; the usual cause is {cause} or "
            "--precision=mixed_float16"
        )
