"""Nothing named in a file is imported, nothing of a user's deleted, no stream ends a program."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lth_tf import commandline, importing, output, report
from lth_tf.errors import UserError, one_line
from lth_tf.formats.ticket import Ticket
from lth_tf.recipe import Recipe
from lth_tf.runs.experiment import Experiment, Training
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["os:abort", "signal:pause", "http.server:test"])
def test_a_name_that_stands_in_a_file_is_not_imported(name, monkeypatch):
    monkeypatch.delenv("LTH_TF_FUNCTIONS", raising=False)
    ticket = Ticket({}, {}, None, {"recipe": Recipe(model=name).to_json()})
    with pytest.raises(UserError, match=f"--model={name}: stands in a file"):
        ticket.model(trained=False)
    with pytest.raises(UserError, match="stands in a file"):
        importing.import_function("dataset", name)


def test_a_name_that_the_user_gives_is_imported_here_and_in_jobs(monkeypatch):
    monkeypatch.setenv("LTH_TF_FUNCTIONS", "")
    importing.allow("os:getpid", 7, "no function")
    assert importing.import_function("model", "os:getpid") is os.getpid
    assert os.environ["LTH_TF_FUNCTIONS"] == "os:getpid"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", r"raised ZeroDivisionError: division by zero \(.*wrong.py, line 1\)$"),
        ("f = ", r"raised SyntaxError: invalid syntax \(.*wrong.py, line 1\)$"),
        ("f = unknown", "raised NameError: name 'unknown' is not defined"),
        ("import nothing_of_that_name", "must name a function, but No module named"),
    ],
)
def test_a_mistake_in_a_users_module_is_the_users(code, said, monkeypatch, tmp_path):
    (tmp_path / "wrong.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LTH_TF_FUNCTIONS", "wrong:f")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # the next case has another file
    with pytest.raises(UserError, match=f"^--model=wrong:f: .*{said}"):
        importing.import_function("model", "wrong:f")


def test_a_users_files_stay(tmp_path):
    theirs = tmp_path / "home/work"
    theirs.mkdir(parents=True)
    (theirs / "thesis.txt").write_text("years")
    with pytest.raises(UserError, match="must be a run directory, or not be there, but it has the"):
        Store(theirs).lock().__enter__()
    assert [path.name for path in theirs.iterdir()] == ["thesis.txt"]
    store, training = Store(tmp_path / "run"), Training(0, 0, "dense")
    folder = store.clear(training)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (folder / "saved_model").symlink_to(outside)
    for name in ("notes.md", "weights.safetensors", "mine.safetensors"):
        (folder / name).touch()
    store.clear(training)
    assert {path.name for path in folder.iterdir()} == {"notes.md", "mine.safetensors"}
    assert (outside / "kept").exists()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Experiment(recipe=Recipe(), rounds=10**13), "--rounds=10000000000000: must be"),
        (lambda: Experiment(recipe=Recipe(), rounds=9_000, replicates=9_000), "together"),
        (lambda: Experiment(recipe=Recipe(), rounds=1, seed=2**64), "--seed="),
        (lambda: Experiment(recipe=Recipe(), rounds=1, arms=("ticket", "a/b")), "must be an arm"),
        (lambda: Recipe(iterations=10**13), "--iterations=10000000000000: must be from 1"),
        (lambda: Recipe(width=1e4), "--width=10000.0: must be above 0 and at most 100"),
        (lambda: Settings(jobs=100_000), "--jobs=100000: must be from 1 to 256"),
        (lambda: Settings(jobs="auto"), "--jobs=auto: must be a whole number in Python"),
        (lambda: Settings(gpu_share="all"), "--gpu_share=all: must be a number in Python"),
        (lambda: Settings(xla=True), "--xla=True: must be auto, on or off"),
        (lambda: Settings(threads=100_000), "--threads=100000: must be from 0 to"),
        (lambda: Settings(checkpoint_every=float("nan")), "--checkpoint_every=nan: must be"),
        (lambda: Settings(checkpoint_every=float("inf")), "--checkpoint_every=inf: must be"),
        (lambda: Recipe(optimizer="x" * 5_000), r"--optimizer=x+… \(5,000 characters\)"),
    ],
)
def test_numbers_beyond_bounds_are_told_with_their_range(make, said):
    with pytest.raises(UserError, match=said):
        make()


def test_a_message_is_one_line_of_bearable_length():
    assert one_line("a\nb\x1b[1m") == "a b\\x1b[1m"
    assert len(one_line("x" * 5_000)) < 200


def run(code, **how):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **how.pop("env", {})}
    return subprocess.run(
        [sys.executable, *how.pop("options", ()), "-c", code],
        env=environment, capture_output=True, check=False, **how,
    )  # fmt: skip


HELP = "import sys; from lth_tf import {0}; sys.exit({0}.main(['{0}', '--help']))"


@pytest.mark.parametrize(
    ("binary", "options", "environment"),
    [
        ("ensemble", (), {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}),
        ("export", (), {"PYTHONIOENCODING": "latin-1"}),
        ("report", ("-OO",), {"MPLBACKEND": "nowhere", "SOURCE_DATE_EPOCH": "abc"}),
    ],
)
def test_help_is_told_whatever_surrounds_it(binary, options, environment):
    done = run(HELP.format(binary), options=options, env=environment)
    assert done.returncode == 0 and b"--help" not in done.stderr and b"Traceback" not in done.stderr
    assert b"--out" in done.stdout


def test_a_full_or_closed_output_is_told_at_the_end_and_no_traceback():
    with open("/dev/full", "w") as full:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        code = HELP.format("report")
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, env=environment,
            check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.decode().startswith("lth_tf: standard output: could not be written (No sp")
    assert done.stderr.count(b"\n") == 1
    code = HELP.format("report").replace("sys.exit(", "code = (")
    closed = run(
        f"import os; os.close(1); os.close(2)\n{code}\n"
        "sys.exit(code or not all(map(os.get_inheritable, (1, 2))))"  # open in child processes too
    )
    assert closed.returncode == 0


def test_a_reader_of_the_output_may_go_away():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = f"{sys.executable} -m lth_tf.report --help; echo $? >&2"
    done = subprocess.run(
        ["bash", "-c", f"({command}) | head -1"], env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout == "Reports on runs, finished or not: figures, tables, and whether there " \
        "are winning tickets.\n"  # fmt: skip
    *told, code = done.stderr.splitlines()
    # The help fits into a pipe: whether it was still written is up to the system.
    assert "Traceback" not in done.stderr and (code, len(told)) in (("0", 0), ("1", 1))


def test_warnings_as_errors_and_names_that_are_no_text_stop_no_report(generated, tmp_path):
    folder = generated.write_run(tmp_path / os.fsdecode(b"r\xe9"))
    code = "import runpy; runpy.run_module('lth_tf.report', run_name='__main__', alter_sys=True)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv.append('x')\n{code}", folder],
        env=environment, capture_output=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert b"x: must be a run directory" in done.stderr and done.returncode == 1, done.stderr
    assert report.main(["lth_tf.report", str(folder)]) == 0
    assert "## r\ufffd\n" in (folder / "report/report.md").read_text(encoding="utf-8")


def test_few_open_files_are_enough_or_told(generated, tmp_path):
    folder = generated.write_run(tmp_path / "run")
    for most in (16, 7, 5):
        limit = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({most}, {most}))"
        code = f"sys.exit(report.main(['report', {str(folder)!r}]))"
        done = run(f"import sys\nfrom lth_tf import report\n{limit}\n{code}")
        lines = done.stderr.decode().splitlines()
        assert done.returncode == 0 or (done.returncode == 1 and len(lines) == 1), lines
        assert done.returncode == 0 or "ulimit -n" in lines[0], lines
    assert done.returncode == 1


def test_letters_that_an_encoding_lacks_are_written_plainly():
    assert output._ERRORS and "θ0 ⊙ é 漢".encode("ascii", output._ERRORS) == b"theta0 * e ?"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes("--rounds=1\n".encode("utf-16")), "must be UTF-8 text"),
        (lambda path: path.write_bytes(b"--rounds=1\0"), "zero bytes"),
        (Path.mkdir, "found a folder"),
        (os.mkfifo, "found a named pipe"),
        (lambda path: path.write_text(f"--flagfile={path}\n"), "in a circle"),
    ],
)
def test_a_flag_file_that_is_none_is_told(tmp_path, make, said, capfd):
    path = tmp_path / "flags"
    make(path)
    assert commandline.run(lambda values: {}, print, "", ["x", f"--flagfile={path}"]) == 1
    error = capfd.readouterr().err
    assert error.startswith(f"lth_tf: --flagfile={path}: ") and said in error
