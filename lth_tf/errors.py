"""The one exception that stands for a mistake of the user's."""

import contextlib
import errno
import re
import sys
import traceback
from collections.abc import Iterator

_LONGEST_WORD, _LONGEST = 400, 3_000  # characters
_LIBRARIES = {__name__.split(".")[0], "tf_keras", "keras", "tensorflow", "numpy"}
# What a terminal obeys or cannot show: control characters, changes of direction, half characters.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


class UserError(ValueError):
    """A mistake in a flag, a file or a layer, said in one line.

    The message names the thing, says what was wrong and what would be right.
    The binaries print it without a traceback; a library user catches it as a
    `ValueError`.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(str(message)))


class UsersCodeError(UserError):
    """An exception of the user's own function, which is this one's `__cause__`.

    The binaries print its traceback as well.
    """


def raised(message: str, error: BaseException) -> UserError:
    """Returns the error that says what raised: the user's own code, if it took part, or a library.

    Args:
        message: what to say.
        error: what was raised, below where it was caught.
    """
    frames = traceback.walk_tb(error.__traceback__)
    modules = {frame.f_globals.get("__name__", "").split(".")[0] for frame, _ in frames}
    users = modules - _LIBRARIES - sys.stdlib_module_names
    return UsersCodeError(message) if users else UserError(message)


@contextlib.contextmanager
def users_code(what: str) -> Iterator[None]:
    """Says of an exception inside the context that the user's own code raised it.

    Args:
        what: the flag or argument that named the code.

    Raises:
        UsersCodeError: for any exception that is no `UserError`, nor a lack of memory.
    """
    try:
        yield
    except (UserError, MemoryError):  # which is no fault of the code
        raise
    except Exception as error:
        *_, last = traceback.extract_tb(error.__traceback__)
        cause, place = str(error), (last.filename, last.lineno)
        if isinstance(error, SyntaxError):  # of a file that was to be imported: it was not called
            cause, place = error.msg, (error.filename, error.lineno)
        cause = " ".join(cause.split())[:300]
        raise UsersCodeError(
            f"{what}: its own code raised {type(error).__name__}: {cause} "
            f"({place[0]}, line {place[1]})"
        ) from error


def reason_of(error: OSError) -> str:
    """Returns why the system refused something, and what helps where it does not say so."""
    reason = error.strerror or str(error)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{reason}: raise the limit, as by ulimit -n 4096"
    return reason


def one_line(text: str) -> str:
    """Returns a message as one line of bearable length: long values lose their middle."""
    text = " ".join(text.splitlines()) if "\n" in text or "\r" in text else text
    text = _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)
    text = re.sub(rf"\S{{{_LONGEST_WORD},}}", lambda found: shortened(found[0], 100), text)
    return shortened(text, _LONGEST)


def shortened(text: str, most: int) -> str:
    """Returns a text, or its beginning and end with what it had between them counted.

    Args:
        text: the text.
        most: characters that are kept of a longer one, about.
    """
    if len(text) <= most:
        return text
    first, last = most * 3 // 4, most // 4
    return f"{text[:first]}… ({len(text):,} characters) …{text[-last:]}"
