"""Findings: what a study found of a run, as files that are kept in the run directory.

`<study>.csv` has every number, and what is shown is made of it again each time; `study.json` has
the options that it was computed with, notes, and of which results of the run.
"""

import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lth_tf import files, reading
from lth_tf.analysis.figures import canvas
from lth_tf.analysis.figures.gallery import Picture
from lth_tf.analysis.pages.render import Drawn, render
from lth_tf.analysis.pages.table import Table
from lth_tf.errors import UserError
from lth_tf.recipe import digest
from lth_tf.runs.results import results_csv
from lth_tf.runs.run import Run
from lth_tf.studies import STUDIES
from lth_tf.studies.rows import read_rows, rows_csv
from lth_tf.studies.study import Study

FOLDER = "studies"  # inside a run directory


class _About(msgspec.Struct, forbid_unknown_fields=True):
    """study.json."""

    study: str = ""
    options: dict[str, Any] = {}
    results: str = ""
    notes: list[str] = []


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a study found.

    Attributes:
        study: the study, with the options that it was asked with.
        rows: what it computed.
        notes: sentences on what it did not compute.
        results: the digest of the run's results that it was computed of; empty if unknown.
        folder: where its files are.
    """

    study: Study
    rows: Sequence[Any]
    notes: Sequence[str] = ()
    results: str = ""
    folder: Path = Path()

    @functools.cached_property
    def table(self) -> Table:
        """Its table."""
        return self.study.table(self.rows)

    @functools.cached_property
    def pictures(self) -> Sequence[Picture]:
        """Its figures."""
        return self.study.pictures(self.rows)

    @functools.cached_property
    def sentence(self) -> str:
        """Its sentence."""
        return self.study.sentence(self.rows)

    def is_of(self, run: Run) -> bool:
        """Says whether it was computed of all results that the run has now."""
        return self.results == results_digest(run)

    def write(self, command: str = "") -> None:
        """Writes its CSV, figures, Markdown and study.json.

        Args:
            command: the command line that asked for it.

        Raises:
            UserError: if they cannot be written.
        """
        out, name = self.folder, self.study.name
        with files.writing(out):
            out.mkdir(parents=True, exist_ok=True)
        about_path = out / "study.json"
        with files.writing(about_path):
            # It would be of other rows, were this stopped half-way.
            about_path.unlink(missing_ok=True)
        drawn = {
            picture.name: Drawn(*canvas.write_figure(picture.draw, out, picture.name))
            for picture in self.pictures
        }
        text = render("study.md", finding=self, drawn=drawn, command=command)
        files.write_text(out / f"{name}.md", text)
        files.write_text(out / f"{name}.csv", rows_csv(self.rows))
        about = {
            "study": name,
            "options": self.study.changed,
            "results": self.results,
            "notes": list(self.notes),
        }
        files.write_json(about_path, about)


def require_ours(folder: Path, study: Study) -> None:
    """Checks that a folder has no file of a study's names, unless this study has written it.

    Args:
        folder: where it is to write, as a user chose it.
        study: the study.

    Raises:
        UserError: if it has one that something else has written; names it.
    """
    about = folder / "study.json"
    if os.path.lexists(about) and reading.read_json(about).get("study") == study.name:
        return
    for ending in ("csv", "md", "png", "svg", "json"):
        path = about if ending == "json" else folder / f"{study.name}.{ending}"
        if os.path.lexists(path):
            raise UserError(
                f"{path}: is there, and no study has written it; move it, or choose another --out"
            )


def findings_of(run: Run) -> Iterator[Finding]:
    """Yields what the run directory has of each study, in the studies' order.

    Raises:
        UserError: if a file is damaged.
    """
    for study in STUDIES.values():
        found = finding_of(run, study)
        if found:
            yield found


def finding_of(run: Run, study: type[Study]) -> Finding | None:
    """Returns what the run directory has of a study, if anything.

    Args:
        run: the run.
        study: the study's class.

    Raises:
        UserError: if a file is damaged.
    """
    places = [folder_of(run, study), *([study.former_folder] if study.former_folder else [])]
    for place in places:
        folder = run.store.folder / place
        if os.path.lexists(folder / f"{study.name}.csv"):
            return _read(folder, study)
    return None


def unknown_studies(run: Run) -> list[Path]:
    """Lists folders of studies whose package is not installed here."""
    there = sorted((run.store.folder / FOLDER).glob("*/study.json"))
    return [path.parent for path in there if path.parent.name not in STUDIES]


def folder_of(run: Run, study: type[Study]) -> Path:
    """Returns where a study's files are in a run directory.

    Args:
        run: the run.
        study: the study's class.
    """
    return run.store.folder / FOLDER / study.name


def results_digest(run: Run) -> str:
    """Returns a digest that changes when a training is finished, or trained again."""
    return digest({"results": results_csv(run.results)})


def _read(folder: Path, study: type[Study]) -> Finding:
    path = folder / "study.json"
    about = _About()
    if os.path.lexists(path):
        fields = reading.read_json(path)
        reading.take_checksum(path, fields)
        about = reading.conform(path, fields, _About)
    options = about.options
    if unknown := options.keys() - study.options().keys():
        raise UserError(
            f"{path}: must have options of {study.name}, but has {', '.join(sorted(unknown))}; "
            "remove its folder and ask again"
        )
    types = study.options()
    values = {name: reading.conform(path, v, types[name], name) for name, v in options.items()}
    return Finding(
        study=study(**values),
        rows=read_rows(folder / f"{study.name}.csv", study.row),
        notes=about.notes,
        results=about.results,
        folder=folder,
    )
