"""Execution: runs an experiment's plan, training by training, leaving each in the store."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from lth_tf.data import ImageData, split
from lth_tf.experiment.network import Network
from lth_tf.experiment.plan import Experiment, Training, make_plan
from lth_tf.experiment.results import Result, metrics_csv
from lth_tf.experiment.store import Store
from lth_tf.experiment.tensorboard import TensorBoardLog
from lth_tf.pruning import masks as pruning
from lth_tf.pruning.scores import score
from lth_tf.streams import Streams
from lth_tf.training.checkpoint import Saving
from lth_tf.training.invariants import check_pruned
from lth_tf.training.measure import DivergedError, Row
from lth_tf.training.order import Order
from lth_tf.training.trainer import Outcome, Trainer

Arrays = dict[str, np.ndarray]


class _Start(NamedTuple):
    """The iteration, weights and masks that a training starts from."""

    iteration: int
    weights: Arrays
    masks: Arrays


class Listener(Protocol):
    """Is told how an experiment gets on."""

    def started(self, training: Training, density: float) -> None:
        """A training starts."""

    def measured(self, training: Training, row: Row) -> None:
        """A training was evaluated."""

    def finished(self, training: Training, result: Result) -> None:
        """A training is complete."""


class Execution:
    """Runs what is missing of an experiment's plan."""

    def __init__(
        self,
        experiment: Experiment,
        network: Network,
        data: ImageData,
        store: Store,
        trainer: Trainer,
        listener: Listener,
        checkpoint_every: float,
        should_stop: Callable[[], bool],
    ) -> None:
        """Takes what a run needs.

        Args:
            experiment: what to run.
            network: the experiment's network.
            data: its data set.
            store: where results go.
            trainer: trains the experiment's recipe on the data set.
            listener: is told of progress.
            checkpoint_every: seconds between checkpoints inside a training.
            should_stop: says whether to stop, at the next evaluation.
        """
        self._experiment = experiment
        self._network = network
        self._data = data
        self._store = store
        self._trainer = trainer
        self._listener = listener
        self._checkpoint_every = checkpoint_every
        self._should_stop = should_stop

    def run(self) -> list[Result]:
        """Runs every training that is not complete; returns all results.

        Raises:
            DivergedError: if a loss is not finite; finished trainings stay.
            KeyboardInterrupt: if it was asked to stop; what was trained so far is kept.
            UserError: if a file of a finished training is damaged.
        """
        for training in make_plan(self._experiment):
            if self._should_stop():
                raise KeyboardInterrupt
            if not self._store.is_done(training):
                self._run(training)
        return self._store.update_results()

    def _run(self, training: Training) -> None:
        self._listener.started(training, self._network.density(training.level))
        folder = self._store.clear(training)
        start = self._start(training)
        with TensorBoardLog(folder, self._experiment, training) as log:
            outcome = self._train(training, start, log)
            result = self._result(training, outcome, start.masks)
            log.finish(outcome, start.masks, result)
        if training.level == 0:
            self._store.write_arrays(training, "initial", start.weights)
        if outcome.rewind_weights is not None:
            self._store.write_arrays(training, "rewind", outcome.rewind_weights)
        self._store.write_arrays(training, "weights", outcome.weights)
        self._store.write_masks(training, start.masks)
        self._store.finish(training, result)
        self._store.update_results()
        self._listener.finished(training, result)

    def _start(self, training: Training) -> _Start:
        recipe = self._experiment.recipe
        if training.parent is None:
            streams = Streams(self._experiment.seed, training.replicate)
            weights = self._network.initial_weights(streams.key("init"))
            ones = {k.name: np.ones(k.shape, bool) for k in self._network.kernels}
            return _Start(0, weights, ones)
        initial = self._store.read_arrays(training.dense, "initial")
        before = self._store.read_masks(training.parent)
        final = self._store.read_arrays(training.parent, "weights")
        rank = score(recipe.score)
        scores = {name: rank(initial[name], final[name]) for name in before}
        masks = pruning.prune(scores, before, self._network.rates, recipe.scope)
        check_pruned(before, masks, self._network.remaining[training.level])
        if recipe.rewind:
            initial = self._store.read_arrays(training.dense, "rewind")
        return _Start(recipe.rewind, initial, masks)

    def _train(self, training: Training, start: _Start, log: TensorBoardLog) -> Outcome:
        recipe, level = self._experiment.recipe, training.level
        streams = Streams(self._experiment.seed, training.replicate)
        rows, validation_rows = split(
            len(self._data.train_labels), recipe.validation_size, streams.generator("split")
        )
        order = Order(
            rows=rows,
            batch_size=recipe.batch_size,
            epoch_generator=lambda epoch: streams.generator("order", level, epoch),
            augment_key=streams.key("augment", level),
            dropout_key=streams.key("dropout", level),
        )
        measured: list[Row] = []

        def on_row(row: Row) -> None:
            measured.append(row)
            log.row(row)
            self._listener.measured(training, row)

        path = self._store.checkpoint(training)
        saving = Saving(path, self._checkpoint_every, self._should_stop)
        try:
            return self._trainer.train(*start, order, validation_rows, on_row, saving)
        except DivergedError as error:
            raise DivergedError(f"{training.path}: {error}") from None
        finally:
            metrics = self._store.path(training) / "metrics.csv"
            metrics.write_text(metrics_csv(measured), encoding="utf-8")

    def _result(self, training: Training, outcome: Outcome, masks: Arrays) -> Result:
        best, last = outcome.early_stop, outcome.rows[-1]
        marks = set(self._experiment.recipe.marks)
        remaining = {name: int(mask.sum()) for name, mask in masks.items()}
        return Result(
            replicate=training.replicate,
            level=training.level,
            arm=training.arm,
            density=self._network.density(training.level),
            remaining=sum(remaining.values()),
            early_stop_iteration=best.iteration,
            validation_loss_at_early_stop=best.validation_loss,
            test_accuracy_at_early_stop=best.test_accuracy,
            test_accuracy_final=last.test_accuracy,
            iterations=last.iteration,
            seconds=round(outcome.seconds, 2),
            test_accuracy_at={
                r.iteration: r.test_accuracy for r in outcome.rows if r.iteration in marks
            },
            layers={name: (count, masks[name].size) for name, count in remaining.items()},
        )
