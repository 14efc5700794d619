"""Full disks, read-only folders, newer versions and wrong clocks: one line, and nothing lost."""

import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest
from rich.console import Console

from lth_tf import files

# The kernel then refuses to make any file longer, as it does on a full disk, whoever asks.
LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"
PYTHON = [Path(sys.prefix), *Path(sys.prefix).parents]
ORDINARY = "import os; os.getuid() or os.setuid(65534)"  # root may write everywhere
LAST_YEAR = "import time; now = time.time; time.time = lambda: now() - 365 * 86400"
EXPORT = "import sys; from lth_tf import export; code = export.main({}); sys.stdout.flush()"
ROUND = "replicate_01/level_02/ticket"


@pytest.fixture
def told(start, tmp_path):
    """Runs a tiny experiment in a process of its own; returns its exit code and what it printed."""

    def tell(runs_dir, *flags, before=""):
        place = Path(tempfile.mkdtemp(dir=tmp_path))
        # A pipe takes what is printed even where no file can be written.
        os.mkfifo(place / "log")
        pipe = os.open(place / "log", os.O_RDWR | os.O_NONBLOCK)
        process = start(place, f"--runs_dir={runs_dir}", *flags, before=before)
        process.join(120)
        printed = os.read(pipe, 1 << 20).decode()
        os.close(pipe)
        return process.exitcode, printed

    return tell


@pytest.fixture
def unfinished(reference, tmp_path):
    """A copy of a run without its last round and its log."""
    folder = tmp_path / "e"
    shutil.copytree(reference, folder)
    shutil.rmtree(folder / ROUND)
    (folder / "run.log").unlink()
    return folder


def contents(folder):
    """The content of every file but the log and the lock, by path."""
    return {f: f.read_bytes() for f in folder.rglob("*") if f.is_file() and "lo" not in f.suffix}


def check_told(printed, path, reason):
    """Asserts that what was printed ends with one line about a file, and has no traceback."""
    line = printed.splitlines()[-1]
    assert line.startswith(f"lth_tf: {path}: could not be written ("), printed
    assert reason in line and "must be writable" in line and "same command" in line
    assert printed.count("lth_tf: ") == 1
    assert "Traceback" not in printed and "Logging error" not in printed


@pytest.mark.parametrize(
    ("room", "file"),
    [
        (0, "experiment.json"),
        (5_000, ROUND),  # TensorBoard's events
        (500_000, f"{ROUND}/weights.safetensors"),
        (2_000_000, f"{ROUND}/checkpoint.safetensors"),
    ],
)
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(
    unfinished, reference, reference_flags, outcome, run, told, tmp_path, room, file
):
    finished = contents(unfinished / "replicate_00")
    every = 0 if "checkpoint" in file else 180
    flags = (*reference_flags, f"--checkpoint_every={every}")
    code, printed = told(tmp_path, *flags, before=LIMIT.format(room))
    assert code == 1
    check_told(printed, unfinished / file, "File too large")
    assert not (unfinished / ROUND / "result.json").exists()
    assert contents(unfinished / "replicate_00") == finished
    assert not list(unfinished.rglob("*.tmp"))
    assert run(tmp_path, *reference_flags) == 0
    assert outcome(unfinished) == outcome(reference)


def test_a_ticket_that_cannot_be_exported_is_told(reference, told, tmp_path):
    out = tmp_path / "ticket"
    argv = ["export", f"--run={reference}", "--level=1", f"--out={out}"]
    before = f"{LIMIT.format(500_000)}; {EXPORT.format(argv)}; os._exit(code)"
    code, printed = told(tmp_path, before=before)
    assert code == 1
    check_told(printed, out / "saved_model", "File too large")
    assert not list(tmp_path.glob("ticket*"))


def test_log_lines_that_find_no_room_are_lost_in_silence(capfd):
    from lth_tf.runs.run_log import RunLog

    log = RunLog(Path("/dev/full"), Console(width=120))  # refuses every byte
    with log.hearing():
        for _ in range(3):
            logging.getLogger("lth_tf.test").info("here")
    log.close()
    # What another program's log hears of this one afterwards is for its level to say.
    logger = logging.getLogger("lth_tf.test")
    assert logger.isEnabledFor(logging.INFO) == (logger.getEffectiveLevel() <= logging.INFO)
    assert capfd.readouterr() == ("here\n" * 3, "")


@pytest.mark.parametrize("place", ["/sys", __file__])
def test_a_place_where_no_folder_can_be_made_is_told(reference_flags, told, place):
    code, printed = told(place, *reference_flags)
    assert code == 1
    check_told(printed, f"{place}/e", "")


@contextlib.contextmanager
def read_only(folder):
    """A copy of a folder that everybody may read and nobody may change."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / folder.name
        shutil.copytree(folder, copy)
        for path in (copy.parent, copy, *copy.rglob("*")):
            path.chmod(0o555)
        yield copy
        for path in (copy.parent, copy, *copy.rglob("*")):
            path.chmod(0o755)


@pytest.mark.skipif(
    not os.getuid() and any(not folder.stat().st_mode & 1 for folder in PYTHON),
    reason="nobody but root can read the Python that runs this",
)
def test_a_read_only_run_is_told_and_its_tickets_can_be_exported(
    reference, reference_flags, told, tmp_path
):
    with read_only(reference) as folder, tempfile.TemporaryDirectory() as place:
        before = contents(folder)
        code, printed = told(folder.parent, *reference_flags, before=ORDINARY)
        assert code == 1
        check_told(printed, folder, "Permission denied")
        Path(place).chmod(0o777)
        argv = ["export", f"--run={folder}", "--level=2", "--notable", f"--out={place}/ticket"]
        code, printed = told(tmp_path, before=f"{ORDINARY}; {EXPORT.format(argv)}; os._exit(code)")
        assert code == 0, printed
        assert (Path(place) / "ticket/saved_model/saved_model.pb").exists()
        assert contents(folder) == before


def test_a_directory_of_a_newer_version_is_told_and_left_alone(
    unfinished, reference_flags, run, tmp_path, capfd
):
    path = unfinished / "experiment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    files.temporary_path(unfinished / "results.csv").touch()
    before = contents(unfinished)
    assert run(tmp_path, *reference_flags) == 1
    error = capfd.readouterr().err
    assert error.startswith(f"lth_tf: {path}: must be of format 1 or older, found 2; ")
    assert error.count("\n") == 1
    assert contents(unfinished) == before


def test_no_clock_changes_a_run(
    unfinished, reference, reference_flags, outcome, start, stop_at, tmp_path
):
    flags = (*reference_flags, "--checkpoint_every=0")
    process = start(tmp_path, *flags, before=stop_at(f"os.rename .*{ROUND}/checkpoint", 3))
    process.join()
    assert (unfinished / ROUND / "checkpoint.safetensors").exists()
    assert not (unfinished / ROUND / "result.json").exists()
    next_year = time.time() + 365 * 86400
    for path in unfinished.rglob("*"):
        os.utime(path, (next_year, next_year))
    process = start(tmp_path, *flags, before=LAST_YEAR)
    process.join(120)
    assert process.exitcode == 0
    assert outcome(unfinished) == outcome(reference)
    # Nothing that was finished is done again.
    for path in (unfinished / "replicate_00").rglob("*"):
        assert path.stat().st_mtime == pytest.approx(next_year)
