"""A table of a report, as text."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the report.

    Attributes:
        title: what it says.
        columns: its header.
        rows: its cells.
        note: stands below it.
        marked: numbers of the rows that stand out.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    marked: Sequence[int] = ()
