"""Functions that a flag names as `package.module:function`."""

import pkgutil
from collections.abc import Callable
from typing import Any

from lth_tf.errors import UserError


def names_function(text: str) -> bool:
    """Says whether a value is the name of a function, `package.module:function`."""
    module, colon, function = text.partition(":")
    parts = [*module.split("."), *function.split(".")]
    return bool(colon) and all(part.isidentifier() for part in parts)


def import_function(flag: str, text: str) -> Callable[..., Any]:
    """Returns the function of a name.

    Args:
        flag: the flag's name, for messages.
        text: `package.module:function`; the module is imported.

    Raises:
        UserError: if it cannot be imported.
    """
    if text.startswith("__main__:"):
        raise UserError(
            f"--{flag}={text}: was defined in a script or notebook; it must be defined in a module "
            "that can be imported"
        )
    try:
        found = pkgutil.resolve_name(text)
    except (ImportError, AttributeError) as error:
        raise UserError(f"--{flag}={text}: must name a function, but {error}") from None
    if not callable(found):
        raise UserError(f"--{flag}={text}: must name a function, not a {type(found).__name__}")
    return found


def name_of(function: Callable[..., Any]) -> str:
    """Returns the name that `import_function` finds a function by, if it can be imported."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"
