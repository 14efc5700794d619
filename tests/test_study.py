"""Studies are asked once: what is known is kept until the run or a setting has changed."""

import json
import shutil
import subprocess
import sys

import pytest

from lth_tf import ensemble, report, study
from lth_tf.errors import UsersCodeError, users_code
from lth_tf.lottery.opened_run import open_run
from lth_tf.runs.store import Store
from lth_tf.studies import STUDIES
from lth_tf.studies.finding import finding_of
from lth_tf.workflows import study_runs

pytestmark = pytest.mark.long


def go(*argv):
    return study.main(["lth_tf.study", *map(str, argv)])


@pytest.fixture
def folder(reference, tmp_path):
    """A run of two replicates and two levels that may be changed."""
    return shutil.copytree(reference, tmp_path / "r")


def test_what_is_known_is_kept_until_results_or_settings_change(folder, capfd):
    def said(*flags):
        capfd.readouterr()
        assert go(folder, *flags) == 0
        return capfd.readouterr().out

    csv = folder / "studies/ensemble/ensemble.csv"
    out = said("--studies=ensemble,survivors")
    assert "r: ensemble is computed: it was not asked before" in out
    assert "r: survivors is computed: it was not asked before" in out
    assert {path.name for path in csv.parent.iterdir()} == {
        f"ensemble.{ending}" for ending in ("csv", "md", "png", "svg")
    } | {"study.json"}  # fmt: skip
    first = csv.read_bytes()
    assert b",2,replicate_00/level_02/ticket replicate_01" in first  # no level has a quarter
    csv.write_bytes(first + first.splitlines(keepends=True)[-1])  # what nobody would compute
    marked = csv.read_bytes()
    out = said("--studies=ensemble,survivors")
    assert "r: ensemble is known, in " in out and "--again computes it again" in out
    assert "r: survivors is known" in out and csv.read_bytes() == marked
    assert "is computed: --again" in said("--studies=ensemble", "--again")
    assert csv.read_bytes() == first
    out = said("--studies=ensemble", "--set=ensemble.level=1", "--set=ensemble.levels=2,1")
    assert "(level=1, levels=(2, 1)) is computed: what is known was computed with other" in out
    assert b",1,replicate_00/level_01/ticket replicate_01" in csv.read_bytes()
    # A setting that is not given again is as it was.
    assert "r: ensemble (level=1, levels=(2, 1)) is known" in said("--studies=ensemble")
    shutil.rmtree(folder / "replicate_00/level_02")
    out = said("--studies=ensemble", "--set=ensemble.levels=")
    assert "r: ensemble (level=1) is computed" in out
    out = said("--studies=survivors")
    assert "is computed: the run has other results than when it was asked" in out


def test_every_study_leaves_its_files_and_stands_in_the_report(folder, capfd):
    assert go(folder) == 0
    out = capfd.readouterr().out
    assert report.main(["lth_tf.report", str(folder)]) == 0
    page = (folder / "report/report.md").read_text()
    for name, kind in STUDIES.items():
        written = {path.name for path in (folder / "studies" / name).iterdir()}
        assert {f"{name}.csv", f"{name}.md", "study.json"} <= written
        assert any(path.endswith(".svg") for path in written)
        finding = finding_of(open_run(folder), kind)
        assert finding.sentence in out and finding.study == kind()
        assert f"## r: {kind.title}" in page


def test_the_report_shows_what_is_there_and_says_what_is_old(folder, capfd):
    assert go(folder, "--studies=ensemble,survivors") == 0
    assert report.main(["lth_tf.report", str(folder)]) == 0
    page = (folder / "report/report.md").read_text()
    assert page.index("## r: ensembles") < page.index("## r: which weights survive")
    assert "At level 2 the surviving weights began with" in page and "other results now" not in page
    assert (folder / "report/r-survivors.svg").exists()
    html = (folder / "report/report.html").read_text()
    assert "At level 2 the vote of 2 tickets" in html and "r: which weights survive" in html
    shutil.rmtree(folder / "replicate_01/level_02")
    shutil.rmtree(folder / "studies/ensemble")
    assert report.main(["lth_tf.report", str(folder)]) == 0
    page = (folder / "report/report.md").read_text()
    assert "## r: ensembles" not in page
    assert "The run has other results now than when this was computed" in page


