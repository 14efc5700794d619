"""Files that TensorFlow writes itself; what goes wrong with them are no OSErrors."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from lth_tf import files

# What TensorFlow makes of the system's error numbers when it writes a file.
_ERRORS = (
    tf.errors.FailedPreconditionError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
    tf.errors.PermissionDeniedError,
    tf.errors.ResourceExhaustedError,
    tf.errors.UnknownError,
)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns TensorFlow's errors in writing into one that names the path.

    Args:
        path: the file or folder that is written.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        with files.writing(path):
            yield
    except _ERRORS as error:
        # "{{node ...}} FILE; No space left on device [Op:...]", and then what called what.
        reason = error.message.splitlines()[0].split(" [Op:")[0].rsplit("; ", 1)[-1]
        raise files.unwritable(path, reason) from error
