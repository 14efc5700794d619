"""Writes the pages' tables that the program's registries make: python docs/make_tables.py."""

import re
from pathlib import Path

from lth_tf.arms import ARMS
from lth_tf.studies import STUDIES

DOCS = Path(__file__).parent
PAGES = tuple(DOCS / name for name in ("methods.md", "studies.md"))
_TABLE = re.compile(r"(<!-- (\w+): python docs/make_tables\.py -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Writes the tables into the pages."""
    for path in PAGES:
        path.write_text(page(path), encoding="utf-8")


def page(path: Path) -> str:
    """Returns a page's text with its tables made anew."""
    tables = {"arms": _arms(), "studies": _studies()}
    text = path.read_text(encoding="utf-8")
    return _TABLE.sub(lambda found: found[1] + tables[found[2]] + found[3], text)


def _arms() -> str:
    lines = ["| `--arms` | what is trained | in figures |", "|---|---|---|"]
    lines += [f"| `{name}` | {arm.help} | {arm.label} |" for name, arm in ARMS.items()]
    return "".join(f"{line}\n" for line in lines)


def _studies() -> str:
    lines = ["| `--studies` | what it finds | `--set` |", "|---|---|---|"]
    for name, study in STUDIES.items():
        options = ", ".join(f"`{name}.{option}`" for option in study.options())
        lines.append(f"| `{name}` | {study.help} | {options} |")
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()
