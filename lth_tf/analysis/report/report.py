"""The report: what run directories say, as sections of text, tables and figures, and as files."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from lth_tf import files
from lth_tf.analysis.figures import canvas
from lth_tf.analysis.figures.comparison import comparisons
from lth_tf.analysis.figures.gallery import Picture, pictures_of
from lth_tf.analysis.figures.paper_points import paper_points
from lth_tf.analysis.figures.points import (
    Point,
    common_marks,
    curve_points,
    layer_points,
    level_points,
    levels_csv,
)
from lth_tf.analysis.figures.published_points import kept_points
from lth_tf.analysis.pages.render import Drawn, render
from lth_tf.analysis.pages.table import Table
from lth_tf.analysis.report.background import recipe_table, runtime_table, setting_of
from lth_tf.analysis.report.leftovers import claim, keep_only
from lth_tf.analysis.report.notes import notes_on
from lth_tf.analysis.report.tables import effects_table, measured_table, spread_table, verdict_table
from lth_tf.analysis.verdict.judging import judge
from lth_tf.analysis.verdict.sentence import verdict_sentence
from lth_tf.analysis.verdict.verdict import Margins, Verdict, margins_for, share_of_dense
from lth_tf.errors import UserError
from lth_tf.lottery.rewinding import iterations_before, keeps_trained_weights
from lth_tf.paper.recipes import RECIPES
from lth_tf.runs.experiment import Training
from lth_tf.runs.record import not_known_here
from lth_tf.runs.results import Result
from lth_tf.runs.run import Run, read_runs
from lth_tf.runs.store import EXPERIMENT
from lth_tf.studies.finding import findings_of, unknown_studies


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Margins that are wanted instead of those of the data set.

    Attributes:
        accuracy: by how many points a ticket's accuracy may be worse, or by how much another
            metric; None: the data set's, or a hundredth of the dense networks' metric.
        iterations: by which share it may stop later; None: the data set's.
        claim_density: the most of the weights that a ticket of the claim has, a fraction; None: a
            quarter.
    """

    accuracy: float | None = None
    iterations: float | None = None
    claim_density: float | None = None

    def margins(self, run: Run) -> Margins:
        """Returns the margins for a run."""
        margins = margins_for(run.experiment.recipe.dataset)
        if self.claim_density is not None:
            margins = dataclasses.replace(margins, claim_density=self.claim_density)
        if self.iterations is not None:
            margins = dataclasses.replace(margins, iterations=self.iterations)
        if self.accuracy is not None:
            return dataclasses.replace(margins, accuracy=self.accuracy / run.metric.scale)
        return margins if run.metric.is_fraction else share_of_dense(margins, run.results)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """What the report says of one run, or of several together.

    Attributes:
        title: what it is about.
        setting: of a run, what was trained; empty of others.
        headline: the verdict in a sentence; empty of what is no run by itself.
        finding: of a study, what it found in a sentence; empty of others.
        notes: sentences that the verdict must be read with.
        tables: of the verdict.
        pictures: the figures, those that carry the verdict first.
        background: tables of recipe, hardware and time.
    """

    title: str
    setting: str = ""
    headline: str = ""
    finding: str = ""
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    background: Sequence[Table] = ()


def write_report(
    folders: Sequence[Path], out: Path, wanted: Wanted | None = None, command: str = ""
) -> list[Section]:
    """Writes figures, levels.csv, report.html and report.md on run directories.

    Figures of an earlier report that this one does not have are removed; files that no report has
    written are not replaced.

    Args:
        folders: the run directories, finished or not.
        out: the folder to write to; made if it is not there.
        wanted: margins, where they are not to be those of the data set.
        command: the command line that asked for it.

    Returns:
        The report's sections, one for each run, and one for each of its studies, behind
        one that compares the runs if there is one.

    Raises:
        UserError: if a folder is no run directory or damaged, or `out` cannot be written or has
            files of the same names that no report has written.
    """
    runs = read_runs(folders)
    points, sections = _sections(runs, wanted or Wanted())
    with files.writing(out):
        out.mkdir(parents=True, exist_ok=True)
    names = [picture.name for section in sections for picture in section.pictures]
    claim(out, [f"{name}.{ending}" for name in names for ending in ("png", "svg")])
    files.write_text(out / "levels.csv", levels_csv(points, {run.name: run.metric for run in runs}))
    drawn = {
        picture.name: Drawn(*canvas.write_figure(picture.draw, out, picture.name))
        for section in sections
        for picture in section.pictures
    }
    keep_only(out, [path for figure in drawn.values() for path in figure])
    for name in ("report.html", "report.md"):
        files.write_text(out / name, render(name, sections=sections, drawn=drawn, command=command))
    return sections


