"""Files that TensorFlow writes itself; what goes wrong with them are no OSErrors."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from lth_tf import files


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns TensorFlow's errors in writing into one that names the path.

    Args:
        path: the file or folder that is written.

    Raises:
        UserError: if it cannot be written.
    """
    import tensorflow as tf

    # What TensorFlow makes of the system's error numbers when it writes a file.
    system_errors = (
        tf.errors.FailedPreconditionError,
        tf.errors.NotFoundError,
        tf.errors.OutOfRangeError,
        tf.errors.PermissionDeniedError,
        tf.errors.ResourceExhaustedError,
        tf.errors.UnknownError,
    )
    try:
        with files.writing(path):
            yield
    except system_errors as error:
        # "{{node ...}} FILE; No space left on device [Op:...]", and then what called what.
        reason = error.message.splitlines()[0].split(" [Op:")[0].rsplit("; ", 1)[-1]
        raise files.unwritable(path, reason) from error
