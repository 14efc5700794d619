"""Jobs: the same results as one process, and whoever dies takes nothing with it or all of it."""

import os
import signal
import time

import pytest

pytestmark = pytest.mark.long

FLAGS = ("--name=e", "--rounds=1", "--replicates=2", "--threads=1")


def finish(process):
    process.join(240)
    return process.exitcode


def test_jobs_survive_each_other_end_with_their_parent_and_change_no_bit(
    start, wait_for, processes_writing_to, outcome, tmp_path
):
    one, two = tmp_path / "one", tmp_path / "two"
    assert finish(start(one, *FLAGS)) == 0

    process = start(two, *FLAGS, "--jobs=2")
    wait_for(process, two, "e/replicate_00/level_00/dense/events*")
    (job,) = processes_writing_to(two / "e/job_0.log")
    os.kill(job, signal.SIGKILL)
    assert finish(process) == 1
    told = (two / "log").read_text()
    assert "replicate_00/level_00/dense failed" in told and "job_0.log ends" in told
    assert not list(two.glob("e/replicate_00/*/*/result.json"))
    assert len(list(two.glob("e/replicate_01/*/*/result.json"))) == 2

    process = start(two, *FLAGS, "--jobs=2", "--checkpoint_every=0")
    wait_for(process, two, "e/replicate_00/level_01/ticket/checkpoint.safetensors")
    logs = [two / "e/job_0.log", two / "e/job_1.log"]
    assert processes_writing_to(logs[0])
    process.kill()
    process.join()
    logs.append(two / "log")  # that of the process itself, and of the one with the queue
    deadline = time.monotonic() + 10
    while any(processes_writing_to(log) for log in logs):
        assert time.monotonic() < deadline, "a job outlives the process that started it"
        time.sleep(0.1)

    assert finish(start(two, *FLAGS, "--jobs=2")) == 0
    assert outcome(two / "e") == outcome(one / "e")
