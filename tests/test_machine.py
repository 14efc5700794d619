"""What a process may use: its cores wherever it runs, and the GPUs that a scheduler gave it."""

import concurrent.futures
import multiprocessing
import os

import pytest

from lth_tf.lottery.schedulers.processes import _begin_job
from lth_tf.machine import gpu_of_job, usable_cores


def test_usable_cores_are_counted_whatever_the_system_and_python_have(monkeypatch):
    monkeypatch.setattr(os, "process_cpu_count", lambda: 5, raising=False)
    assert usable_cores() == 5
    monkeypatch.delattr(os, "process_cpu_count")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 4}, raising=False)
    assert usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert usable_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


@pytest.mark.parametrize(
    ("assigned", "gpus", "expected"),
    [
        (None, 2, ["0", "1", "0"]),
        ("2,3", 2, ["2", "3", "2"]),
        ("GPU-1a, GPU-2b", 2, ["GPU-1a", "GPU-2b", "GPU-1a"]),
        ("MIG-1a,MIG-2b", 1, ["MIG-1a"] * 3),  # CUDA sees the first of them alone
        ("5,-1,6", 1, ["5"] * 3),  # and nothing behind a number that there is not
    ],
)
def test_jobs_share_the_gpus_that_were_assigned(monkeypatch, assigned, gpus, expected):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if assigned is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", assigned)
    assert [gpu_of_job(job, gpus) for job in range(3)] == expected


def test_a_job_has_its_gpu_before_it_imports_tensorflow(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    context = multiprocessing.get_context("spawn")
    begin = _begin_job, (tmp_path / "log", 1, 2, {}, None, None)
    with concurrent.futures.ProcessPoolExecutor(1, context, *begin) as pool:
        assert pool.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result() == "3"
        assert not pool.submit(eval, "'tensorflow' in __import__('sys').modules").result()
