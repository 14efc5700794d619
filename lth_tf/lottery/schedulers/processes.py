"""Several trainings at the same time, each in a process of its own with its share of the devices.

Each of the jobs is a pool of one process, so that one that dies takes no other with it. On a
machine without GPUs they are forked from one process that has imported TensorFlow and computed
nothing, so that it is imported once. Elsewhere each imports it, once it has its GPU: nothing here
imports TensorFlow.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lth_tf import files, reading
from lth_tf.errors import UserError
from lth_tf.lottery.inputs import Inputs
from lth_tf.lottery.schedulers import (
    Queued,
    Scheduler,
    failure,
    make_worker,
    ready_queue,
    with_path,
)
from lth_tf.machine import gpu_of_job, shows_gpus
from lth_tf.runs.experiment import Experiment, Training
from lth_tf.runs.settings import Settings
from lth_tf.terminal import ignore_signals, signals_left_out

if TYPE_CHECKING:
    from lth_tf.lottery.worker import Worker

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
        self, queue: Sequence[Queued], should_stop: Callable[[], bool] = lambda: False
    ) -> dict[Queued, Exception]:
        """See `Scheduler`."""
        from lth_tf.training.distribution import count_gpus

        with contextlib.ExitStack() as stack:
            sources = {
                queued: _Source(
                    queued.network.experiment,
                    stack.enter_context(queued.inputs.saved()),
                    queued.store.folder,
                    queued.settings,
                )
                for queued in queue
            }
            return _Jobs(sources, self._settings.jobs, self._folder, count_gpus()).run(should_stop)


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
    """The processes; each takes the next training whose needs are met.

    One of the experiment that it has run before goes first, as its model is built there already.
    """

    def __init__(
        self, sources: Mapping[Queued, _Source], jobs: int, folder: Path, gpus: int
    ) -> None:
        self._sources = sources
        self._by_folder = {queued.store.folder: queued for queued in sources}
        self._ready = ready_queue(list(sources))
        self._failed: dict[Queued, list[str]] = {}
        self._running: dict[concurrent.futures.Future, tuple[Queued, Training, int]] = {}
        self._last: dict[int, Queued] = {}
        self._context = multiprocessing.get_context(_METHOD)
        # No lock, which a job that is killed might hold.
        self._stop = self._context.RawValue("b", 0)
        self._events: dict[int, Connection] = {}
        self._folder, self._gpus = folder, gpus
        self._pools = [self._new_pool(job) for job in range(jobs)]

    def run(self, should_stop: Callable[[], bool]) -> dict[Queued, Exception]:
        """Runs everything that can be run."""
        try:
            while self._start_ready() or self._running:
                concurrent.futures.wait(self._running, _POLL, concurrent.futures.FIRST_COMPLETED)
                if should_stop():
                    self._stop.value = 1
                self._collect()
                for folder, name, *arguments in self._events_so_far():
                    queued = self._by_folder[folder]
                    with queued.at_work():
                        getattr(queued.listener, name)(*arguments)
        except KeyboardInterrupt:
            if self._stop.value:  # the second request: to stop at once
                self._kill()
            raise
        finally:
            self._end()
        if should_stop():
            raise KeyboardInterrupt
        return {queued: failure(texts) for queued, texts in self._failed.items()}

    def _end(self) -> None:
        """Has the jobs stop at their next evaluation, and waits until they have."""
        self._stop.value = 1
        try:
            for pool in self._pools:
                pool.shutdown(cancel_futures=True)
        except KeyboardInterrupt:
            self._kill()
            raise

    def _kill(self) -> None:
        for pool in self._pools:
            for process in list((pool._processes or {}).values()):
                process.kill()

    def _new_pool(self, job: int) -> _Pool:
        log = _job_log(self._folder, job)
        with files.writing(log):
            log.touch()
        # A pipe of its own for each job: one that is killed while it writes breaks no other's.
        self._events[job], events = self._context.Pipe(duplex=False)
        arguments = (log, job, self._gpus, dict(os.environ), events, self._stop)
        return _Pool(1, self._context, _begin_job, arguments)

    def _start_ready(self) -> bool:
        """Starts what can be started; says whether anything was."""
        started = False
        busy = {job for _, _, job in self._running.values()}
        for job in (job for job in range(len(self._pools)) if job not in busy):
            if self._stop.value or not self._ready:
                break
            queued, training = self._ready.take(self._last.get(job))
            self._last[job] = queued
            future = self._pools[job].submit(_run_training, self._sources[queued], training)
            self._running[future] = queued, training, job
            started = True
        return started

    def _events_so_far(self) -> Iterator[tuple]:
        for events in list(self._events.values()):
            while events.poll():
                try:
                    yield events.recv()
                except (EOFError, OSError):  # it has ended
                    break

    def _collect(self) -> None:
        for future in [future for future in self._running if future.done()]:
            queued, training, job = self._running.pop(future)
            error = future.exception()
            with queued.at_work():
                if error is None:
                    queued.store.update_results()
                    self._ready.finish((queued, training))
                    continue
                if isinstance(error, concurrent.futures.process.BrokenProcessPool):
                    self._pools[job] = self._new_pool(job)
                log = _job_log(self._folder, job)
                self._failed.setdefault(queued, []).append(with_path(training, str(error)))
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
        _worker(source).run(
            [training], _Forward(source.folder, _parent.events), _parent.should_stop
        )
    except KeyboardInterrupt:
        if not _parent.should_stop():
            raise


@functools.lru_cache(maxsize=1)
def _worker(source: _Source) -> "Worker":
    """Returns this process's worker: an experiment's model is built once, until another's turn."""
    inputs = Inputs.load(source.inputs)
    return make_worker(source.experiment, inputs, source.folder, source.settings)


@dataclasses.dataclass(frozen=True)
class _Forward:
    """Sends a job's progress to the process that started the jobs, which has the listeners."""

    folder: Path
    events: Any

    def started(self, *arguments: Any) -> None:
        self.events.send((self.folder, "started", *arguments))

    def measured(self, *arguments: Any) -> None:
        self.events.send((self.folder, "measured", *arguments))

    def finished(self, *arguments: Any) -> None:
        self.events.send((self.folder, "finished", *arguments))


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
