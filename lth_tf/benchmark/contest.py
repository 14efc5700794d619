"""The contest: measures the contestants in turn, several times over."""

import dataclasses
import importlib.util
import statistics
from collections.abc import Callable
from functools import partial
from typing import Protocol

from lth_tf.benchmark.plain import PlainFit
from lth_tf.benchmark.task import Task, threads
from lth_tf.benchmark.this_program import Chunk, Whole
from lth_tf.benchmark.times import Times
from lth_tf.training.arithmetic import multiply_rate, training_operations
from lth_tf.training.trainer import build_model


class Contestant(Protocol):
    """A way to train the task's network.

    Attributes:
        title: what it is, for a person.
    """

    title: str

    def measure(self) -> Times:
        """Trains as long as the task says; returns the seconds of an iteration."""


@dataclasses.dataclass(frozen=True)
class Timing:
    """What a contestant took.

    Attributes:
        title: what it is.
        milliseconds: of an iteration, by repetition.
        with_validation: with an iteration's share of a validation; None if it cannot validate.
    """

    title: str
    milliseconds: list[float]
    with_validation: list[float] | None

    @property
    def median(self) -> float:
        """The median milliseconds of an iteration."""
        return statistics.median(self.milliseconds)

    @property
    def median_with_validation(self) -> float | None:
        """The median milliseconds of an iteration with its share of a validation."""
        return statistics.median(self.with_validation) if self.with_validation else None


@dataclasses.dataclass(frozen=True)
class Contest:
    """The outcome for one network.

    Attributes:
        task: what was trained.
        xla: whether this project compiled it with XLA.
        threads: threads that each contestant computed with.
        operations: float operations of one iteration.
        rate: float operations per second of a float32 matrix product on this machine.
        timings: by the contestant's name; `lth_tf` is this project's whole training.
    """

    task: Task
    xla: bool
    threads: int
    operations: int
    rate: float
    timings: dict[str, Timing]

    def ratio(self, name: str) -> float:
        """Returns how many times as long as this project's training a contestant takes."""
        return self.timings[name].median / self.timings["lth_tf"].median

    def ratio_with_validation(self, name: str) -> float | None:
        """Returns the same where the contestant validates as often; None if it cannot."""
        median = self.timings[name].median_with_validation
        return None if median is None else median / self.timings["lth_tf"].median

    @property
    def share(self) -> float:
        """The share of the matrix-multiply rate that the compiled chunk reaches."""
        return self.operations / (self.timings["lth_tf_chunk"].median / 1000) / self.rate


def has_torch() -> bool:
    """Says whether PyTorch is installed."""
    return importlib.util.find_spec("torch") is not None


def hold(
    task: Task, repetitions: int, on_turn: Callable[[str], None] = lambda text: None
) -> Contest:
    """Measures every contestant, each in turn, as often as there are repetitions.

    Args:
        task: what to train.
        repetitions: measurements of each.
        on_turn: is called with what is measured next.
    """
    contestants: dict[str, Contestant] = {}
    for name, make in _contestants().items():
        on_turn(f"building {name}")
        contestants[name] = make(task)
    times: dict[str, list[Times]] = {name: [] for name in contestants}
    rates = []
    for repetition in range(1, repetitions + 1):
        rates.append(multiply_rate())
        for name, contestant in contestants.items():
            on_turn(f"repetition {repetition}/{repetitions}: {contestant.title}")
            times[name].append(contestant.measure())
    model = build_model(task.recipe, task.data.info, seed=0)
    return Contest(
        task=task,
        xla=contestants["lth_tf_chunk"].xla,
        threads=threads(),
        operations=task.recipe.batch_size * training_operations(model),
        rate=statistics.median(rates),
        timings={name: _timing(contestants[name].title, times[name]) for name in contestants},
    )


def _timing(title: str, times: list[Times]) -> Timing:
    plain, validating = zip(*times, strict=True)
    found = None if None in validating else [1000 * seconds for seconds in validating]
    return Timing(title, [1000 * seconds for seconds in plain], found)


def _contestants() -> dict[str, Callable[[Task], Contestant]]:
    found: dict[str, Callable[[Task], Contestant]] = {
        "keras_tfmot": partial(PlainFit, pruned=True),
        "keras": partial(PlainFit, pruned=False),
    }
    if has_torch():
        from lth_tf.benchmark.eager import Eager

        found["torch"] = Eager
    return {**found, "lth_tf": Whole, "lth_tf_chunk": Chunk}
