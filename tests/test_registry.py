"""Registries find their package's files and users' packages, and name what is wrong."""

import importlib
import sys

import pytest

from lth_tf.errors import UserError

ENTRY = """


class Entry:
    name = "{name}"
    place = {place}

from {home} import ENTRIES
ENTRIES.register(Entry)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a registry and two entries, and a user's that adds a third."""
    home = tmp_path / "things"
    home.mkdir()
    (home / "__init__.py").write_text(
        "from lth_tf.registry import Registry\nENTRIES = Registry('thing', __name__)\n"
    )
    for name, place in (("late", 2), ("early", 1)):
        (home / f"{name}.py").write_text(ENTRY.format(name=name, place=place, home="things"))
    (tmp_path / "users.py").write_text(ENTRY.format(name="own", place=3, home="things"))
    info = tmp_path / "users-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: users\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lth_tf]\nown = users\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [n for n in sys.modules if n.partition(".")[0] in ("things", "users")]:
        del sys.modules[name]


def entries():
    from things import ENTRIES

    return ENTRIES


def test_entries_come_from_files_and_users_packages_in_order(package):
    assert list(entries()) == ["early", "late", "own"]
    assert entries()["own"].__module__ == "users" and "own" in entries() and len(entries()) == 3


def test_the_projects_come_before_users_of_the_same_place_whoever_is_imported_first(package):
    (package / "users.py").write_text(ENTRY.format(name="own", place=1, home="things"))
    importlib.import_module("users")
    assert list(entries()) == ["early", "own", "late"]


def test_an_unknown_name_is_refused_with_the_nearest(package):
    message = r"^--thing=erly: must be one of early, late, own; did you mean early\?$"
    with pytest.raises(UserError, match=message):
        entries()["erly"]


def test_two_entries_of_one_name_are_refused(package):
    (package / "users.py").write_text(ENTRY.format(name="late", place=3, home="things"))
    with pytest.raises(
        UserError, match=r"^users: .*late: is registered twice, by things\.late and"
    ):
        list(entries())


def test_objects_are_told_apart_by_the_module_that_made_them(package):
    made = "from things import ENTRIES\nclass Made:\n    name = 'made'\nENTRIES.register(Made())"
    (package / "things/late.py").write_text(made)
    (package / "users.py").write_text(
        "from things.late import Made, ENTRIES\nENTRIES.register(Made())"
    )
    with pytest.raises(UserError, match=r"by things\.late and by users;"):
        list(entries())


def test_a_function_is_called_by_its_own_name(package):
    code = "from things import ENTRIES\n@ENTRIES.register\ndef made(): return 7"
    (package / "users.py").write_text(code)
    assert list(entries()) == ["early", "late", "made"] and entries()["made"]() == 7


def test_a_package_that_cannot_be_imported_is_named(package):
    (package / "users.py").write_text("import nothing_of_that_name")
    for _ in range(2):  # the second time, too: half of the entries are none
        with pytest.raises(
            UserError, match=r"^users: its entry point own = users .* mend or uninstall"
        ):
            list(entries())
