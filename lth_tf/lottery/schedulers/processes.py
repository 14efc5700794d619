"""Several trainings at the same time, each in a process of its own with its share of the devices.

Each of the jobs is a pool of one process, so that one that dies takes no other with it. On a
machine without GPUs they are forked from one process that has imported TensorFlow and computed
nothing, so that it is imported once. Elsewhere each imports it, once it has its GPU: nothing here
imports TensorFlow.
"""

import concurrent.futures
import dataclasses
import functools
import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lth_tf import files, reading
from lth_tf.errors import UserError
from lth_tf.lottery.inputs import Inputs
from lth_tf.lottery.schedulers import Scheduler
from lth_tf.machine import gpu_of_job, shows_gpus
from lth_tf.runs.experiment import Experiment, Training
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store
from lth_tf.terminal import ignore_signals, signals_left_out

if TYPE_CHECKING:
    from lth_tf.lottery.worker import Listener, Worker

_log = logging.getLogger(__name__)
_POLL = 0.2  # seconds
_TAIL = 15  # lines of a failed job's log that are shown

_Pool = concurrent.futures.ProcessPoolExecutor
_IMPORTED = ["lth_tf.lottery.worker"]
# macOS's libraries forbid it, and CUDA does not survive a fork.
_METHOD = "forkserver" if sys.platform == "linux" and not shows_gpus() else "spawn"


def import_ahead() -> None:
    """Starts the process that jobs are forked from, if there is to be one.

    It imports TensorFlow meanwhile, so that the earlier this is called, the earlier jobs can start.
    """
    if _METHOD != "forkserver":
        return
    multiprocessing.get_context(_METHOD).set_forkserver_preload(_IMPORTED)
    with signals_left_out():
        multiprocessing.forkserver.ensure_running()


