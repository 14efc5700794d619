"""The one exception that stands for a mistake of the user's."""

import contextlib
import traceback
from collections.abc import Iterator


class UserError(ValueError):
    """A mistake in a flag, a file or a layer, said in one line.

    The message names the thing, says what was wrong and what would be right.
    The binaries print it without a traceback; a library user catches it as a
    `ValueError`.
    """


class UsersCodeError(UserError):
    """An exception of the user's own function, which is this one's `__cause__`.

    The binaries print its traceback as well.
    """


@contextlib.contextmanager
def users_code(what: str) -> Iterator[None]:
    """Says of an exception inside the context that the user's own code raised it.

    Args:
        what: the flag or argument that named the code.

    Raises:
        UsersCodeError: for any exception that is no `UserError`.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        *_, last = traceback.extract_tb(error.__traceback__)
        cause = " ".join(str(error).split())[:300]
        raise UsersCodeError(
            f"{what}: its own code raised {type(error).__name__}: {cause} "
            f"({last.filename}, line {last.lineno})"
        ) from error