def test_the_ensemble_binary_leaves_what_study_knows(folder, capfd):
    assert ensemble.main(["lth_tf.ensemble", str(folder), "--level=1"]) == 0
    capfd.readouterr()
    assert go(folder, "--studies=ensemble") == 0
    assert "r: ensemble (level=1) is known" in capfd.readouterr().out


def test_a_run_that_lacks_something_says_so(folder, capfd):
    shutil.rmtree(folder / "replicate_01")
    for level in (1, 2):
        shutil.rmtree(folder / f"replicate_00/level_0{level}")
    assert go(folder) == 0
    out = capfd.readouterr().out
    assert "r: ensemble is left out. No ticket is finished." in out
    assert "r: survivors is left out. No ticket is finished." in out
    assert go(folder, "--studies=survivors") == 1
    assert capfd.readouterr().err == (
        f"lth_tf: --studies=survivors: cannot be asked of {folder}. No ticket is finished.\n"
    )
    published = folder.with_name("published")
    published.mkdir()
    Store(folder).update_results()
    for name in ("experiment.json", "results.csv"):
        shutil.copy(folder / name, published)
    assert go(published) == 0
    assert "published without its networks' weights" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "a run directory must be given"),
        (
            ("RUN", "--studies=ensembl"),
            "--studies=ensembl: must be one of ensemble, survivors, mo",
        ),
        (("RUN", "--set=level=3"), "--set=level=3: must be STUDY.OPTION=VALUE"),
        (("RUN", "--set=ensemble.lvl=3"), "--set=ensemble.lvl=3: must be an option of ensemble, "),
        (("RUN", "--set=survivors.x=3"), "--set=survivors.x=3: must be an option of survivors, "),
        (("RUN", "--set=ensemble.level=x"), "--set=ensemble.level=x: 'x' must be a whole number"),
        (
            ("RUN", "--studies=survivors", "--set=ensemble.level=1"),
            "--set=ensemble.level: must be left out, as --studies=survivors does not ask ensemble",
        ),
        (("RUN", "--set=ensemble.level=9"), "--set=ensemble.level=9: RUN must have a finished"),
    ],
)
def test_mistakes_are_told_in_one_line(reference, capfd, flags, said):
    def fill(text):
        return text.replace("RUN", str(reference))

    capfd.readouterr()
    assert go(*map(fill, flags)) == 1
    error = capfd.readouterr().err
    assert error.startswith(f"lth_tf: {fill(said)}") and error.count("\n") == 1


def test_a_fault_of_a_users_study_stays_the_users():
    named = study_runs._flags_named(STUDIES["ensemble"])
    with pytest.raises(UsersCodeError) as found, named, users_code("--ensemble.level=3: --level=3"):
        raise ZeroDivisionError
    assert isinstance(found.value.__cause__, ZeroDivisionError)  # whose traceback is shown
    assert "--set=ensemble.level=3: its own code" in str(found.value)


@pytest.mark.parametrize("broken", ["csv", "json", "options"])
def test_damage_is_told_in_one_line(folder, capfd, broken):
    assert go(folder, "--studies=survivors") == 0
    path = folder / "studies/survivors" / ("survivors.csv" if broken == "csv" else "study.json")
    about = {"options": {"depth": 3}}
    path.write_text({"csv": "a\n1\n", "json": "{", "options": json.dumps(about)}[broken])
    capfd.readouterr()
    assert report.main(["lth_tf.report", str(folder)]) == 1
    error = capfd.readouterr().err
    assert error.startswith(f"lth_tf: {path}: must ") and error.count("\n") == 1


def test_reading_studies_needs_no_tensorflow(folder):
    assert go(folder, "--studies=ensemble,survivors") == 0
    code = (
        "import sys; from lth_tf import report; "
        f"code = report.main(['report', {str(folder)!r}]); "
        "sys.exit(code or bool({'tensorflow', 'tf_keras'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
