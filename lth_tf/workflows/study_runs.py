"""Asking studies of runs: what is not known yet is computed, and kept in the run directory."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from lth_tf.analysis.pages.console import console_table
from lth_tf.errors import UserError
from lth_tf.lottery.opened_run import OpenedRun, open_runs
from lth_tf.studies import STUDIES, Study
from lth_tf.studies.finding import Finding, finding_of, folder_of, results_digest


@dataclasses.dataclass(frozen=True)
class Question:
    """What is asked of each run.

    Attributes:
        studies: names of studies; none for all that a run does not lack anything for.
        options: texts of options by study and name. A study that was asked before keeps those that
            are not here.
        again: whether what is known is computed again.
        data_dir: TFDS's folder; see `lth_tf.data.load`.
        command: the command line that asks.

    Raises:
        UserError: if there is no such study or option.
    """

    studies: Sequence[str] = ()
    options: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    again: bool = False
    data_dir: str | None = None
    command: str = ""

    def __post_init__(self) -> None:
        for name in (*self.studies, *self.options):
            STUDIES[name].parsed(self.options.get(name, {}))
        for name, options in self.options.items():
            if self.studies and name not in self.studies:
                raise UserError(
                    f"--set={name}.{next(iter(options))}: must be left out, as "
                    f"--studies={','.join(self.studies)} does not ask {name}"
                )


def study_runs(folders: Sequence[Path], question: Question, console: Console) -> list[Finding]:
    """Asks studies of runs, computes what is not known yet, and prints what is found.

    Args:
        folders: run directories, finished or not.
        question: what is asked.
        console: where to print.

    Returns:
        What was found, run by run.

    Raises:
        UserError: if a folder is no run directory or damaged, a study that is named cannot be asked
            of a run, or a file cannot be written.
    """
    found = []
    for run in open_runs(folders, data_dir=question.data_dir):
        for name in question.studies or STUDIES:
            with _flags_named(STUDIES[name]):
                finding = _asked(run, STUDIES[name], question, console)
            found += [finding] if finding else []
    return found


def ask(run: OpenedRun, study: Study, folder: Path, console: Console, command: str) -> Finding:
    """Computes a study, writes what it found and prints it.

    Args:
        run: the run.
        study: the study.
        folder: where to write.
        console: where to print.
        command: the command line that asks.

    Raises:
        UserError: if an option does not fit the run, a file of it is damaged, or one cannot be
            written.
    """
    rows = study.compute(run)
    finding = Finding(study, rows, study.notes(run), results_digest(run), folder)
    finding.write(command)
    console.print(console_table(finding.table))
    for text in (finding.table.note, *finding.notes, finding.sentence):
        console.print(text, soft_wrap=True)
    return finding


@contextlib.contextmanager
def _flags_named(study: type[Study]) -> Iterator[None]:
    """Names a study's options in messages by the flag that sets them here."""
    try:
        yield
    except UserError as error:
        text = str(error)
        for option in study.options():
            text = text.replace(f"--{option}=", f"--set={study.name}.{option}=")
        raise type(error)(text) from (error.__cause__ or error)  # perhaps the user's code's


def _asked(
    run: OpenedRun, kind: type[Study], question: Question, console: Console
) -> Finding | None:
    known = finding_of(run, kind)
    changes = kind.parsed(question.options.get(kind.name, {}))
    study = dataclasses.replace(known.study if known else kind(), **changes)
    label = f"{run.name}: {kind.name}"
    if lacks := study.lacks(run):
        if kind.name in question.studies:
            raise UserError(
                f"--studies={kind.name}: cannot be asked of {run.store.folder}. {lacks}"
            )
        console.print(f"{label} is left out. {lacks}", soft_wrap=True)
        return None
    if known and not question.again and study == known.study and known.is_of(run):
        console.print(
            f"{label}{_with(study)} is known, in {known.folder}; --again computes it again. "
            f"{known.sentence}",
            soft_wrap=True,
        )
        return known
    console.print(f"{label}{_with(study)} is computed: {_why(run, study, known)}.", soft_wrap=True)
    return ask(run, study, folder_of(run, kind), console, question.command)


def _with(study: Study) -> str:
    options = [f"{name}={value}" for name, value in study.changed.items()]
    return f" ({', '.join(options)})" if options else ""


def _why(run: OpenedRun, study: Study, known: Finding | None) -> str:
    if known is None:
        return "it was not asked before"
    if study != known.study:
        return f"what is known was computed with other settings{_with(known.study)}"
    if not known.results:
        return "what is known is of an earlier version"
    return "--again" if known.is_of(run) else "the run has other results than when it was asked"
