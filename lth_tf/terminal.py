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
from pathlib import Path
from types import FrameType
from typing import IO, Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminal(contextlib.AbstractContextManager):
    """Guards the terminal while a program runs.

    Attributes:
        errors: the terminal's own error stream.
        can_continue: whether the program keeps what it has done when it is asked to stop.
    """

    def __init__(self) -> None:
        self.can_continue = self._stop = False

    def __enter__(self) -> "Terminal":
        sys.stderr.flush()
        self.errors: IO[str] = os.fdopen(os.dup(2), "w", encoding="utf-8")
        self._chatter = tempfile.TemporaryFile("w+b")
        os.dup2(self._chatter.fileno(), 2)
        self._before = self._listen()
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in zip(_SIGNALS, self._before, strict=True):
            signal.signal(number, handler)
        sys.stderr.flush()
        os.dup2(self.errors.fileno(), 2)
        self._chatter.close()
        self.errors.close()

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
        return [signal.signal(number, self._asked) for number in _SIGNALS]

    def _asked(self, signum: int, frame: FrameType | None) -> None:
        if self._stop or not self.can_continue:
            raise KeyboardInterrupt
        self._stop = True
        print("\nStopping at the next evaluation; again to stop at once.", file=self.errors)
        self.errors.flush()
