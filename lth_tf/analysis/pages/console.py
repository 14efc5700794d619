"""A report's tables on the console."""

import rich.box
import rich.table

from lth_tf.analysis.pages.table import Table


def console_table(table: Table) -> rich.table.Table:
    """Returns a report's table for the console, without its note."""
    shown = rich.table.Table(
        title=table.title,
        title_justify="left",
        header_style="bold",
        box=rich.box.SIMPLE_HEAD,
    )
    for number, title in enumerate(table.columns):
        longest = max(map(len, title.split()), default=1)
        shown.add_column(title, justify="right" if number else "left", min_width=longest)
    for row in table.rows:
        shown.add_row(*row)
    return shown
