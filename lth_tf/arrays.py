"""Arrays by group and name: in one dict as a file holds them, and their checksum."""

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

Arrays = dict[str, np.ndarray]


def flatten(groups: Mapping[str, Mapping[str, np.ndarray]]) -> Arrays:
    """Returns arrays of groups in one dict, by `group:name`."""
    return {f"{g}:{n}": array for g, group in groups.items() for n, array in group.items()}


def nest(arrays: Mapping[str, np.ndarray], groups: Iterable[str]) -> dict[str, Arrays]:
    """Returns what `flatten` was given, empty groups among them.

    Args:
        arrays: arrays by `group:name`.
        groups: all groups that there are.
    """
    nested: dict[str, Arrays] = {group: {} for group in groups}
    for key, array in arrays.items():
        group, name = key.split(":", 1)
        nested[group][name] = array
    return nested


def checksum(arrays: Mapping[str, np.ndarray], text: str = "") -> str:
    """Returns the SHA-256, in hex, of a text and then each array's name and bytes, by name.

    Args:
        arrays: arrays by name, of any shape.
        text: what is hashed before them.
    """
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        found.update(name.encode())
        found.update(np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()
