"""Trainings as tasks of a Ray cluster, each on any of its machines with its share of cores or GPUs.

Ray has the queue, the devices, and the news of processes and machines that died. The run directory
lies on storage that all of them see; data, models and tickets are sent by Ray's object store, once
to each machine. Nothing here imports TensorFlow before a task's process has its GPU and threads.
"""

import contextlib
import dataclasses
import functools
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import filelock

from lth_tf import data, files
from lth_tf.errors import UserError
from lth_tf.lottery.ray_machines import (
    Machine,
    check,
    connected,
    here,
    imported_ray,
    machines_of,
    needs_of,
    on,
    said_by_ray,
)
from lth_tf.lottery.schedulers import (
    Queued,
    Scheduler,
    failure,
    make_worker,
    ready_queue,
    with_path,
)
from lth_tf.runs.experiment import Experiment, Training
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import RESULT

if TYPE_CHECKING:
    from lth_tf.lottery.worker import Worker

_log = logging.getLogger(__name__)
_POLL = 0.2  # seconds
_ASK = 1.0  # seconds between a training's questions whether to stop
_GONE = 300  # seconds after which a process on a machine that was lost must be gone
_SEEN = 120  # seconds in which what one machine wrote must be seen on another
_RUNS_AGAIN = 3  # times, after its process or machine died


class RayCluster(Scheduler):
    """Runs trainings on a Ray cluster, as many at the same time as it has room for.

    One whose process or machine dies is run again, and goes on from its checkpoint.
    """

    @staticmethod
    def prepare(settings: Settings) -> None:
        """See `Scheduler`; also checks that Ray is there."""
        from lth_tf.training.distribution import leave_gpus

        imported_ray(settings)
        leave_gpus()

    def run(
        self, queue: Sequence[Queued], should_stop: Callable[[], bool] = lambda: False
    ) -> dict[Queued, Exception]:
        """See `Scheduler`.

        Raises:
            UserError: if there is no such cluster, or one of its machines does not see a run
                directory or has another version of this program.
        """
        queue = [queued for queued in queue if queued.pending]
        if not queue:
            return {}
        with connected(self._settings):
            machines = machines_of(self._settings)
            check(machines, [queued.store.folder for queued in queue])
            return _Trainings(queue, self._settings, machines).run(should_stop)


class _Source(NamedTuple):
    """What a task makes its worker of.

    Attributes:
        number: the experiment's, in the queue.
        experiment: what to run.
        inputs: in the object store, what it has besides its recipe and data.
        data: in the object store, its data.
        folder: the run directory.
        settings: how to run.
    """

    number: int
    experiment: Experiment
    inputs: Any
    data: Any
    folder: Path
    settings: Settings


class _Link:
    """An actor beside the starting process: hears of progress, and says when to stop."""

    def __init__(self) -> None:
        self._events: list[tuple] = []
        self._stops = False

    def tell(self, event: tuple) -> None:
        """Hears of progress."""
        self._events.append(event)

    def events(self) -> list[tuple]:
        """Returns what it has heard since it was last asked."""
        events, self._events = self._events, []
        return events

    def stop(self) -> None:
        """Has the trainings stop."""
        self._stops = True

    def stops(self) -> bool:
        """Says whether they are to stop."""
        return self._stops


class _Task(NamedTuple):
    """A training that was handed to Ray.

    Attributes:
        queued: its experiment.
        training: the training.
        attempt: how many times it has been lost.
    """

    queued: Queued
    training: Training
    attempt: int = 0


