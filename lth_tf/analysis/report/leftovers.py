"""Leftovers: what an earlier report left in the same folder, which a new one replaces.

`figures.sha256` lists the figures of a report with their checksums, as sha256sum reads it. What no
report has written is not this program's to replace, and what was changed since not to remove.
"""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from lth_tf import files, reading
from lth_tf.errors import UserError

MANIFEST = "figures.sha256"
TEXTS = ("levels.csv", "report.html", "report.md")
_TITLE = "# Lottery tickets"  # report.md begins so, also of reports from before there was a list
_UNKNOWN = "0" * 64  # the checksum of a figure that is about to be drawn
_MOST = 2**22  # bytes of the list


def claim(folder: Path, figures: Iterable[str]) -> None:
    """Lists in a folder what is about to be drawn, once it is known to replace nobody's file.

    Args:
        folder: the report's.
        figures: names of its figures' files.

    Raises:
        UserError: if a file that it would replace is none of a report, or the folder cannot be
            written.
    """
    figures = sorted(figures)
    listed = _listed(folder)
    is_report = os.path.lexists(folder / MANIFEST) or _is_older_report(folder)
    known = {*listed, *TEXTS} if is_report else set()
    if not os.path.lexists(folder / MANIFEST) and is_report:
        known.update(figures)
    for name in (*TEXTS, *figures):
        if name not in known and os.path.lexists(folder / name):
            raise UserError(
                f"{folder / name}: is there, and no report has written it; move it, or choose "
                "another --out"
            )
    _write(folder, {name: listed.get(name, _UNKNOWN) for name in {*listed, *figures}})


def keep_only(folder: Path, figures: Sequence[Path]) -> None:
    """Removes an earlier report's figures that are not among these, and lists these.

    Args:
        folder: the report's.
        figures: the files of its figures, which are in it.

    Raises:
        UserError: if the folder cannot be written.
    """
    for name, checksum in _listed(folder).items():
        path = folder / name
        if path not in figures and path.is_file() and reading.sha256(path) == checksum:
            with files.writing(path):
                path.unlink()
    _write(folder, {path.name: reading.sha256(path) for path in figures})


def _listed(folder: Path) -> dict[str, str]:
    """Returns the checksums of the figures that are listed, by name."""
    if not os.path.lexists(folder / MANIFEST):
        return {}
    text = reading.read_bytes(folder / MANIFEST, _MOST).decode("utf-8", errors="replace")
    found = re.findall(r"^([0-9a-f]{64})  ([^/\0\n]+\.(?:png|svg))$", text, re.M)
    return {name: checksum for checksum, name in found}


def _write(folder: Path, checksums: dict[str, str]) -> None:
    lines = [f"{checksum}  {name}\n" for name, checksum in sorted(checksums.items())]
    files.write_text(folder / MANIFEST, "".join(lines))


def _is_older_report(folder: Path) -> bool:
    path = folder / "report.md"
    return path.is_file() and path.read_bytes()[: len(_TITLE)] == _TITLE.encode()
