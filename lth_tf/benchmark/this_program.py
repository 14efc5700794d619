"""This project's contestants: a training, whole, and its compiled chunk alone."""

import functools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
from rich.console import Console

from lth_tf import data
from lth_tf.benchmark.prepare import order_of
from lth_tf.benchmark.task import Task
from lth_tf.benchmark.times import Times
from lth_tf.lottery.network import Network
from lth_tf.lottery.progress import ProgressListener
from lth_tf.lottery.worker import Worker
from lth_tf.runs.experiment import Experiment, Training, make_plan
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store
from lth_tf.training.arithmetic import multiply_rate, training_operations
from lth_tf.training.distribution import set_threads, use_gpus_sparingly
from lth_tf.training.measure import MetricsRow
from lth_tf.training.trainer import Trainer, build_model


class Whole:
    """A training as `lth_tf.main` runs it, in a temporary run directory.

    Counted is all that recurs: the chunks, by their iterations; what is between them (validation,
    keeping the best weights, TensorBoard, the progress bar, callbacks), once per `eval_every`
    iterations, though the chunks of a slow network are shorter here. A measurement ends as at
    Ctrl-C, with a checkpoint; that is timed as well and counted once in so many seconds.

    Attributes:
        title: what it is, for a person.
    """

    title = "lth_tf, whole training"

    def __init__(self, task: Task) -> None:
        """Builds the model, as a run does."""
        set_threads(task.threads)
        use_gpus_sparingly()
        self._task = task
        recipe = task.recipe.override(eval_every=task.chunk)
        experiment = Experiment(recipe=recipe, rounds=0)
        network = Network(experiment, task.info)
        # Whoever made the task's folder removes it; this process may be killed.
        self._store = Store(Path(tempfile.mkdtemp(dir=task.folder)))
        self._settings = Settings(data_dir=task.data_dir, xla=task.xla)
        self._worker = _TimedWorker(network, self._store, self._settings)
        self._experiment = experiment

    def measure(self) -> Times:
        """Returns the seconds of an iteration."""
        (training,) = make_plan(self._experiment)
        task, counted = self._task, self._task.chunks
        with open(os.devnull, "w") as screen:
            terminal = Console(file=screen, force_terminal=True)
            with _Clock(terminal, self._experiment, [training], self._worker.chunks) as clock:
                # The first rows are of iteration 0 and of a chunk to warm up.
                self._run(training, clock, counted + 2)
                checkpoint = time.perf_counter() - clock.readings[-1].now
        shutil.rmtree(self._store.path(training))
        first, last = clock.readings[1], clock.readings[-1]
        chunks = last.chunks - first.chunks
        # What is left of the whole, so that nothing is lost where one part ends.
        between = last.now - first.now - chunks
        seconds = chunks / (counted * task.chunk) + between / (counted * task.recipe.eval_every)
        seconds *= 1 + checkpoint / self._settings.checkpoint_every
        return Times(seconds, seconds)

    def _run(self, training: Training, clock: "_Clock", rows: int) -> None:
        def enough() -> bool:
            return len(clock.readings) >= rows

        try:
            self._worker.run([training], clock, enough)
        except KeyboardInterrupt:
            if not enough():
                raise


class TimedChunks:
    """A model's training function, timed.

    Attributes:
        seconds: how long its calls have taken, each until its loss was known.
    """

    def __init__(self, function: Callable[[Any], dict[str, Any]]) -> None:
        """Times a function that trains on an iterator's next chunk and returns the loss."""
        self._function = function
        self.seconds = 0.0

    def __call__(self, iterator: Any) -> dict[str, Any]:
        """Trains on the next chunk."""
        began = time.perf_counter()
        logs = self._function(iterator)
        # On a GPU the call returns before the work is done; `fit` waits next thing, for the loss.
        float(logs["loss"])
        self.seconds += time.perf_counter() - began
        return logs


class _TimedWorker(Worker):
    """A worker whose chunks are timed."""

    def __init__(self, network: Network, store: Store, settings: Settings) -> None:
        super().__init__(network, store, settings)
        model = self._trainer.model
        self.chunks = model.train_function = TimedChunks(model.make_train_function())


class _Reading(NamedTuple):
    """The time, and how long chunks have taken so far."""

    now: float
    chunks: float


class _Clock(ProgressListener):
    """Draws progress as ever, and reads the time when each evaluation is done."""

    def __init__(
        self,
        console: Console,
        experiment: Experiment,
        pending: Sequence[Training],
        chunks: TimedChunks,
    ) -> None:
        super().__init__(console, experiment, pending)
        self.readings: list[_Reading] = []
        self._chunks = chunks

    def measured(self, training: Training, row: MetricsRow) -> None:
        super().measured(training, row)
        self.readings.append(_Reading(time.perf_counter(), self._chunks.seconds))


class Chunk:
    """The compiled loop alone: no evaluation, no callbacks, its input made beforehand.

    Attributes:
        title: what it is, for a person.
    """

    title = "lth_tf, compiled chunk alone"

    def __init__(self, task: Task) -> None:
        """Builds the model."""
        set_threads(task.threads)
        use_gpus_sparingly()
        build = functools.partial(build_model, task.recipe, task.info)
        strategy = tf.distribute.get_strategy()
        examples = data.load(task.recipe.dataset, task.data_dir)
        trainer = Trainer(task.recipe, build, examples, strategy, task.xla)
        self._facts = {
            "xla": trainer.xla,
            "operations": task.recipe.batch_size * training_operations(trainer.model),
        }
        self._task = task
        self._model = trainer.model
        self._model.optimizer.build(self._model.trainable_variables)

    def measure(self) -> Times:
        """Returns the seconds of an iteration."""
        counted, length = self._task.chunks, self._task.chunk
        ends = [length * (i + 1) for i in range(counted + 1)]
        chunks = iter(list(order_of(self._task).dataset(0, ends)))
        train = self._model.make_train_function()
        float(train(chunks)["loss"])
        began = time.perf_counter()
        losses = [train(chunks)["loss"] for _ in range(counted)]
        float(losses[-1])
        return Times((time.perf_counter() - began) / (counted * length), None)

    def facts(self) -> dict[str, int]:
        """Returns whether XLA compiles it, and the float operations of an iteration."""
        return self._facts

    def multiply_rate(self) -> float:
        """Returns float operations per second of a float32 matrix product."""
        return multiply_rate()
