"""A contestant in a process of its own, so that no library gets in another's way.

Thread pools of two frameworks in one process slow each other down, and some cannot even be
imported beside one another.
"""

import contextlib
import multiprocessing
import os
import pkgutil
import tempfile
import traceback
from multiprocessing.connection import Connection
from typing import Any

from lth_tf.benchmark.task import Task


class ContestantError(Exception):
    """A contestant could not be measured; the text says why."""


class Host(contextlib.AbstractContextManager):
    """A process that holds one contestant, and does what it is asked to.

    Attributes:
        title: what the contestant is, for a person.
    """

    def __init__(self, contestant: str, task: Task, part: int = 0, **options: Any) -> None:
        """Starts the process and builds the contestant in it.

        Args:
            contestant: the class, as "package.module:Class"; it is called with the task.
            task: what to train.
            part: which cores it runs on: the first ones, as many as it has threads, for part 0,
                the next ones for part 1.
            options: the class's further arguments.

        Raises:
            ContestantError: if it cannot be built.
        """
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(there, contestant, task, part, options), daemon=True
        )
        self._process.start()
        there.close()
        try:
            self.title: str = self._reply()
        except ContestantError:
            self.__exit__()
            raise

    def ask(self, method: str) -> Any:
        """Calls a method of the contestant, and returns what it returns.

        Args:
            method: its name; it takes no arguments.

        Raises:
            ContestantError: if it fails, or the process dies.
        """
        with contextlib.suppress(OSError):  # of one that has died: the reply says so
            self._pipe.send(method)
        return self._reply()

    def _reply(self) -> Any:
        try:
            value, failure = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            raise ContestantError(f"its process ended with status {code}") from None
        if failure:
            raise ContestantError(failure)
        return value

    def __exit__(self, *error: object) -> None:
        self._pipe.close()
        self._process.terminate()
        self._process.join()


def _serve(
    pipe: Connection, contestant: str, task: Task, part: int, options: dict[str, Any]
) -> None:
    _write_to(os.devnull)
    tempfile.tempdir = str(task.folder)  # this process will be killed, the folder removed
    if hasattr(os, "sched_setaffinity"):  # not on macOS
        cores = sorted(os.sched_getaffinity(0))[part * task.threads :][: task.threads]
        os.sched_setaffinity(0, cores or os.sched_getaffinity(0))
    try:
        measured = pkgutil.resolve_name(contestant)(task, **options)
        pipe.send((measured.title, None))
        while True:
            pipe.send((getattr(measured, pipe.recv())(), None))
    except EOFError:
        return
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        text = str(error).strip().splitlines()
        where = f"{os.path.basename(last.filename)}:{last.lineno}"
        pipe.send((None, f"{type(error).__name__} ({where}): {text[0] if text else ''}"))


def _write_to(path: str) -> None:
    """Sends what the libraries write to the terminal elsewhere."""
    target = os.open(path, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(target, number)
