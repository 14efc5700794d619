"""Output: standard streams that no encoding, closed pipe or full disk can end a program by."""

import codecs
import errno
import io
import os
import sys
import unicodedata

_PLAIN = {
    "\N{GREEK SMALL LETTER THETA}": "theta", "\N{CIRCLED DOT OPERATOR}": "*",
    "\N{MULTIPLICATION SIGN}": "x", "\N{EN DASH}": "-", "\N{EM DASH}": "-",
    "\N{HORIZONTAL ELLIPSIS}": "...", "\N{PLUS-MINUS SIGN}": "+-", "\N{MINUS SIGN}": "-",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'", "\N{MIDDLE DOT}": ".",
}  # fmt: skip
_ERRORS = "lth_tf.plain"


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Writes what an encoding lacks in letters that every one has."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    parts = []
    for letter in error.object[error.start : error.end]:
        bare = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
        parts.append(_PLAIN.get(letter) or bare or "?")
    return "".join(parts), error.end


codecs.register_error(_ERRORS, _plain)


class _Raw(io.RawIOBase):
    """A file descriptor whose reader may go away; what is written then is lost.

    Attributes:
        error: the first error of writing to it; None while all is well.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def write(self, content: "bytes | memoryview") -> int:
        try:
            return os.write(self._number, content)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EINTR):
                raise
            self.error = self.error or error
            return len(content)


class Stream(io.TextIOWrapper):
    """A text stream to a file descriptor, which never raises for what is written to it."""

    def __init__(self, number: int, encoding: str | None) -> None:
        """Makes a stream.

        Args:
            number: the file descriptor.
            encoding: what it encodes by; UTF-8 if None.
        """
        self._raw = _Raw(number)
        super().__init__(
            io.BufferedWriter(self._raw), encoding or "utf-8", _ERRORS, "\n", line_buffering=True
        )

    @property
    def error(self) -> OSError | None:
        """The first error of writing to it."""
        return self._raw.error


def guard_standard_streams() -> Stream | None:
    """Makes the standard streams ones that a program outlives.

    Those that were closed lead nowhere. Streams that somebody else has put in their place, as a
    notebook or a test does, stay as they are.

    Returns:
        The standard output, which says at the end whether all was written; None if it is another's.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # It has the lowest free number, this one, and would be closed in child processes.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stderr is None:
        sys.stderr = sys.__stderr__ = Stream(2, None)
    elif sys.stderr is sys.__stderr__ and hasattr(sys.stderr, "reconfigure"):
        try:
            sys.stderr.reconfigure(errors=_ERRORS)
        except OSError:  # it was a file, whose place a pipe has taken
            sys.stderr = sys.__stderr__ = Stream(2, sys.stderr.encoding)
    if sys.stdout is not None and sys.stdout is not sys.__stdout__:
        return None
    if isinstance(sys.stdout, Stream):
        return sys.stdout
    if sys.stdout is not None:
        sys.stdout.flush()
    sys.stdout = sys.__stdout__ = Stream(1, getattr(sys.stdout, "encoding", None))
    return sys.stdout
