"""The run's log, on the console and in a file that stays behind."""

import contextlib
import errno
import logging
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from lth_tf import files


class _ConsoleHandler(logging.Handler):
    """Prints log lines above the progress bar, or plainly where there is none."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(self.format(record), markup=False, soft_wrap=True)


class _FileHandler(logging.FileHandler):
    """Loses log lines that a full disk has no room for, instead of telling of each in many more."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        pass

    def close(self) -> None:
        # What was not written is still in its buffer, and would be refused again.
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def full_disk_named(folder: Path) -> Iterator[None]:
    """Names the run directory where the system, refusing to write, names no file.

    Args:
        folder: the run directory.

    Raises:
        UserError: if something could not be written inside the context.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            raise
        raise files.unwritable(error.filename or folder, error.strerror) from error


class RunLog:
    """A run's log: this package's log lines, in a file, with times, and on the console.

    It hears them inside `hearing()`: of several runs at the same time, each those that it is about.
    """

    def __init__(self, log_file: Path, console: Console) -> None:
        """Opens the log.

        Args:
            log_file: the file; lines are added to it.
            console: where they are shown.

        Raises:
            UserError: if the file cannot be written.
        """
        with files.writing(log_file):
            to_file = _FileHandler(log_file, encoding="utf-8", errors="backslashreplace")
        to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._handlers = (to_file, _ConsoleHandler(console))
        self._is_hearing = False

    @contextlib.contextmanager
    def hearing(self) -> Iterator[None]:
        """Hears log lines inside the context; one inside another changes nothing."""
        if self._is_hearing:
            yield
            return
        logger = logging.getLogger("lth_tf")
        before = logger.level, logger.propagate
        logger.setLevel(logging.INFO)
        logger.propagate = False
        for handler in self._handlers:
            logger.addHandler(handler)
        self._is_hearing = True
        try:
            yield
        finally:
            self._is_hearing = False
            logger.setLevel(before[0])  # which forgets what was heard inside, too
            logger.propagate = before[1]
            for handler in self._handlers:
                logger.removeHandler(handler)

    def close(self) -> None:
        """Closes the file."""
        for handler in self._handlers:
            handler.close()
