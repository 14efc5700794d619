"""Rows of a study as CSV: dataclasses of texts, numbers, None, and tuples of them."""

import dataclasses
import math
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from lth_tf.errors import UserError, shortened
from lth_tf.reading import read_table
from lth_tf.runs.results import csv_text

_T = TypeVar("_T")


def rows_csv(rows: Sequence[Any]) -> str:
    """Returns rows as CSV; the header has the names of their fields."""
    header = [field.name for field in dataclasses.fields(rows[0])]
    return csv_text(header, ([_cell(getattr(row, name)) for name in header] for row in rows))


def read_rows(path: Path, row: type[_T]) -> list[_T]:
    """Reads what `rows_csv` wrote.

    Args:
        path: the file.
        row: the rows' dataclass.

    Raises:
        UserError: if it is damaged, or holds something else.
    """
    expected = get_type_hints(row)
    try:
        found = [
            row(**{name: value_of(cells[name], expected[name]) for name in expected})
            for cells in read_table(path, frozenset(expected))
        ]
        if not found:
            raise ValueError("it has no rows")
    except (TypeError, ValueError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise UserError(
            f"{path}: must be what a study of this version wrote, but {reason}; remove its folder "
            "and ask again"
        ) from None
    return found


def value_of(text: str, kind: Any, between: str = " ") -> Any:
    """Returns the value of a type that a text stands for.

    Args:
        text: the text.
        kind: str, int, float, bool, a tuple such as tuple[int, ...], or one of them or None.
        between: what stands between the parts of a tuple.

    Raises:
        ValueError: if it stands for none.
    """
    if isinstance(kind, types.UnionType):
        (kind,) = (each for each in get_args(kind) if each is not types.NoneType)
        return None if text == "" else value_of(text, kind, between)
    if get_origin(kind) is tuple:
        parts = text.split(between) if text else []
        return tuple(value_of(part, get_args(kind)[0]) for part in parts)
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{shortened(text, 80)!r} must be true or false")
        return text.lower() == "true"
    try:
        if kind is int and len(text) > 18:
            raise ValueError("no number of this program has so many digits")
        value = kind(text)
        if isinstance(value, float) and math.isinf(value):
            raise ValueError("an infinite number")
        return value
    except ValueError:
        what = {int: "a whole number", float: "a number"}.get(kind, kind.__name__)
        raise ValueError(f"{shortened(text, 80)!r} must be {what}") from None


def _cell(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, tuple) else value
