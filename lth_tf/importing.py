"""Functions that a flag names as `package.module:function`.

Only names that the user has said, by a flag or in Python, are imported, and none that merely
stands in a file: a ticket or a run directory from elsewhere must not run code.
"""

import os
import pkgutil
from collections.abc import Callable
from typing import Any

from lth_tf.errors import UserError, users_code

_ALLOWED = "LTH_TF_FUNCTIONS"  # in the environment, which processes inherit


def names_function(text: str) -> bool:
    """Says whether a value is the name of a function, `package.module:function`."""
    module, colon, function = text.partition(":")
    parts = [*module.split("."), *function.split(".")]
    return bool(colon) and all(part.isidentifier() for part in parts)


def allow(*names: object) -> None:
    """Lets functions be imported, in this process and those that it starts: the user named them.

    Args:
        *names: values of flags or arguments; those that name no function are left out.
    """
    found = [name for name in names if isinstance(name, str) and names_function(name)]
    os.environ[_ALLOWED] = ",".join(dict.fromkeys([*_allowed(), *found]))


def _allowed() -> list[str]:
    return [name for name in os.environ.get(_ALLOWED, "").split(",") if name]


def import_function(flag: str, text: str) -> Callable[..., Any]:
    """Returns the function of a name.

    Args:
        flag: the flag's name, for messages.
        text: `package.module:function`; the module is imported.

    Raises:
        UserError: if it cannot be imported, or the user has not named it. A `UsersCodeError` for
            what the module itself raises.
    """
    if text not in _allowed():
        raise UserError(
            f"--{flag}={text}: stands in a file, and nothing that a file names is imported; if you "
            f"trust it, name it yourself, by --{flag}={text}, or give the function in Python"
        )
    if text.startswith("__main__:"):
        raise UserError(
            f"--{flag}={text}: was defined in a script or notebook; it must be defined in a module "
            "that can be imported"
        )
    with users_code(f"--{flag}={text}"):  # any module may be wrong in any way
        try:
            found = pkgutil.resolve_name(text)
        except (ImportError, AttributeError, ValueError) as error:
            raise UserError(f"--{flag}={text}: must name a function, but {error}") from None
    if not callable(found):
        raise UserError(f"--{flag}={text}: must name a function, not a {type(found).__name__}")
    return found


def name_of(function: Callable[..., Any]) -> str:
    """Returns the name that `import_function` finds a function by, if it can be imported."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"
