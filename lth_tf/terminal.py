"""The terminal's side of a process: library chatter kept off it, and requests to stop from it.

TensorFlow's libraries write their start-up chatter straight to file descriptor 2; it goes to a
file, the run's log where there is one. Ctrl-C, or SIGTERM as a scheduler sends it, asks a program
to stop when it can do so without losing anything; a second one stops it at once.
"""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Any

from lth_tf.output import Stream

# A terminal that is closed, or a connection that breaks, sends SIGHUP.
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


def exit_code(signum: int) -> int:
    """Returns the exit code of a program that a signal has stopped: 130 of Ctrl-C, else 143."""
    return 130 if signum == signal.SIGINT else 143


def end_quietly() -> None:
    """Lets a signal end this process in one line, from now until a `Terminal` takes signals over.

    Warnings that were to be errors are shown instead: libraries have many, and not by our fault.
    """

    def end(signum: int, frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            os.write(2, b"Stopped.\n")
        os._exit(exit_code(signum))

    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, end)
    if any(action == "error" for action, *_ in warnings.filters):
        warnings.resetwarnings()


def ignore_signals() -> None:
    """Has this process ignore requests to stop from now on."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def signals_left_out() -> Iterator[None]:
    """Has a process that is started inside the context ignore requests to stop for all its life.

    They go to all processes of a terminal; the one that started it passes them on, and ends it.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone may set them
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    ignore_signals()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Terminal(contextlib.AbstractContextManager):
    """Guards the terminal while a program runs.

    Attributes:
        errors: the terminal's own error stream.
        can_continue: whether the program keeps what it has done when it is asked to stop.
        asked: the last signal that asked it to stop; None if none did.
    """

    def __init__(self) -> None:
        self.can_continue = self._stop = False
        self.asked: int | None = None

    def __enter__(self) -> "Terminal":
        sys.stderr.flush()
        self.errors: IO[str] = Stream(os.dup(2), getattr(sys.stderr, "encoding", None))
        self._chatter = tempfile.TemporaryFile("w+b")
        os.dup2(self._chatter.fileno(), 2)
        self._before = self._listen()
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in zip(_SIGNALS, self._before, strict=True):
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        sys.stderr.flush()
        os.dup2(self.errors.fileno(), 2)
        self._chatter.close()
        number = self.errors.fileno()
        self.errors.close()
        os.close(number)

    def send_chatter_to(self, log: Path) -> None:
        """Sends what was written so far, and what will be, to the end of a log file."""
        sys.stderr.flush()
        self._chatter.seek(0)
        with open(log, "ab") as target:
            shutil.copyfileobj(self._chatter, target)
            os.dup2(target.fileno(), 2)

    def should_stop(self) -> bool:
        """Says whether a stop was asked for; who asks this promises to stop then."""
        self.can_continue = True
        # Again and again: with several workers, TensorFlow takes SIGTERM over when they connect.
        self._listen()
        return self._stop

    def _listen(self) -> list[Any]:
        before = [signal.getsignal(number) for number in _SIGNALS]
        for number, handler in zip(_SIGNALS, before, strict=True):
            if handler is not signal.SIG_IGN or number == signal.SIGINT:  # nohup
                signal.signal(number, self._asked)
        return before

    def _asked(self, signum: int, frame: FrameType | None) -> None:
        self.asked = signum
        again, self._stop = self._stop, True
        # Should a library's import swallow it, a run stops when it next asks.
        if again or not self.can_continue:
            raise KeyboardInterrupt
        print("\nStopping at the next evaluation; again to stop at once.", file=self.errors)
        self.errors.flush()
