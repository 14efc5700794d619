"""The contest: measures the contestants in turn, several times over, each in its own process."""

import contextlib
import dataclasses
import importlib.util
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lth_tf.benchmark.host import ContestantError, Host
from lth_tf.benchmark.task import Task
from lth_tf.benchmark.times import Times


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where a contestant is to be found.

    Attributes:
        place: its class, as "module:Class" in this package. It is called with the task, and has a
            `title` for a person and `measure()`, which trains as long as the task says and returns
            the `Times` of an iteration.
        needs: the package that it takes, which need not be installed.
        options: the class's further arguments.
    """

    place: str
    needs: str = "tensorflow"
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


CONTESTANTS = {
    "keras_tfmot": Entry("plain:PlainFit", options={"pruned": True}),
    "keras": Entry("plain:PlainFit", options={"pruned": False}),
    "torch": Entry("torch_loop:TorchLoop", "torch"),
    "torch_fused": Entry("torch_loop:TorchLoop", "torch", {"fused": True}),
    "torch_compiled": Entry("torch_loop:TorchLoop", "torch", {"fused": True, "compiled": True}),
    "jax": Entry("jax_loop:JaxLoop", "optax"),
    "lth_tf": Entry("this_program:Whole"),
    "lth_tf_chunk": Entry("this_program:Chunk"),
}
PAIR = "lth_tf_two_jobs"
NAMES = (*CONTESTANTS, PAIR)


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
        operations: float operations of one iteration.
        rate: float operations per second of a float32 matrix product on this machine.
        timings: by the contestant's name; `lth_tf` is this project's whole training.
        absent: why a contestant could not be measured, by its name.
    """

    task: Task
    xla: bool
    operations: int
    rate: float
    timings: dict[str, Timing]
    absent: dict[str, str]

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


def hold(
    task: Task,
    repetitions: int,
    on_turn: Callable[[str], None] = lambda text: None,
    names: Sequence[str] = NAMES,
) -> Contest:
    """Measures every contestant, each in turn, as often as there are repetitions.

    A contestant whose package is not installed, that has too few threads, or that fails or dies,
    is left out, and the outcome says why.

    Args:
        task: what to train.
        repetitions: measurements of each.
        on_turn: is called with what is measured next.
        names: which contestants to measure, of `NAMES`; `lth_tf` and `lth_tf_chunk` always are, as
            the others are compared with them.

    Raises:
        ContestantError: if one of this project's own cannot be measured.
    """
    absent: dict[str, str] = {}
    times: dict[str, list[Times]] = {}
    rates = []
    with contextlib.ExitStack() as stack:
        contestants = dict(_started(task, names, absent, stack, on_turn))
        chunk = contestants["lth_tf_chunk"]
        facts = chunk.ask("facts")
        for repetition in range(1, repetitions + 1):
            rates.append(chunk.ask("multiply_rate"))
            for name in [name for name in contestants if name not in absent]:
                on_turn(f"repetition {repetition}/{repetitions}: {contestants[name].title}")
                with _left_out(name, absent):
                    times.setdefault(name, []).append(contestants[name].ask("measure"))
    return Contest(
        task=task,
        xla=facts["xla"],
        operations=facts["operations"],
        rate=statistics.median(rates),
        timings={
            name: _timing(contestants[name].title, found)
            for name, found in times.items()
            if name not in absent
        },
        absent=absent,
    )


class _Pair:
    """Two whole trainings at once, as `--jobs=2` runs them, each with half of the threads."""

    title = "lth_tf, two jobs at once, per training"

    def __init__(self, task: Task, stack: contextlib.ExitStack) -> None:
        half = dataclasses.replace(task, threads=max(task.threads // 2, 1))
        self._hosts = [
            stack.enter_context(_host(CONTESTANTS["lth_tf"], half, core)) for core in (0, 1)
        ]

    def ask(self, method: str) -> Times:
        with ThreadPoolExecutor(len(self._hosts)) as threads:
            found = list(threads.map(lambda host: host.ask(method), self._hosts))
        seconds = statistics.fmean(times.iteration for times in found) / len(found)
        return Times(seconds, seconds)


def _started(
    task: Task,
    names: Sequence[str],
    absent: dict[str, str],
    stack: contextlib.ExitStack,
    on_turn: Callable[[str], None],
) -> Iterator[tuple[str, Host | _Pair]]:
    for name, entry in CONTESTANTS.items():
        if name not in names and not name.startswith("lth_tf"):
            continue
        if importlib.util.find_spec(entry.needs) is None:
            absent[name] = f"{entry.needs} is not installed; pip install 'lth_tf[bench]' adds it"
            continue
        on_turn(f"building {name}")
        with _left_out(name, absent):
            yield name, stack.enter_context(_host(entry, task))
    if PAIR not in names:
        return
    if task.threads < 2:
        absent[PAIR] = "needs two threads"
        return
    on_turn(f"building {PAIR}")
    yield PAIR, _Pair(task, stack)


def _host(entry: Entry, task: Task, part: int = 0) -> Host:
    return Host(f"{__package__}.{entry.place}", task, part, **entry.options)


@contextlib.contextmanager
def _left_out(name: str, absent: dict[str, str]) -> Iterator[None]:
    """Notes why a contestant fails, unless it is one of this project's."""
    try:
        yield
    except ContestantError as error:
        if name.startswith("lth_tf"):
            raise
        absent[name] = str(error)


def _timing(title: str, times: list[Times]) -> Timing:
    plain, validating = zip(*times, strict=True)
    found = None if None in validating else [1000 * seconds for seconds in validating]
    return Timing(title, [1000 * seconds for seconds in plain], found)
