"""Ensembles: the study of them, asked of several runs, and tickets as one SavedModel."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lth_tf.errors import UserError
from lth_tf.formats.saved_model import export_ensemble
from lth_tf.lottery.opened_run import open_run
from lth_tf.studies.ensemble import Ensemble
from lth_tf.studies.finding import Finding, folder_of, require_ours
from lth_tf.workflows.study_runs import ask


def run_ensembles(
    folders: Sequence[Path],
    level: int,
    out: Path | None,
    console: Console,
    *,
    levels: Sequence[int] = (),
    data_dir: str | None = None,
    saved_model: Path | None = None,
    command: str = "",
) -> Finding:
    """Measures ensembles of runs on the test set, writes what was found and prints it.

    Args:
        folders: run directories on one test set; the first has the tickets.
        level: the tickets' level.
        out: the folder to write to, made if it is not there; by default that of the first run's
            studies.
        console: where to print.
        levels: levels of the tickets of one theta_0; by default those nearest to `level`.
        data_dir: TFDS's folder, its own default if None.
        saved_model: where to write the tickets of different theta_0 as one SavedModel, if at all.
        command: the command line that asked for it.

    Raises:
        UserError: if a folder is no run directory or damaged, the test sets differ, a level has no
            finished ticket, no group has two members, or a file cannot be written or is none of an
            ensemble's.
    """
    run = open_run(folders[0], data_dir=data_dir)
    study = Ensemble(level, tuple(levels), tuple(map(str, folders[1:])))
    if lacks := study.lacks(run):
        raise UserError(f"{run.store.folder}: {lacks}")
    if out:
        require_ours(out, study)
    groups = study.groups(run)
    if saved_model and len(groups.tickets.results) < 2:
        raise UserError(f"--saved_model={saved_model}: must have two tickets. {groups.notes[0]}")
    finding = ask(run, study, out or folder_of(run, Ensemble), console, command)
    if saved_model:
        export_ensemble([run.model(training) for training in groups.tickets.trainings], saved_model)
    return finding
