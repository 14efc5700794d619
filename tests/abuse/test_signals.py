"""A signal in any phase of any binary ends it in one line, and leaves no half file.

A process sends itself the signal when it is about to import a module or to take a step: no clock
decides where it is then.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = """
import os, re, runpy, signal, sys
def watch(event, arguments, left=[True]):
    if event in ("import", "open", "os.rename", "os.mkdir", "os.remove"):
        step = f"{event} {arguments[1 if event == 'os.rename' else 0]}"
        if left and re.fullmatch(STEP, step):
            left.clear()
            os.kill(os.getpid(), NUMBER)
sys.addaudithook(watch)
signal.signal(NUMBER, signal.SIG_DFL)  # tests under nohup or in the background ignore it
sys.argv = ARGV
runpy.run_module(ARGV[0], run_name="__main__", alter_sys=True)
"""
CODES = {"INT": 130, "TERM": 143, "HUP": 143}
GIVEN = {
    "main": ["--dataset=mnist_5k", "--iterations=20", "--rounds=1", "--noreport"],
    "report": ["{run}"],
    "export": ["--run={run}", "--level=1", "--out={out}", "--notable"],
    "ensemble": ["{run}", "--level=1"],
    "study": ["{run}", "--studies=survivors", "--again"],
    "bench": ["--contestants=lth_tf"],
}
BEFORE = ["import absl", "import lth_tf.errors", "import lth_tf.commandline"]
# With TF_USE_LEGACY_KERAS set, TensorFlow imports tf_keras itself, which is no audited import.
TENSORFLOW = ["import tensorflow", "import tensorflow.python.eager.context", r"import tf_keras\b.*"]
# Where each is then: in imports, while it reads, and while it writes.
PHASES = {
    "main": [*BEFORE, "import numpy", *TENSORFLOW, "os.mkdir .*", "os.rename .*experiment.json"],
    "report": [*BEFORE, "import numpy", "import matplotlib.figure", "open .*metrics.csv",
               "os.rename .*levels.csv", "os.rename .*losses.png", "os.rename .*report.md"],
    "export": [*BEFORE, *TENSORFLOW, "open .*weights.safetensors", "os.rename .*/out"],
    "ensemble": [*BEFORE, *TENSORFLOW, "open .*result.json", "open .*weights.safetensors"],
    "study": [*BEFORE, *TENSORFLOW, "open .*masks.safetensors", "os.rename .*survivors.csv"],
    "bench": [*BEFORE, "import rich", *TENSORFLOW[:1]],
}  # fmt: skip
CASES = [(binary, step) for binary, steps in PHASES.items() for step in steps]
FEW = [
    ("report", BEFORE[1], "HUP"),
    ("report", "os.rename .*levels.csv", "TERM"),
    ("main", "import tensorflow", "INT"),
]


def check(binary, step, name, run, tmp_path):
    """Sends a signal before a step of a binary; asserts that it ends as it must."""
    given = [text.format(run=run, out=tmp_path / "out") for text in GIVEN[binary]]
    numbers = {"INT": 2, "TERM": 15, "HUP": 1}
    names = {"STEP": step, "NUMBER": numbers[name], "ARGV": [f"lth_tf.{binary}", *given]}
    code = "\n".join(f"{key} = {value!r}" for key, value in names.items()) + CODE
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    told = f"{binary} {step} {name}: {done.returncode} {done.stdout[-500:]} {done.stderr[-1500:]}"
    assert done.returncode == CODES[name], told
    lines = [line for line in done.stderr.splitlines() if line]
    assert lines and lines[-1].startswith("Stopped."), told
    assert "Traceback" not in done.stderr and len(lines) <= 2, told
    left = [*tmp_path.rglob("*.tmp"), *run.rglob("*.tmp")]
    assert not left, f"{told} {left}"


@pytest.mark.parametrize(("binary", "step", "name"), FEW)
def test_a_signal_in_a_few_phases_ends_a_binary_in_a_line(binary, step, name, generated, tmp_path):
    check(binary, step, name, generated.write_run(tmp_path / "now/run"), tmp_path)


@pytest.mark.abuse
@pytest.mark.parametrize(
    ("binary", "step", "name"),
    [(*case, list(CODES)[number % 3]) for number, case in enumerate(CASES)],
)
def test_a_signal_in_any_phase_ends_a_binary_in_a_line(binary, step, name, reference, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(reference, run)
    check(binary, step, name, run, tmp_path)