class _Trainings:
    """The trainings that Ray runs, or has yet to run."""

    def __init__(
        self, queue: Sequence[Queued], settings: Settings, machines: Sequence[Machine]
    ) -> None:
        import ray

        self._ready = ready_queue(queue)
        # A GPU's memory is free again when a process ends, so Ray begins one for each training.
        self._task = ray.remote(max_retries=0, **needs_of(settings))(_run_training)
        this = Machine(*here(), 0)
        self._link = ray.remote(num_cpus=0)(_Link).options(scheduling_strategy=on(this)).remote()
        self._queue, self._sources = queue, _sources(queue)
        self._running: dict[Any, _Task] = {}
        self._places: dict[tuple[Queued, Training], str] = {}
        self._failed: dict[Queued, list[str]] = {}
        self._stops = False
        room = sum(machine.room for machine in machines)
        self._room = f"{len(machines)} machines with room for {room} trainings"

    def run(self, should_stop: Callable[[], bool]) -> dict[Queued, Exception]:
        """Runs everything that can be run."""
        import ray

        for queued in self._sources:
            with queued.at_work():
                _log.info("On a Ray cluster: %s", self._room)
        while self._start_ready() or self._running:
            done, _ = ray.wait(list(self._running), num_returns=1, timeout=_POLL)
            if should_stop() and not self._stops:
                self._stop()
            self._hear()
            for reference in done:
                self._collect(reference)
        if self._stops:
            raise KeyboardInterrupt
        return {queued: failure(texts) for queued, texts in self._failed.items()}

    def _start_ready(self) -> bool:
        """Hands Ray all that is ready: it has the queue. Says whether there was anything."""
        started = False
        while self._ready and not self._stops:
            self._start(_Task(*self._ready.take()))
            started = True
        return started

    def _start(self, task: _Task) -> None:
        source = self._sources[task.queued]
        self._running[self._task.remote(source, task.training, self._link)] = task

    def _stop(self) -> None:
        """Has those that train stop, and those that wait for a machine never begin."""
        import ray

        self._stops = True
        ray.get(self._link.stop.remote())
        self._hear()
        for reference, (queued, training, _) in self._running.items():
            if (queued, training) not in self._places:
                ray.cancel(reference)

    def _hear(self) -> None:
        """Passes on to listeners what tasks have sent."""
        import ray

        for number, name, *arguments in ray.get(self._link.events.remote()):
            queued = self._queue[number]
            if name == "placed":
                training, place = arguments
                self._places[queued, training] = place
            else:
                with queued.at_work():
                    getattr(queued.listener, name)(*arguments)

    def _collect(self, reference: Any) -> None:
        import ray

        task = self._running.pop(reference)
        queued, training, attempt = task
        try:
            ray.get(reference)
            if not self._stops:
                _await(queued.store.path(training) / RESULT)
            error = None
        except Exception as found:
            error = found
        if error is None:
            self._hear()
        place = self._places.pop((queued, training), "a machine that it was not heard from on")
        with queued.at_work():
            if error is None:
                queued.store.update_results()
                self._ready.finish((queued, training))
            elif self._stops:
                _log.info("%s: was stopped (%s)", training.path, said_by_ray(error))
            elif isinstance(error, UserError | ray.exceptions.RayTaskError):  # our code raised it
                self._failed.setdefault(queued, []).append(with_path(training, said_by_ray(error)))
                _log.error("%s failed on %s: %s", training.path, place, error)
            elif attempt < _RUNS_AGAIN:
                _log.warning(
                    "%s died on %s (%s); it goes on from its checkpoint, run again %d of %d times",
                    training.path, place, said_by_ray(error), attempt + 1, _RUNS_AGAIN,
                )  # fmt: skip
                self._start(task._replace(attempt=attempt + 1))
            else:
                said = f"{training.path}: died {attempt + 1} times, last on {place}"
                self._failed.setdefault(queued, []).append(said)
                _log.error("%s (%s)", said, said_by_ray(error))


def _sources(queue: Sequence[Queued]) -> dict[Queued, _Source]:
    """Puts what experiments have into the object store, a data set of several only once."""
    import ray

    found, stored = {}, {}
    for number, queued in enumerate(queue):
        experiment, inputs, settings = queued.network.experiment, queued.inputs, queued.settings
        name = number if inputs.data else (experiment.recipe.dataset, settings.data_dir)
        if name not in stored:
            stored[name] = ray.put(inputs.data or data.load(*name))
        found[queued] = _Source(
            number,
            experiment,
            ray.put(dataclasses.replace(inputs, data=None)),
            stored[name],
            queued.store.folder.resolve(),
            settings,
        )
    return found


def _run_training(source: _Source, training: Training, link: Any) -> None:
    """Runs one training in a task's process."""
    starter = _Starter(source.number, link)
    starter.placed(training, here()[1])
    if starter.should_stop():
        return
    try:
        needed = source.experiment.parent(training)
        if needed:
            _await(source.folder / needed.path / RESULT)
        with _alone(source.folder, training):
            _worker(source).run([training], starter, starter.should_stop)
    except KeyboardInterrupt:
        if not starter.should_stop():
            raise


def _await(path: Path) -> None:
    """Waits until this machine sees a file that another has written: shared storage may lag.

    Raises:
        UserError: if it does not see it.
    """
    deadline = time.monotonic() + _SEEN
    while not path.exists():
        if time.monotonic() > deadline:
            raise UserError(
                f"{path}: was written by another machine, but is not seen on {socket.gethostname()}"
            )
        time.sleep(_POLL)
        with contextlib.suppress(OSError):
            os.listdir(path.parent)  # has NFS look again


@contextlib.contextmanager
def _alone(folder: Path, training: Training) -> Iterator[None]:
    """Waits until no process of a machine that Ray has lost still writes a training's files."""
    path = folder / training.path
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"))
    with files.writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=_GONE)
    except filelock.Timeout:
        raise UserError(f"{path}: another process is still running this training") from None
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


class _Starter:
    """The process that started the run: hears of progress, and says whether to stop."""

    def __init__(self, number: int, link: Any) -> None:
        self._number, self._link = number, link
        self._asked, self._stops = float("-inf"), False

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name not in ("placed", "started", "measured", "finished"):
            raise AttributeError(name)
        return functools.partial(self._tell, name)

    def _tell(self, *event: Any) -> None:
        import ray

        heard = self._link.tell.remote((self._number, *event))
        if event[0] == "finished":  # must not be overtaken by the task's own end
            ray.get(heard)

    def should_stop(self) -> bool:
        import ray

        if not self._stops and time.monotonic() - self._asked > _ASK:
            self._stops = ray.get(self._link.stops.remote())
            self._asked = time.monotonic()
        return self._stops


@functools.lru_cache(maxsize=1)
def _worker(source: _Source) -> "Worker":
    """Returns this process's worker: an experiment's model is built once, until another's turn."""
    import ray

    inputs = dataclasses.replace(ray.get(source.inputs), data=ray.get(source.data))
    return make_worker(source.experiment, inputs, source.folder, source.settings)
