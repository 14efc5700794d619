"""Contestants (d) and (e): this project's training, whole, and its compiled chunk alone."""

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from rich.console import Console

from lth_tf import data
from lth_tf.benchmark.task import Task
from lth_tf.experiment.network import Network
from lth_tf.experiment.plan import Experiment, Training, make_plan
from lth_tf.experiment.progress import ProgressListener
from lth_tf.experiment.settings import Settings
from lth_tf.experiment.store import Store
from lth_tf.experiment.worker import Worker
from lth_tf.training.measure import Row
from lth_tf.training.trainer import Trainer


class Whole:
    """A training as `lth_tf.main` runs it, in a temporary run directory.

    Counted is all that recurs between evaluations: training, validation, keeping the best weights,
    TensorBoard, the progress bar, the input, callbacks. A measurement ends as at Ctrl-C, with a
    checkpoint; that is timed as well and counted once in so many seconds.

    Attributes:
        title: what it is, for a person.
    """

    title = "lth_tf, whole training"

    def __init__(self, task: Task) -> None:
        """Builds the model, as a run does."""
        self._task = task
        self._folder = tempfile.TemporaryDirectory()
        experiment = Experiment(recipe=task.recipe, rounds=0)
        network = Network(experiment, data.info(task.recipe.dataset, task.data_dir))
        self._store = Store(Path(self._folder.name))
        self._settings = Settings(data_dir=task.data_dir, xla=task.xla)
        self._worker = Worker(network, self._store, self._settings)
        self._experiment = experiment

    def measure(self) -> float:
        """Returns the seconds of an iteration."""
        (training,) = make_plan(self._experiment)
        counted = self._task.chunks
        with open(os.devnull, "w") as screen:
            terminal = Console(file=screen, force_terminal=True)
            with _Clock(terminal, self._experiment, [training]) as clock:
                # The first rows are of iteration 0 and of a chunk to warm up.
                self._run(training, clock, counted + 2)
                checkpoint = time.perf_counter() - clock.times[-1]
        shutil.rmtree(self._store.path(training))
        seconds = (clock.times[-1] - clock.times[1]) / (counted * self._task.chunk)
        return seconds * (1 + checkpoint / self._settings.checkpoint_every)

    def _run(self, training: Training, clock: "_Clock", rows: int) -> None:
        def enough() -> bool:
            return len(clock.times) >= rows

        try:
            self._worker.run(training, clock, enough)
        except KeyboardInterrupt:
            if not enough():
                raise


class _Clock(ProgressListener):
    """Draws progress as ever, and notes when each evaluation is done."""

    def __init__(
        self, console: Console, experiment: Experiment, pending: Sequence[Training]
    ) -> None:
        super().__init__(console, experiment, pending)
        self.times: list[float] = []

    def measured(self, training: Training, row: Row) -> None:
        super().measured(training, row)
        self.times.append(time.perf_counter())


class Chunk:
    """The compiled loop alone: no evaluation, no callbacks, its input made beforehand.

    Attributes:
        title: what it is, for a person.
        xla: whether it is compiled with XLA.
    """

    title = "lth_tf, compiled chunk alone"

    def __init__(self, task: Task) -> None:
        """Builds the model."""
        trainer = Trainer(task.recipe, task.data, tf.distribute.get_strategy(), task.xla)
        self.xla = trainer.xla
        self._task = task
        self._model = trainer.model
        self._model.optimizer.build(self._model.trainable_variables)

    def measure(self) -> float:
        """Returns the seconds of an iteration."""
        counted, length = self._task.chunks, self._task.chunk
        ends = [length * (i + 1) for i in range(counted + 1)]
        chunks = iter(list(self._task.order.dataset(0, ends)))
        train = self._model.make_train_function()
        float(train(chunks)["loss"])
        began = time.perf_counter()
        losses = [train(chunks)["loss"] for _ in range(counted)]
        float(losses[-1])
        return (time.perf_counter() - began) / (counted * length)
