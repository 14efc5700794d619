"""Registries: things of one kind by name, each in a file of its own, and those of users' packages.

A registry knows the package whose modules register its entries, and imports them when it is first
asked. A user's package adds entries by the same decorators; it announces the modules that have
them by an entry point of the group `lth_tf`, so that every process finds them without a flag:

    [project.entry-points.lth_tf]
    anything = "package.module"
"""

import difflib
import importlib
import importlib.metadata
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from lth_tf.errors import UserError

GROUP = "lth_tf"


class Named(Protocol):
    """What a registry holds, unless it holds functions.

    Attributes:
        name: what flags and files call it.
    """

    name: str


_T = TypeVar("_T", bound=Named | Callable[..., Any])


class Registry(Mapping[str, _T]):
    """Entries by name: by their `place`, then the project's before users', then as registered."""

    def __init__(self, flag: str, package: str, also: str = "") -> None:
        """Makes a registry.

        Args:
            flag: the flag that chooses an entry, for messages.
            package: the package whose modules register the entries of this project, or the one
                module that does.
            also: what the flag takes besides the names of entries, for messages.
        """
        self._flag = flag
        self._package = package
        self._also = also
        self._entries: dict[str, _T] = {}
        self._homes: dict[str, str] = {}
        self._is_loaded = False

    def register(self, entry: _T) -> _T:
        """Adds an entry; usable as a decorator.

        Args:
            entry: a class or an object with a `name`, or a function, called by its own name.

        Raises:
            UserError: if there is another entry of that name.
        """
        # Of a class the module that has it, of an object the one that made it.
        home = sys._getframe(1).f_globals.get("__name__", "__main__")
        name = entry.name if hasattr(entry, "name") else entry.__name__
        known = self._entries.setdefault(name, entry)
        if known is not entry:
            raise UserError(
                f"--{self._flag}={name}: is registered twice, by {self._homes[name]} "
                f"and by {home}; give one of them another name"
            )
        self._homes[name] = home
        return entry

    def __getitem__(self, name: str) -> _T:
        """Returns an entry by name.

        Raises:
            UserError: if there is none; the message names those that there are.
        """
        self._load()
        if name not in self._entries:
            near = difflib.get_close_matches(name, self._entries, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            also = f", or {self._also}" if self._also else ""
            raise UserError(f"--{self._flag}={name}: must be one of {', '.join(self)}{also}{meant}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        """Says whether there is an entry of a name."""
        self._load()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        """Yields the names in order."""
        self._load()
        return iter(sorted(self._entries, key=self._order))

    def __len__(self) -> int:
        """Returns the number of entries."""
        self._load()
        return len(self._entries)

    def _order(self, name: str) -> tuple[int, bool]:
        is_users = not f"{self._homes.get(name)}.".startswith(f"{self._package}.")
        return getattr(self._entries[name], "place", 1_000), is_users

    def _load(self) -> None:
        if self._is_loaded:
            return
        self._is_loaded = True  # before it is: what is imported may ask for entries itself
        try:
            package = importlib.import_module(self._package)
            place = getattr(package, "__path__", ())
            for module in pkgutil.iter_modules(place, f"{self._package}."):
                importlib.import_module(module.name)
            load_plugins()
        except BaseException:  # else later calls would find some of the entries
            self._is_loaded = False
            raise


def load_plugins() -> None:
    """Imports the modules that installed packages announce for this program.

    Raises:
        UserError: if one cannot be imported; names the package.
    """
    for point in importlib.metadata.entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:
            package = point.dist.name if point.dist else point.name
            raise UserError(
                f"{package}: its entry point {point.name} = {point.value} of the group {GROUP} "
                f"cannot be imported ({type(error).__name__}: {error}); mend or uninstall it"
            ) from error


def plugin_versions() -> dict[str, str]:
    """Returns the versions of the installed packages that announce modules, by package."""
    packages = [point.dist for point in importlib.metadata.entry_points(group=GROUP)]
    return {package.name: package.version for package in packages if package}
