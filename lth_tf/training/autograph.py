"""Autograph, which lets a tensor be a condition in Python: for users' code alone.

It takes a second of each process to rewrite this program's own functions, which need none of it, so
that these are compiled without.
"""

from collections.abc import Callable

import tensorflow as tf

# As it is outside of any compiled function.
_OUTSIDE = tf.__internal__.autograph.control_status_ctx()


def rewritten(function: Callable) -> Callable:
    """Returns a function as autograph rewrites it, with what it calls.

    Args:
        function: a user's, or a model or a method of Keras's that calls a user's.
    """
    return tf.__internal__.autograph.tf_convert(function, _OUTSIDE)
