"""The report of ensembles: a table, a figure, and both as files."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rich.box
import rich.table
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lth_tf import files
from lth_tf.analysis.ensembles.votes import FILE, Vote, write_votes
from lth_tf.analysis.figures import canvas
from lth_tf.analysis.figures.gallery import Picture
from lth_tf.analysis.pages.render import Drawn, render
from lth_tf.analysis.pages.table import Table

FOLDER = "ensemble"  # inside a run directory
_COLUMNS = (
    "ensemble of", "networks", "weights in all", "accuracy of one (%)", "of all (%)",
    "gain (points)", "NLL", "ECE (%)", "disagreement (%)",
)  # fmt: skip
_NOTE = (
    "Soft vote on the test set: the mean of the networks' probabilities. Of one: mean over the "
    "networks. In brackets: 95% bootstrap intervals over test examples, which say nothing of other "
    "tickets. NLL (negative log-likelihood in nats) and ECE (expected calibration error, 15 bins): "
    "of one, then of all. Disagreement: the test examples that two networks take for different "
    "classes, mean over pairs."
)
_CAPTION = (
    "Mean over all subsets of each size (from eleven networks on: over 252 of them). Bars: 95% "
    "bootstrap intervals over test examples."
)


def ensemble_table(votes: Sequence[Vote]) -> Table:
    """Returns a row for each group, of all its members together."""
    rows = [_row(name, group[0], group[-1]) for name, group in _groups(votes).items()]
    return Table(f"Ensembles of tickets at level {votes[0].level}", _COLUMNS, rows, _NOTE)


def ensemble_picture(name: str, votes: Sequence[Vote]) -> Picture:
    """Returns the figure of accuracy as ensembles grow.

    Args:
        name: of its files, without their endings.
        votes: what it shows.
    """
    title = f"Test accuracy of growing ensembles, tickets at level {votes[0].level}"
    return Picture(name, title, _CAPTION, functools.partial(_draw, votes))


def write_ensemble(out: Path, votes: Sequence[Vote], notes: Sequence[str], command: str) -> Table:
    """Writes ensemble.csv, ensemble.png, ensemble.svg and ensemble.md; returns the table.

    Args:
        out: the folder; made if it is not there.
        votes: what was measured.
        notes: sentences on what was not.
        command: the command line that asked for it.

    Raises:
        UserError: if they cannot be written.
    """
    with files.writing(out):
        out.mkdir(parents=True, exist_ok=True)
    table, picture = ensemble_table(votes), ensemble_picture("ensemble", votes)
    drawn = Drawn(*canvas.write_figure(picture.draw, out, picture.name))
    name = "ensemble.md"
    text = render(
        name, table=table, picture=picture, drawn=drawn, notes=notes, command=command, csv=FILE
    )
    files.write_text(out / name, text)
    write_votes(out, votes)
    return table


def console_table(table: Table) -> rich.table.Table:
    """Returns a report's table for the console, without its note."""
    shown = rich.table.Table(
        title=table.title,
        title_justify="left",
        header_style="bold",
        box=rich.box.SIMPLE_HEAD,
    )
    for number, title in enumerate(table.columns):
        longest = max(map(len, title.split()))
        shown.add_column(title, justify="right" if number else "left", min_width=longest)
    for row in table.rows:
        shown.add_row(*row)
    return shown


def _groups(votes: Sequence[Vote]) -> dict[str, list[Vote]]:
    """Returns each group's votes from one member on, by name, with that of another run."""
    groups: dict[str, list[Vote]] = {}
    for vote in votes:
        name = vote.group if vote.run == votes[0].run else f"{vote.group} ({vote.run})"
        groups.setdefault(name, []).append(vote)
    return {name: sorted(group, key=lambda vote: vote.size) for name, group in groups.items()}


def _row(name: str, one: Vote, whole: Vote) -> list[str]:
    accuracy = _percent(whole.accuracy)
    return [
        name,
        str(whole.members),
        f"{whole.remaining:,.0f}",
        _percent(one.accuracy),
        f"{accuracy} ({_percent(whole.accuracy_low)} to {_percent(whole.accuracy_high)})",
        f"{_points(whole.gain)} ({_points(whole.gain_low)} to {_points(whole.gain_high)})",
        f"{one.negative_log_likelihood:.4f}, {whole.negative_log_likelihood:.4f}",
        f"{_percent(one.calibration_error)}, {_percent(whole.calibration_error)}",
        _percent(whole.disagreement),
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _points(difference: float) -> str:
    return f"{100 * difference:+z.2f}"


def _draw(votes: Sequence[Vote]) -> Figure:
    figure = canvas.new_figure(height=3.6)
    axes = figure.subplots()
    groups = _groups(votes)
    for number, (name, group) in enumerate(groups.items()):
        # Side by side, where several groups have as many members.
        aside = 0.05 * (number - (len(groups) - 1) / 2)
        look = number % len(canvas.COLOURS)
        style = {"color": canvas.COLOURS[look], "marker": canvas.MARKERS[look]}
        sizes = [vote.size + aside for vote in group]
        means = [100 * vote.accuracy for vote in group]
        axes.plot(sizes, means, label=name, **style)
        whole = group[-1]
        bars = [[whole.accuracy - whole.accuracy_low], [whole.accuracy_high - whole.accuracy]]
        thin = {"color": style["color"], "linewidth": 1}
        axes.errorbar(sizes[-1:], means[-1:], 100 * np.array(bars), **thin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("networks that vote")
    canvas.title(axes, "test accuracy of growing ensembles (%)")
    canvas.legend_below(axes)
    return figure