def headline(folder: Path) -> str:
    """Returns the verdict on a run in a sentence, and writes nothing.

    Args:
        folder: the run directory, finished or not.

    Raises:
        UserError: if it is no run directory, or damaged.
    """
    (run,) = read_runs([folder])
    return verdict_sentence(verdict_on(run, Wanted()))


def _sections(runs: Sequence[Run], wanted: Wanted) -> tuple[list[Point], list[Section]]:
    points: list[Point] = []
    sections = []
    for run in runs:
        of_run, paper, section = section_of(run, wanted)
        sections += [section, *_studies(run)]
        points += [*of_run, *(point for point in paper if point not in points)]
    together = comparisons(runs, points, [is_judged_by_marks(run) for run in runs])
    if together:
        sections.insert(0, Section(title="Runs together", pictures=together))
    return points, sections


def section_of(run: Run, wanted: Wanted) -> tuple[list[Point], list[Point], Section]:
    """Returns what is drawn of a run, the paper's points for it, and what is said of it.

    Args:
        run: the run.
        wanted: margins, where they are not to be those of the data set.

    Raises:
        UserError: if its files are damaged.
    """
    points = [*level_points(run.name, run.results), *_points_of_levels(run)]
    paper = [] if not run.results else paper_points(run.experiment)
    return points, paper, _section(run, points, paper, wanted)


def is_judged_by_marks(run: Run) -> bool:
    """Says whether a run is judged at its marks, not at early stopping."""
    return bool(judged_marks(run))


def _points_of_levels(run: Run) -> list[Point]:
    """Returns what is drawn over iterations and by layer."""
    if run.store.is_published:
        return kept_points(run)
    return [*curve_points(run), *layer_points(run.name, run.results)]


def _section(run: Run, points: Sequence[Point], paper: Sequence[Point], wanted: Wanted) -> Section:
    marks, verdict = judged_marks(run), verdict_on(run, wanted)
    against_density = level_points(run.name, run.results)
    tables = [verdict_table(verdict), spread_table(verdict), effects_table(verdict)]
    tables.append(measured_table(run, against_density, verdict) if run.results else None)
    return Section(
        title=run.name,
        setting=setting_of(run),
        headline=verdict_sentence(verdict),
        notes=notes_on(run, verdict, marks),
        tables=[table for table in tables if table and table.rows],
        pictures=pictures_of(run, points, paper, bool(marks)),
        background=[recipe_table(run), runtime_table(run)],
    )


def verdict_on(run: Run, wanted: Wanted) -> Verdict:
    """Returns the verdict on a run.

    Args:
        run: the run.
        wanted: margins, where they are not to be those of the data set.
    """
    grid, marks = run.experiment.recipe.eval_every, judged_marks(run)
    while_training = run.experiment.prunes_while_training
    return judge(
        run.results, wanted.margins(run), grid, marks, run.metric, _earlier(run), while_training
    )


def _earlier(run: Run) -> Callable[[Result], int] | None:
    """Returns the iterations that a result's weights were trained for before; None if for none."""
    try:
        if not keeps_trained_weights(run.experiment):
            return None
    except UserError as error:
        raise not_known_here(run.store.folder / EXPERIMENT, run.starts, error) from None
    return lambda r: iterations_before(Training(r.replicate, r.level, r.arm), run.experiment)


def _studies(run: Run) -> list[Section]:
    """Returns what studies left in the run directory, a section for each."""
    sections = []
    for found in findings_of(run):
        place = found.folder.relative_to(run.store.folder)
        notes = [*found.notes, f"{place}/{found.study.name}.csv has every number of these."]
        if found.results and not found.is_of(run):
            notes.append(
                "The run has other results now than when this was computed; python -m lth_tf.study "
                f"--studies={found.study.name} computes it again."
            )
        pictures = [
            dataclasses.replace(picture, name=f"{run.slug}-{picture.name}")
            for picture in found.pictures
        ]
        sections.append(
            Section(
                title=f"{run.name}: {found.study.title}",
                finding=found.sentence,
                notes=notes,
                tables=[found.table],
                pictures=pictures,
            )
        )
    for folder in unknown_studies(run):
        note = (
            f"studies/{folder.name} has what it found; the package that shows it is not installed "
            "here."
        )
        sections.append(Section(title=f"{run.name}: {folder.name}", notes=[note]))
    return sections


def judged_marks(run: Run) -> list[int]:
    """Lists the marks that a run is judged at: those of deep networks; none of the others.

    A network of the paper that it stops early is judged so, whatever marks are recorded as well.
    """
    paper = RECIPES.get(run.experiment.recipe.model)
    return common_marks(run.results) if paper is None or paper.marks else []
