"""The index: one page on several runs, each with its headline and its small figures."""

import dataclasses
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from lth_tf import files
from lth_tf.analysis.figures import canvas
from lth_tf.analysis.figures.comparison import comparisons
from lth_tf.analysis.figures.gallery import Picture
from lth_tf.analysis.figures.levels import by_level, density_of
from lth_tf.analysis.pages.render import Drawn, render
from lth_tf.analysis.pages.table import Table
from lth_tf.analysis.report.leftovers import INDEX, claim, keep_only, require_ours
from lth_tf.analysis.report.report import (
    Wanted,
    is_judged_by_marks,
    judged_marks,
    section_of,
    verdict_on,
)
from lth_tf.metric import percent
from lth_tf.runs.experiment import DENSE, TICKET
from lth_tf.runs.results import Result
from lth_tf.runs.run import Run, read_runs

_NONE = "-"
_NETWORKS = (DENSE, TICKET)


class Entry(NamedTuple):
    """An experiment of the index.

    Attributes:
        folder: its run directory; one that has not begun is on the page by its title only.
        title: what it is called.
        failure: what went wrong; empty if all is well.
    """

    folder: Path
    title: str
    failure: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """What the index says of a run.

    Attributes:
        title: its name.
        place: where its own report lies, from the index; empty if it has none.
        setting: what is trained.
        headline: the verdict in a sentence.
        state: how many of its trainings are finished.
        failure: why it could not be run or went no further; empty if all is well.
        pictures: the figures that carry its verdict.
    """

    title: str
    place: str = ""
    setting: str = ""
    headline: str = ""
    state: str = ""
    failure: str = ""
    pictures: Sequence[Picture] = ()


def write_index(entries: Sequence[Entry], out: Path, command: str = "") -> Table:
    """Writes index.html on run directories, finished or not, and its figures.

    Args:
        entries: the experiments.
        out: the folder to write to; made if it is not there.
        command: the command line that asked for it.

    Returns:
        The table that compares the runs.

    Raises:
        UserError: if a folder is damaged, or `out` cannot be written, has a report, or an
            index.html that is none of this program's.
    """
    runs = _runs(entries)
    points, cards = [], []
    for folder, title, failure in entries:
        if folder not in runs:
            cards.append(Card(title=title, failure=failure, state="not begun"))
            continue
        run = runs[folder]
        of_run, paper, section = section_of(run, Wanted())
        points += [*of_run, *(point for point in paper if point not in points)]
        cards.append(
            Card(
                title=run.name,
                place=_report_of(folder, out),
                setting=section.setting,
                headline=section.headline,
                state=f"{len(run.results):,} of {run.planned:,} trainings",
                failure=failure,
                pictures=[picture for picture in section.pictures if picture.leads],
            )
        )
    known = list(runs.values())
    together = comparisons(known, points, [is_judged_by_marks(run) for run in known])
    table = _table(known)
    with files.writing(out):
        out.mkdir(parents=True, exist_ok=True)
    pictures = [*together, *(picture for card in cards for picture in card.pictures)]
    claim(out, [f"{p.name}.{ending}" for p in pictures for ending in ("png", "svg")], (INDEX,))
    drawn = {p.name: Drawn(*canvas.write_figure(p.draw, out, p.name)) for p in pictures}
    keep_only(out, [path for figure in drawn.values() for path in figure])
    content = {"cards": cards, "table": table, "together": together}
    files.write_text(out / INDEX, render(INDEX, **content, drawn=drawn, command=command))
    return table


def require_room(out: Path) -> None:
    """Checks that an index would replace nobody's file, before what it is about is trained.

    Raises:
        UserError: if it would, or `out` has a report, whose figures it would remove.
    """
    require_ours(out, (), (INDEX,))


def _runs(entries: Sequence[Entry]) -> dict[Path, Run]:
    """Reads the runs that have begun, by folder, and names them by their titles."""
    begun = [e for e in entries if os.path.lexists(e.folder / "experiment.json")]
    runs = read_runs([entry.folder for entry in begun])
    if len({entry.title for entry in begun}) == len(begun):
        pairs = zip(runs, begun, strict=True)
        runs = [dataclasses.replace(run, name=entry.title) for run, entry in pairs]
    return {entry.folder: run for entry, run in zip(begun, runs, strict=True)}


def _report_of(folder: Path, out: Path) -> str:
    report = folder / "report/report.html"
    return quote(os.path.relpath(report, out)) if report.exists() else ""


def _table(runs: Sequence[Run]) -> Table:
    columns = ["run", "trainings", "dense network", "best ticket", "at", "winning tickets"]
    rows = [[run.name, f"{len(run.results):,} of {run.planned:,}", *_found(run)] for run in runs]
    note = (
        "Test metric where each training is judged (at the last mark, where there are marks), "
        "means over the replicates; the best ticket is the level with the best mean. Winning "
        "tickets: the densities of the verdict's claim."
    )
    return Table("Experiments", columns, rows, note)


def _found(run: Run) -> list[str]:
    marks = judged_marks(run)
    groups = {key: group for key, group in by_level(run.results).items() if key[1] in _NETWORKS}
    means = {
        key: statistics.fmean(_judged(r, marks) for r in group) for key, group in groups.items()
    }
    tickets = {level: mean for (level, kind), mean in means.items() if kind == TICKET}
    best = max(tickets, key=lambda level: run.metric.gain(tickets[level]), default=None)
    dense = means.get((0, DENSE))
    claimed = verdict_on(run, Wanted()).claimed
    levels = dict.fromkeys((claimed[0], claimed[-1])) if claimed else ()
    return [
        _NONE if dense is None else run.metric.text(dense),
        _NONE if best is None else run.metric.text(tickets[best]),
        _NONE if best is None else percent(density_of(groups[best, TICKET])),
        " to ".join(percent(level.density) for level in levels) or _NONE,
    ]


def _judged(result: Result, marks: Sequence[int]) -> float:
    return result.test_accuracy_at[marks[-1]] if marks else result.test_accuracy_at_early_stop
