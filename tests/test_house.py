"""The house: imports go down the floors, and no two folders import each other."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lth_tf"
# From the top: a folder imports those below it. What lies in no folder, binaries aside, is the
# ground, which imports no folder. The report has a floor of its own: it collects what studies
# found, and they draw with the rest of analysis.
FLOORS = (
    "workflows",
    "analysis.report",
    "studies",
    "analysis",
    "benchmark",
    "paper",
    "lottery",
    "arms",
    "runs",
    "formats",
    "training",
    "pruning",
    "data",
    "models",
)
BINARIES = ("main", "report", "export", "ensemble", "study", "sweep", "bench", "__init__")
NO_TENSORFLOW = ("analysis", "studies", "paper", "arms", "runs")


def room_of(path: Path) -> str:
    """The folder of a file, of analysis's the inner one as well; the ground or a binary."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if len(parts) == 1:
        return "binaries" if parts[0] in BINARIES else "ground"
    inner = parts[0] == "analysis" and len(parts) > 2
    return ".".join(parts[: 2 if inner else 1])


def imported_by(path: Path) -> set[str]:
    """The modules of this package that a file imports, inside of functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "lth_tf"}


def home_of(name: str) -> Path | None:
    """The file of an imported module, or of the module that has an imported name."""
    parts = name.split(".")[1:]
    for end in (len(parts), len(parts) - 1):
        place = PACKAGE.joinpath(*parts[:end])
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None


ARROWS = {
    (room_of(path), room_of(home)): (path, name)
    for path in sorted(PACKAGE.rglob("*.py"))
    for name in imported_by(path)
    if (home := home_of(name)) and room_of(home) != room_of(path)
}


def floor_of(room: str) -> int:
    """Floors are counted from the top; binaries stand above them, the ground below."""
    if room in FLOORS:
        return FLOORS.index(room)
    outer = room.split(".")[0]
    return {"binaries": -1, "ground": len(FLOORS)}.get(outer) or FLOORS.index(outer)


def test_every_folder_has_its_floor():
    folders = {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders == {floor.split(".")[0] for floor in FLOORS}


def test_imports_go_down():
    upwards = {
        arrow: why for arrow, why in ARROWS.items() if floor_of(arrow[0]) > floor_of(arrow[1])
    }
    assert not upwards


def test_no_two_rooms_import_each_other():
    assert not {(a, b) for a, b in ARROWS if (b, a) in ARROWS}


@pytest.mark.parametrize("floor", NO_TENSORFLOW)
def test_what_reads_results_knows_no_tensorflow(floor):
    for path in (PACKAGE / floor).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "import tensorflow" not in text and "import tf_keras" not in text, path
