"""The table of what sparsity buys: bytes, multiply-adds and latency, for screens and files."""

import dataclasses
import io
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group
from rich.table import Table

from lth_tf.formats.sizes import Size

BATCHES = (1, 100)


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        title: what takes the bytes and the time.
        size: its bytes.
        seconds: its latency at each of `BATCHES`; none where nothing runs.
    """

    title: str
    size: Size
    seconds: Sequence[float] = ()


@dataclasses.dataclass(frozen=True)
class Gains:
    """What sparsity buys.

    Attributes:
        rows: sizes and latencies.
        multiply_adds: those for one image, of the dense network and with remaining weights alone.
        threads: threads that the latency was measured with; 0 for all cores.
    """

    rows: Sequence[Row]
    multiply_adds: tuple[int, int]
    threads: int

    @property
    def notes(self) -> list[str]:
        """What must be said beside the table."""
        dense, remaining = self.multiply_adds
        threads = {0: "all cores", 1: "one thread"}.get(self.threads, f"{self.threads} threads")
        return [
            f"Multiply-adds for one image: {dense:,} dense, {remaining:,} with the remaining "
            f"weights alone ({remaining / dense:.2%}).",
            f"Milliseconds from images to logits, medians of repeated runs in turn, {threads}, "
            "on the CPU, in a process that does nothing else. TensorFlow and Keras multiply by the "
            "zeros too.",
        ]

    def shown(self) -> Group:
        """Returns the table for the terminal."""
        return Group(self._table(box.HEAVY_HEAD), *self.notes)

    def markdown(self) -> str:
        """Returns the table and its notes as Markdown."""
        text = io.StringIO()
        Console(file=text, width=200).print(self._table(box.MARKDOWN))
        lines = [line.strip() for line in text.getvalue().splitlines() if line.strip()]
        return "\n".join([*lines, "", *(f"{note}\n" for note in self.notes)])

    def _table(self, lines: box.Box) -> Table:
        table = Table(box=lines, header_style="bold")
        table.add_column("", no_wrap=True)
        for title in ("bytes", "gzip", *(f"ms, batch {batch}" for batch in BATCHES)):
            table.add_column(title, justify="right")
        for row in self.rows:
            times = [f"{1e3 * seconds:,.3f}" for seconds in row.seconds] or [""] * len(BATCHES)
            table.add_row(row.title, f"{row.size.plain:,}", f"{row.size.compressed:,}", *times)
        return table
