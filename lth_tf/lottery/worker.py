"""Worker: runs single trainings of an experiment, from the store and into it."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import numpy as np

from lth_tf import files
from lth_tf.arms import Draw
from lth_tf.data import UserData, load
from lth_tf.lottery.masking import make_mask_schedule
from lth_tf.lottery.network import Network
from lth_tf.lottery.next_level import arm_of, draw_of, train_levels
from lth_tf.lottery.search import keep_for, search_iterations, search_multiply_adds
from lth_tf.lottery.sharing import share
from lth_tf.lottery.tensorboard import TensorBoardLog
from lth_tf.recipe import Recipe
from lth_tf.runs.experiment import Training
from lth_tf.runs.results import Result, metrics_csv
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store
from lth_tf.streams import Streams
from lth_tf.training.checkpoint import Saving
from lth_tf.training.distribution import count_gpus, make_strategy
from lth_tf.training.initial_state import InitialState
from lth_tf.training.invariants import check_count
from lth_tf.training.measure import DivergedError, MetricsRow, multiply_adds_of
from lth_tf.training.order import Order
from lth_tf.training.process_group import ProcessGroup
from lth_tf.training.state import State, read_state
from lth_tf.training.trainer import Trained, Trainer

_SAMPLE = 10_000
_OF_MASKS = "mask_learning_rate"


class Listener(Protocol):
    """Is called as an experiment's trainings make progress."""

    def started(self, training: Training, density: float, iteration: int) -> None:
        """A training starts, or goes on.

        Args:
            training: the training.
            density: the share of its kernels' weights that remain.
            iteration: the iteration that it goes on from.
        """

    def measured(self, training: Training, row: MetricsRow) -> None:
        """A training was evaluated.

        Args:
            training: the training.
            row: what was measured.
        """

    def finished(self, training: Training, result: Result) -> None:
        """A training is complete.

        Args:
            training: the training.
            result: what came of it.
        """


