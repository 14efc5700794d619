"""Leftovers: figures of an earlier report in the same folder, which a new one takes away.

`figures.sha256` lists the figures of a report with their checksums, as sha256sum reads it. What is
not listed there, or was changed since, is not this program's to remove.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from lth_tf import files, reading

MANIFEST = "figures.sha256"


def keep_only(folder: Path, figures: Sequence[Path]) -> None:
    """Removes an earlier report's figures that are not among these, and lists these.

    Args:
        folder: the report's.
        figures: the files of its figures, which are in it.

    Raises:
        UserError: if the folder cannot be written.
    """
    manifest = folder / MANIFEST
    earlier = manifest.read_text(encoding="utf-8", errors="replace") if manifest.is_file() else ""
    for checksum, name in re.findall(r"^([0-9a-f]{64})  ([\w.-]+\.(?:png|svg))$", earlier, re.M):
        path = folder / name
        if path not in figures and path.is_file() and reading.sha256(path) == checksum:
            with files.writing(path):
                path.unlink()
    listed = [f"{reading.sha256(path)}  {path.name}\n" for path in sorted(figures)]
    files.write_text(manifest, "".join(listed))
