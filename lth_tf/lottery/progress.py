"""Progress: what a person sees while an experiment runs, on a terminal or in a file."""

import contextlib
import datetime
import logging
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from lth_tf.lottery.rewinding import rewinding_for
from lth_tf.metric import ACCURACY, Metric
from lth_tf.runs.experiment import Experiment, Training
from lth_tf.runs.results import Result
from lth_tf.training.measure import MetricsRow

_log = logging.getLogger(__name__)
# Seconds between lines where there is no terminal to draw a bar on: in a file, in a notebook.
_HEARTBEAT, _NOTEBOOK_HEARTBEAT = 60, 5


def make_console() -> Console:
    """Returns a console for the standard output; lines in a file are not broken at 80 columns."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=120)


class ProgressListener(contextlib.AbstractContextManager):
    """Draws a bar with the remaining time and the last accuracy; logs a line per training."""

    def __init__(
        self,
        console: Console,
        experiment: Experiment,
        pending: Sequence[Training],
        metric: Metric = ACCURACY,
    ) -> None:
        """Makes the listener.

        Args:
            console: where to draw.
            experiment: what is run.
            pending: the trainings that are not complete yet.
            metric: what their accuracies are.
        """
        self._metric = metric
        self._test = "test" if metric == ACCURACY else f"test {metric.label}"
        self._experiment = experiment
        self._iterations = experiment.recipe.iterations
        self._total = sum(self._length(training) for training in pending)
        self._done = 0
        self._now: dict[Training, int] = {}
        self._density: dict[Training, float] = {}
        self._began = self._beat = time.monotonic()
        self._drawn = console.is_terminal
        self._every = _NOTEBOOK_HEARTBEAT if console.is_jupyter else _HEARTBEAT
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=8),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._bar = Progress(
            *columns,
            console=console,
            disable=not self._drawn,
            transient=True,
            speed_estimate_period=3600,  # seconds; a large network is measured every few minutes
        )
        self._task = self._bar.add_task("starting", total=max(self._total, 1))

    def __enter__(self) -> "ProgressListener":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def started(self, training: Training, density: float) -> None:
        """Shows that a training starts."""
        self._density[training] = density
        self._bar.update(self._task, description=f"{_place(training)}  compiling")

    def measured(self, training: Training, row: MetricsRow) -> None:
        """Moves the bar on; in a file, a line a minute."""
        self._now[training] = row.iteration - self._iterations + self._length(training)
        now = self._done + sum(self._now.values())
        validation = self._metric.text(row.validation_accuracy, decimals=1)
        state = f"{row.iteration:,}/{self._iterations:,}  validation {validation}"
        # Short: on a terminal of 80 columns the remaining time must find room behind it.
        self._bar.update(self._task, completed=now, description=f"{_place(training)}  {state}")
        if not self._drawn and time.monotonic() - self._beat > self._every:
            self._beat = time.monotonic()
            name = _name(training, self._density[training])
            _log.info("%s  iteration %s  %s left", name, state, self._left(now))

    def finished(self, training: Training, result: Result) -> None:
        """Logs a finished training, and which of its layers have no weights."""
        self._now.pop(training, None)
        self._done += self._length(training)
        _log.info(
            "%s  early stop at %s: %s %s  at end: %s  %.1f s",
            _name(training, result.density),
            f"{result.early_stop_iteration:,}",
            self._test,
            self._metric.text(result.test_accuracy_at_early_stop),
            self._metric.text(result.test_accuracy_final),
            result.seconds,
        )
        if result.emptied:
            _log.warning(
                "%s  layer collapse: no weight is left of %s",
                _name(training, result.density),
                ", ".join(result.emptied),
            )

    def _length(self, training: Training) -> int:
        return self._iterations - rewinding_for(training, self._experiment).iteration

    def _left(self, done: int) -> str:
        if not done:
            return "unknown time"
        seconds = (time.monotonic() - self._began) / done * (self._total - done)
        return str(datetime.timedelta(seconds=round(seconds)))


def _name(training: Training, density: float) -> str:
    where = f"replicate {training.replicate} level {training.level:2d}"
    return f"{where}  {training.arm:6}  {density:7.2%}"


def _place(training: Training) -> str:
    return f"replicate {training.replicate} level {training.level}"
