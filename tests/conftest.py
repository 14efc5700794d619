"""Tiny experiments of LeNet on mnist_5k, shared by the tests that look at what a run leaves."""

import contextlib
import csv
import dataclasses
import gc
import multiprocessing
import multiprocessing.forkserver
import os
import shutil
import signal
import time
from pathlib import Path

import filelock
import pytest
from hypothesis import settings

# The same examples each time, however long one takes.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# Some virtual machines list AMX among the CPU's features and kill the process that uses it, as
# TensorFlow does in bfloat16.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_FP16")

TINY = (
    "--dataset=mnist_5k",
    "--iterations=200",
    "--eval_every=20",
    "--learning_rate=0.01",
    "--xla=off",
    "--noreport",
)
REFERENCE = ("--rounds=2", "--replicates=2", "--marks=40")
REWOUND = ("--rounds=1", "--rewind=20")
_CHILD = """
import os, sys
for number in (1, 2):
    os.dup2(os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
exec(BEFORE)
from lth_tf import main
code = main.main(ARGV)
sys.stdout.flush()
os._exit(code)
"""
_WITH_PACKAGE = """
import os, sys
for number, name in ((1, "out"), (2, "err")):
    os.dup2(os.open(f"{FOLDER}/{name}", os.O_WRONLY | os.O_CREAT), number)
os.chdir(FOLDER)
sys.path.insert(0, FOLDER)
exec(CODE)
sys.stdout.flush()
"""
_WATCHED = """
import os, re, sys
def watch(event, arguments, left=[{count}]):
    if event.startswith("os.") or event == "open":
        path = arguments[1 if event == "os.rename" else 0] if arguments else None
        if isinstance(path, str | os.PathLike) and re.search({step!r}, f"{{event}} {{path}}"):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), {number})
sys.addaudithook(watch)
"""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Begins with the files that take long: one process would end with them, and the other idle."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish():
    """Spares the garbage collector what was imported, a million objects that stay."""
    gc.freeze()


def argv(runs_dir, *flags):
    """The command line of a tiny experiment."""
    return ["lth_tf.main", *TINY, f"--runs_dir={runs_dir}", *flags]


@pytest.fixture(scope="session")
def run():
    """Runs a tiny experiment in this process; returns its exit code."""
    from lth_tf import main

    return lambda runs_dir, *flags: main.main(argv(runs_dir, *flags))


@pytest.fixture(scope="session", autouse=True)
def forked_from():
    """Starts the process that others are forked from, which imports the program but runs nothing.

    It is the first thing that happens, not a part of a test that has jobs: its messages would land
    in that one's captured stderr, and it would have imported less.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lth_tf.main", "lth_tf.workflows.run_experiment"])
    multiprocessing.forkserver.ensure_running()
    return context


@pytest.fixture(scope="session")
def start(forked_from):
    """Starts a tiny experiment in a process of its own, which writes its output to runs_dir/log.

    It executes the Python code `before` first.
    """
    context = forked_from
    started = []

    def start_process(runs_dir, *flags, before=""):
        runs_dir.mkdir(exist_ok=True)
        names = {"ARGV": argv(runs_dir, *flags), "LOG": str(runs_dir / "log"), "BEFORE": before}
        process = context.Process(target=exec, args=(_CHILD, names))
        process.start()
        started.append(process)
        return process

    yield start_process
    for process in started:
        process.kill()


@dataclasses.dataclass(frozen=True)
class Done:
    """What code has left, in a folder of its own, and what it printed."""

    folder: Path
    out: str
    err: str


@pytest.fixture(scope="session")
def run_with_package(forked_from, tmp_path_factory):
    """Runs code, in a process of its own, where a user's package of some modules is installed."""

    def run_code(code, **modules):
        folder = tmp_path_factory.mktemp("users")
        info = folder / "users-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: users\nVersion: 1.0\n")
        points = "".join(f"{name} = {name}\n" for name in modules)
        (info / "entry_points.txt").write_text(f"[lth_tf]\n{points}")
        for name, text in modules.items():
            (folder / f"{name}.py").write_text(text)
        names = {"FOLDER": str(folder), "CODE": code}
        process = forked_from.Process(target=exec, args=(_WITH_PACKAGE, names))
        process.start()
        process.join()
        done = Done(folder, *((folder / name).read_text() for name in ("out", "err")))
        assert process.exitcode == 0, done.err
        return done

    return run_code


@pytest.fixture(scope="session")
def stop_at():
    """Returns code, for `before`, by which a process stops itself at a step that it would take.

    A step is one of Python's audit events and the path that it is about, as in "os.rename
    DESTINATION", "os.remove PATH" or "open PATH"; the signal comes before the step, the `count`-th
    in which the regular expression is found. No clock decides where a process is then.
    """

    def code(step, count=1, number=signal.SIGKILL):
        return _WATCHED.format(step=step, count=count, number=int(number))

    return code


@pytest.fixture(scope="session")
def wait_for():
    """Waits for a file that a process will write."""

    def wait(process, folder, pattern):
        deadline = time.monotonic() + 120
        while not any(folder.glob(pattern)):
            assert process.is_alive(), "it ended before"
            assert time.monotonic() < deadline, f"no {pattern}"
            time.sleep(0.002)

    return wait


@pytest.fixture(scope="session")
def processes_writing_to():
    """Finds the processes whose standard output is a file."""

    def find(log):
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it ended, or is not ours
                if os.readlink(process / "fd/1") == str(log):
                    found.append(int(process.name))
        return found

    return find


@pytest.fixture(scope="session")
def run_once(run, tmp_path_factory, request):
    """Runs an experiment, once for all of the tests' processes; returns a copy of their own."""

    def folder_of(name, *flags):
        own = tmp_path_factory.mktemp(name)
        if not hasattr(request.config, "workerinput"):
            assert run(own, *flags) == 0
            return own
        shared = tmp_path_factory.getbasetemp().parent / name
        with filelock.FileLock(f"{shared}.lock"):
            if not shared.exists():
                assert run(own, *flags) == 0
                shutil.copytree(own, f"{shared}.tmp")
                os.rename(f"{shared}.tmp", shared)
                return own
        return shutil.copytree(shared, own, dirs_exist_ok=True)

    return folder_of


@pytest.fixture(scope="session")
def reference(run_once):
    """The run directory of an experiment of two replicates that nothing interrupted."""
    return run_once("reference", "--name=e", *REFERENCE, "--export_saved_model") / "e"


@pytest.fixture(scope="session")
def rewound(run_once):
    """The run directory of an experiment that rewinds to iteration 20."""
    return run_once("rewound", "--name=e", *REWOUND) / "e"


@pytest.fixture(scope="session")
def reference_flags():
    """The flags of `reference`."""
    return ("--name=e", *REFERENCE)


@pytest.fixture(scope="session")
def rewound_flags():
    """The flags of `rewound`."""
    return ("--name=e", *REWOUND)


@pytest.fixture(scope="session")
def rows():
    """Reads results.csv as dicts."""
    return lambda folder: list(csv.DictReader((folder / "results.csv").open()))


@pytest.fixture(scope="session")
def outcome(rows):
    """Reads what must repeat to the bit: results without their seconds, arrays and metrics."""

    def read(folder):
        arrays = [*folder.glob("replicate_*/**/*.safetensors")]
        files = [*arrays, *folder.glob("replicate_*/**/metrics.csv")]
        results = [{k: v for k, v in row.items() if k != "seconds"} for row in rows(folder)]
        return results, {str(f.relative_to(folder)): f.read_bytes() for f in files}

    return read
