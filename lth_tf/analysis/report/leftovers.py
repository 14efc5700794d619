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
INDEX = "index.html"
_TITLE = "# Lottery tickets"  # report.md begins so, also of reports from before there was a list
_UNKNOWN = "0" * 64  # the checksum of a figure that is about to be drawn
_MOST = 2**22  # bytes of the list


def claim(folder: Path, figures: Iterable[str], texts: Sequence[str] = TEXTS) -> None:
    """Lists in a folder what is about to be drawn, once it is known to replace nobody's file.

    Args:
        folder: the report's.
        figures: names of its figures' files.
        texts: names of its other files: a report's, or an index's.

    Raises:
        UserError: see `require_ours`; or if the folder cannot be written.
    """
    figures = sorted(figures)
    require_ours(folder, figures, texts)
    listed = _listed(folder)
    _write(folder, {name: listed.get(name, _UNKNOWN) for name in {*listed, *figures}})


def require_ours(folder: Path, figures: Sequence[str], texts: Sequence[str]) -> None:
    """Checks that a report, or an index, would replace nobody's file.

    Args:
        folder: where it is to be; need not be there.
        figures: names of its figures' files.
        texts: names of its other files.

    Raises:
        UserError: if a file that it would replace is none of a report, or an index would be in the
            folder of a report, whose figures it would remove.
    """
    is_listed = os.path.lexists(folder / MANIFEST)
    is_report = is_listed or _is_older_report(folder)
    known = {*_listed(folder), *texts} if is_report else set()
    if not is_listed and is_report:
        known.update(figures)
    for name in (*texts, *figures):
        if name not in known and os.path.lexists(folder / name):
            raise UserError(
                f"{folder / name}: is there, and no report has written it; move it, or choose "
                "another --out"
            )
    reports = [name for name in TEXTS if os.path.lexists(folder / name)] if is_report else []
    if reports and INDEX in texts:
        raise UserError(
            f"{folder / reports[0]}: is of a report, whose figures an index would remove; choose "
            "another --out"
        )


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
    if not path.is_file():
        return False
    with reading.opened(path) as file:
        return file.read(len(_TITLE)) == _TITLE.encode()