class Processes(Scheduler):
    """Runs trainings in `settings.jobs` processes, each as soon as its needs are met.

    A training that fails stops no other, but for those that need it.
    """

    @staticmethod
    def prepare(settings: Settings) -> None:
        """See `Scheduler`."""
        from lth_tf.training.distribution import leave_gpus

        import_ahead()
        leave_gpus()

    def run(
        self,
        pending: Sequence[Training],
        listener: "Listener",
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """See `Scheduler`."""
        from lth_tf.training.distribution import count_gpus

        with self._inputs.saved() as inputs:
            source = _Source(self._network.experiment, inputs, self._store.folder, self._settings)
            _Jobs(source, pending, count_gpus()).run(listener, should_stop)


@dataclasses.dataclass(frozen=True)
class _Source:
    """What a job's process makes its worker of.

    Attributes:
        experiment: what to run.
        inputs: the file of its `Inputs`; None where its recipe says all.
        folder: the run directory.
        settings: how to run.
    """

    experiment: Experiment
    inputs: Path | None
    folder: Path
    settings: Settings


class _Jobs:
    """The processes; each is given the next training whose needs are met."""

    def __init__(self, source: _Source, pending: Sequence[Training], gpus: int) -> None:
        self._store = Store(source.folder)
        self._experiment = source.experiment
        self._waiting = list(pending)
        self._failed: dict[Training, str] = {}
        self._running: dict[concurrent.futures.Future, tuple[Training, int]] = {}
        self._context = multiprocessing.get_context(_METHOD)
        # No lock, which a job that is killed might hold.
        self._stop = self._context.RawValue("b", 0)
        self._events: dict[int, Connection] = {}
        self._work = functools.partial(_run_training, source)
        self._gpus = gpus
        self._pools = [self._new_pool(job) for job in range(source.settings.jobs)]

    def run(self, listener: "Listener", should_stop: Callable[[], bool]) -> None:
        """Runs everything that can be run."""
        try:
            while self._start_ready() or self._running:
                concurrent.futures.wait(self._running, _POLL, concurrent.futures.FIRST_COMPLETED)
                if should_stop():
                    self._stop.value = 1
                self._collect()
                for name, *arguments in self._events_so_far():
                    getattr(listener, name)(*arguments)
        finally:
            self._stop.value = 1
            for pool in self._pools:
                pool.shutdown(cancel_futures=True)
        if should_stop():
            raise KeyboardInterrupt
        if self._failed:
            failed = "; ".join(self._failed.values())
            raise UserError(f"{failed}. The others are complete; the same command continues")

    def _new_pool(self, job: int) -> _Pool:
        log = _job_log(self._store.folder, job)
        with files.writing(log):
            log.touch()
        # A pipe of its own for each job: one that is killed while it writes breaks no other's.
        self._events[job], events = self._context.Pipe(duplex=False)
        arguments = (log, job, self._gpus, dict(os.environ), events, self._stop)
        return _Pool(1, self._context, _begin_job, arguments)

    def _start_ready(self) -> bool:
        """Starts what can be started; says whether anything was."""
        idle = set(range(len(self._pools))) - {job for _, job in self._running.values()}
        ready = [t for t in self._waiting if self._is_ready(t)][: len(idle)]
        if self._stop.value:
            return False
        for training, job in zip(ready, sorted(idle), strict=False):
            self._waiting.remove(training)
            future = self._pools[job].submit(self._work, training)
            self._running[future] = training, job
        return bool(ready)

    def _is_ready(self, training: Training) -> bool:
        parent = self._experiment.parent(training)
        return parent is None or self._store.is_done(parent)

    def _events_so_far(self) -> Iterator[tuple]:
        for events in list(self._events.values()):
            while events.poll():
                try:
                    yield events.recv()
                except (EOFError, OSError):  # it has ended
                    break

    def _collect(self) -> None:
        for future in [future for future in self._running if future.done()]:
            training, job = self._running.pop(future)
            error = future.exception()
            if error is None:
                self._store.update_results()
                continue
            if isinstance(error, concurrent.futures.process.BrokenProcessPool):
                self._pools[job] = self._new_pool(job)
            log = _job_log(self._store.folder, job)
            self._failed[training] = f"{training.path}: {error}"
            _log.error("%s failed: %s\n%s ends:\n%s", training.path, error, log, _tail(log))


@dataclasses.dataclass
class _Parent:
    """What a job's process has of the one that started it.

    Attributes:
        events: where it sends its progress.
        stop: not zero once it is to stop.
    """

    events: Any = None
    stop: Any = None

    def should_stop(self) -> bool:
        return bool(self.stop.value)


_parent = _Parent()


def _run_training(source: _Source, training: Training) -> None:
    """Runs one training in a job's process."""
    try:
        _worker(source).run([training], _Forward(_parent.events), _parent.should_stop)
    except KeyboardInterrupt:
        if not _parent.should_stop():
            raise


@functools.cache
def _worker(source: _Source) -> "Worker":
    """Returns this process's worker: its model is built once."""
    from lth_tf.lottery.network import Network
    from lth_tf.lottery.worker import Worker
    from lth_tf.training.distribution import set_threads, use_gpus_sparingly

    set_threads(source.settings.threads_per_job)
    use_gpus_sparingly()
    store = Store(source.folder)
    inputs = Inputs.load(source.inputs)
    network = Network.of(source.experiment, store.data(), inputs)
    return Worker(network, store, source.settings, inputs.data)


@dataclasses.dataclass(frozen=True)
class _Forward:
    """Sends a job's progress to the process that started the jobs, which has the listener."""

    events: Any

    def started(self, *arguments: Any) -> None:
        self.events.send(("started", *arguments))

    def measured(self, *arguments: Any) -> None:
        self.events.send(("measured", *arguments))

    def finished(self, *arguments: Any) -> None:
        self.events.send(("finished", *arguments))


def _begin_job(
    log: Path, job: int, gpus: int, environment: dict[str, str], events: Any, stop: Any
) -> None:
    """Prepares a job's process: its log, its GPU, its signals, and its way to its parent."""
    _watch_parent()
    os.environ.update(environment)
    _parent.events, _parent.stop = events, stop
    with open(log, "ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu_of_job(job, gpus)
    # Ctrl-C goes to the whole group; the process that started the jobs tells them when to stop.
    ignore_signals()


def _watch_parent() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when the one that started it dies, so that none writes on unseen."""
    parent = multiprocessing.parent_process()
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _job_log(folder: Path, job: int) -> Path:
    return folder / f"job_{job}.log"


def _tail(log: Path) -> str:
    try:
        lines = reading.tail_of(log).splitlines()
    except UserError as error:
        return str(error)
    return "\n".join(lines[-_TAIL:])