class Worker:
    """Runs single trainings of an experiment, one after another, in this process.

    A training's needs are read from the store and its files written there, so that it does not
    matter which worker runs it, nor what that worker ran before. Where several processes run one
    training together, the chief `run`s it and the others `follow`, which have no store.
    """

    def __init__(
        self,
        network: Network,
        store: Store | None,
        settings: Settings,
        data: UserData | None = None,
    ) -> None:
        """Loads the data and builds the model.

        Args:
            network: the experiment's network.
            store: where results go; None for those who follow.
            settings: how to run.
            data: the data, where the recipe's name does not find them.

        Raises:
            UserError: if the data cannot be had, or the recipe does not fit them.
        """
        self._experiment = network.experiment
        self._network = network
        self._store = store
        self._settings = settings
        recipe = self._experiment.recipe
        strategy = make_strategy(settings.distribution)
        self._process_group = ProcessGroup(strategy)
        data = data or load(recipe.dataset, settings.data_dir)
        judged_by = network.metric.name
        self._trainer = Trainer(recipe, network.build, data, strategy, settings.xla, judged_by)
        examples = self._trainer.examples
        if self._experiment.learns_masks:
            # XLA's random numbers and cumulative sums take six times as long on a CPU.
            xla = "off" if settings.xla == "auto" and not count_gpus() else settings.xla
            self._mask_trainer = Trainer(
                recipe.of_masks, network.build, data, strategy, xla, judged_by, examples
            )

    def run(
        self,
        trainings: Iterable[Training],
        listener: Listener,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Runs trainings, or goes on with them, and leaves their files in the store.

        Args:
            trainings: what to run; what one needs must be complete when its turn comes.
            listener: is called as trainings make progress.
            should_stop: is asked at each evaluation whether to keep the state and stop.

        Raises:
            DivergedError: if a loss is not finite.
            KeyboardInterrupt: if it was asked to stop; the state is kept.
            UserError: if a file that it needs is damaged.
        """

        def train(training: Training, initial: InitialState) -> None:
            self._run(training, initial, listener, should_stop)

        take = self._trainer.examples.take
        train_levels(trainings, self._network, self._store, take, train)

    def _run(
        self,
        training: Training,
        initial: InitialState,
        listener: Listener,
        should_stop: Callable[[], bool],
    ) -> None:
        folder = self._store.clear(training)
        checkpoint = self._store.checkpoint(training)
        iterations = self._experiment.recipe.iterations
        state = read_state(checkpoint, training.path, initial, iterations)
        begins = state.iteration if state else initial.iteration
        listener.started(training, self._density(training, initial), begins)
        initial, state = share(self._process_group, initial, state)
        saving = self._saving(training, checkpoint, should_stop)
        rows: list[MetricsRow] = []
        with TensorBoardLog(folder, self._experiment, training, self._network.metric) as log:

            def on_row(row: MetricsRow) -> None:
                rows.append(row)
                log.row(row)
                listener.measured(training, row)

            try:
                outcome = self._train(training, initial, on_row, state, saving)
            finally:
                files.write_text(folder / "metrics.csv", metrics_csv(rows, self._network.metric))
            if training.level == 0 or self._experiment.plans_counts:
                check_count(outcome.masks, self._network.remaining[training.level])
            result = self._result(training, outcome)
            log.finish(outcome, result)
        if training.level == 0:
            self._store.write_arrays(training, "initial", initial.weights)
        for name, arrays in outcome.kept.items():
            self._store.write_arrays(training, name, arrays)
        if outcome.optimizer is not None:
            self._store.write_arrays(training, "optimizer", outcome.optimizer)
        self._store.write_arrays(training, "weights", outcome.weights)
        self._store.write_masks(training, outcome.masks)
        self._store.finish(training, result)
        listener.finished(training, result)

    def _density(self, training: Training, initial: InitialState) -> float:
        """Returns the density of a training's masks, or that it is planned to come to."""
        if self._experiment.prunes_while_training:
            return self._network.density(training.level)
        kept = sum(np.count_nonzero(mask) for mask in initial.masks.values())
        return kept / sum(mask.size for mask in initial.masks.values())

    def follow(self, training: Training, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Takes its part in a training that the chief runs.

        Args:
            training: what the chief runs.
            should_stop: is asked at each evaluation whether all are to stop.

        Raises:
            DivergedError: if a loss is not finite.
            KeyboardInterrupt: if any worker was asked to stop.
        """
        initial, state = share(self._process_group, None, None)
        self._train(
            training, initial, lambda row: None, state, self._saving(training, None, should_stop)
        )

    def _saving(
        self, training: Training, checkpoint: Path | None, should_stop: Callable[[], bool]
    ) -> Saving:
        every = self._settings.checkpoint_every
        return Saving(checkpoint, every, should_stop, self._process_group, training.path)

    def _train(
        self,
        training: Training,
        initial: InitialState,
        on_row: Callable[[MetricsRow], None],
        state: State | None,
        saving: Saving,
    ) -> Trained:
        recipe = self._experiment.recipe
        streams = Streams(self._experiment.seed, training.replicate)
        rows, validation_rows = self._network.split(training.replicate)
        order = make_order(training, draw_of(training, self._network), rows, recipe.batch_size)
        keep = keep_for(training, self._network)
        sample = training_sample(rows, recipe, streams.generator("training_sample"))
        schedule = make_mask_schedule(training, self._network)
        trainer = self._trainer if schedule.trains_weights else self._mask_trainer
        try:
            return trainer.train(
                initial, order, schedule, validation_rows, sample, on_row, state, saving, keep
            )
        except DivergedError as error:
            raise DivergedError(
                f"{training.path}: {error}{_likely_cause(recipe, schedule.trains_weights)}"
            ) from None

    def _result(self, training: Training, outcome: Trained) -> Result:
        best, last = outcome.early_stop, outcome.rows[-1]
        marks = set(self._experiment.recipe.marks)
        remaining = {name: int(mask.sum()) for name, mask in outcome.masks.items()}
        learns_mask = training.level > 0 and self._experiment.learns_masks
        # Weights that are never trained are, under the mask of the end, the untrained ticket.
        untrained = last if learns_mask else outcome.rows[0]
        return Result(
            replicate=training.replicate,
            level=training.level,
            arm=training.arm,
            density=sum(remaining.values()) / sum(mask.size for mask in outcome.masks.values()),
            remaining=sum(remaining.values()),
            early_stop_iteration=best.iteration,
            validation_loss_at_early_stop=best.validation_loss,
            test_accuracy_at_early_stop=best.test_accuracy,
            test_accuracy_final=last.test_accuracy,
            iterations=last.iteration,
            seconds=round(outcome.seconds, 2),
            test_accuracy_at={
                r.iteration: r.test_accuracy
                for r in outcome.rows
                if r.iteration in marks and r.test_accuracy is not None
            },
            layers={name: (n, outcome.masks[name].size) for name, n in remaining.items()},
            train_accuracy_at_early_stop=best.train_accuracy,
            train_accuracy_final=last.train_accuracy,
            validation_accuracy_at_early_stop=best.validation_accuracy,
            search_iterations=search_iterations(training, self._experiment, self._store),
            test_accuracy_untrained=untrained.test_accuracy,
            multiply_adds=multiply_adds_of(outcome.rows, self._experiment.recipe.batch_size),
            search_multiply_adds=search_multiply_adds(training, self._experiment, self._store),
        )


def _likely_cause(recipe: Recipe, trains_weights: bool) -> str:
    """Says which of a recipe's settings are likely to have made a loss that is not finite."""
    causes = []
    flag = "learning_rate" if trains_weights or not recipe.mask_learning_rate else _OF_MASKS
    rate = getattr(recipe, flag)
    if recipe.weight_decay > 0.1:
        causes.append(f"--weight_decay={recipe.weight_decay:g} is large; set it to 1e-4 or so")
    if recipe.precision == "mixed_float16":
        causes.append("--precision=mixed_float16 overflows; set mixed_bfloat16 or float32")
    if rate > 0.5 or (recipe.optimizer == "adam" and rate > 0.05):
        causes.append(f"--{flag}={rate:g} is large; set a tenth of it")
    if recipe.init_stddev > 0.5:
        causes.append(f"--init_stddev={recipe.init_stddev:g} is large; set it to 0.1 or so")
    return f". Here {'; '.join(causes)}" if causes else ""


def training_sample(rows: np.ndarray, recipe: Recipe, generator: np.random.Generator) -> np.ndarray:
    """Returns the rows of the training examples whose accuracy is measured, the same in all levels.

    All of them, unless evaluating them twice takes more than 1 % of a training's arithmetic (an
    iteration takes three times an evaluation's): then a sample of 10,000.

    Args:
        rows: the training examples' rows in the data set, int [n].
        recipe: says how long a training is.
        generator: draws the sample.
    """
    if 2 * len(rows) <= 0.01 * 3 * recipe.iterations * recipe.batch_size:
        return rows
    return np.sort(generator.permutation(rows)[:_SAMPLE])


def make_order(training: Training, draw: Draw, rows: np.ndarray, batch_size: int) -> Order:
    """Returns a training's order: its level's, unless its arm has another.

    Args:
        training: the training.
        draw: has the streams.
        rows: the training examples' rows in the data set, int [n].
        batch_size: examples per iteration.
    """
    streams = draw.streams
    prefix, indices = arm_of(training).order(draw)
    return Order(
        rows=rows,
        batch_size=batch_size,
        epoch_generator=lambda epoch: streams.generator(f"{prefix}order", *indices, epoch),
        augment_key=streams.key(f"{prefix}augment", *indices),
        dropout_key=streams.key(f"{prefix}dropout", *indices),
    )
