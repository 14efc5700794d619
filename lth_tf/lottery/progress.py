"""Progress: what a person sees while an experiment runs, on a terminal or in a file."""

import contextlib
import datetime
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

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


class ProgressTable(contextlib.AbstractContextManager):
    """A live table of several experiments: a row for each that is running, and one for all."""

    def __init__(self, console: Console, trainings: int) -> None:
        """Makes the table.

        Args:
            console: where to draw.
            trainings: the number of trainings that are not complete yet, of all experiments.
        """
        self._console = console
        self._bar = _make_bar(console)
        self._trainings, self._finished = trainings, 0
        self._row = self._bar.add_task("", total=max(trainings, 1))
        self._show()

    def __enter__(self) -> "ProgressTable":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def finished(self) -> None:
        """Counts a finished training."""
        self._finished += 1
        self._show()

    def listener(
        self, name: str, experiment: Experiment, pending: Sequence[Training], metric: Metric
    ) -> "ProgressListener":
        """Returns a listener for an experiment, which has a row of the table.

        Args:
            name: what the row and log lines call it.
            experiment: the experiment.
            pending: its trainings that are not complete yet.
            metric: what their accuracies are.
        """
        return ProgressListener(
            self._console, experiment, pending, metric, name, self._bar, self.finished
        )

    def _show(self) -> None:
        text = f"all experiments  {self._finished:,}/{self._trainings:,} trainings"
        self._bar.update(self._row, completed=self._finished, description=text)


class ProgressListener(contextlib.AbstractContextManager):
    """Draws a bar with the remaining time and the last accuracy; logs a line per training."""

    def __init__(
        self,
        console: Console,
        experiment: Experiment,
        pending: Sequence[Training],
        metric: Metric = ACCURACY,
        name: str = "",
        bar: Progress | None = None,
        on_finished: Callable[[], None] = lambda: None,
    ) -> None:
        """Makes the listener.

        Args:
            console: where to draw.
            experiment: what is run.
            pending: the trainings that are not complete yet.
            metric: what their accuracies are.
            name: what the experiment is called beside others; empty if it is alone.
            bar: a table that it is to have a row of, while it runs; a bar of its own by default.
            on_finished: is called at the end of each training.
        """
        self._metric = metric
        self._test = "test" if metric == ACCURACY else f"test {metric.label}"
        self._experiment = experiment
        self._iterations = experiment.recipe.iterations
        self._first: dict[Training, int] = {}
        self._total = sum(self._length(training) for training in pending)
        self._left_to_run = len(pending)
        self._done = 0
        self._now: dict[Training, int] = {}
        self._density: dict[Training, float] = {}
        self._began = self._beat = time.monotonic()
        self._drawn = console.is_terminal
        self._every = _NOTEBOOK_HEARTBEAT if console.is_jupyter else _HEARTBEAT
        self._prefix = f"{name}  " if name else ""
        self._on_finished = on_finished
        self._is_alone = bar is None
        self._bar = bar or _make_bar(console)
        self._task = self._bar.add_task(
            f"{self._prefix}starting", total=max(self._total, 1), visible=self._is_alone
        )

    def __enter__(self) -> "ProgressListener":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def started(self, training: Training, density: float, iteration: int) -> None:
        """Shows that a training starts; what an earlier process did of it takes no time now."""
        self._density[training] = density
        before = self._length(training)
        self._first.setdefault(training, iteration)
        self._total -= before - self._length(training)
        self._show(f"{_place(training)}  compiling", total=max(self._total, 1))

    def measured(self, training: Training, row: MetricsRow) -> None:
        """Moves the bar on; in a file, a line a minute."""
        # A training that goes on tells again of the evaluations before.
        self._now[training] = max(0, row.iteration - self._iterations + self._length(training))
        now = self._done + sum(self._now.values())
        validation = self._metric.text(row.validation_accuracy, decimals=1)
        state = f"{row.iteration:,}/{self._iterations:,}  validation {validation}"
        # Short: on a terminal of 80 columns the remaining time must find room behind it.
        self._show(f"{_place(training)}  {state}", completed=now)
        if not self._drawn and time.monotonic() - self._beat > self._every:
            self._beat = time.monotonic()
            name = self._name(training, self._density[training])
            _log.info("%s  iteration %s  %s left", name, state, self._left_after(now))

    def finished(self, training: Training, result: Result) -> None:
        """Logs a finished training, and which of its layers have no weights."""
        self._now.pop(training, None)
        self._done += self._length(training)
        _log.info(
            "%s  early stop at %s: %s %s  at end: %s  %.1f s",
            self._name(training, result.density),
            f"{result.early_stop_iteration:,}",
            self._test,
            self._metric.text(result.test_accuracy_at_early_stop),
            self._metric.text(result.test_accuracy_final),
            result.seconds,
        )
        self._left_to_run -= 1
        self._bar.update(self._task, visible=self._is_alone or self._left_to_run > 0)
        self._on_finished()
        if result.emptied:
            _log.warning(
                "%s  layer collapse: no weight is left of %s",
                self._name(training, result.density),
                ", ".join(result.emptied),
            )

    def _length(self, training: Training) -> int:
        """Returns the iterations that it has from here on, or from where it went on in this run."""
        first = self._first.get(training)
        if first is None:
            first = rewinding_for(training, self._experiment).iteration
        return self._iterations - first

    def _left_after(self, done: int) -> str:
        if not done:
            return "unknown time"
        seconds = (time.monotonic() - self._began) / done * (self._total - done)
        return str(datetime.timedelta(seconds=round(seconds)))

    def _name(self, training: Training, density: float) -> str:
        where = f"replicate {training.replicate} level {training.level:2d}"
        return f"{self._prefix}{where}  {training.arm:6}  {density:7.2%}"

    def _show(self, text: str, **changes: Any) -> None:
        description = f"{self._prefix}{text}"
        self._bar.update(self._task, description=description, visible=True, **changes)


def _place(training: Training) -> str:
    return f"replicate {training.replicate} level {training.level}"


def _make_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=8),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
        disable=not console.is_terminal,
        transient=True,
        speed_estimate_period=3600,  # seconds; a large network is measured every few minutes
    )
