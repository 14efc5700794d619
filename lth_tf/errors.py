"""The one exception that stands for a mistake of the user's."""


class UserError(ValueError):
    """A mistake in a flag, a file or a layer, said in one line.

    The message names the thing, says what was wrong and what would be right.
    The binaries print it without a traceback; a library user catches it as a
    `ValueError`.
    """
