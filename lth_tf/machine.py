"""What this machine lets a process use: its cores, its memory, and its own share of the GPUs."""

import os
import platform
from pathlib import Path


def usable_cores() -> int:
    """Returns the number of cores that this process may use, as far as the system tells."""
    if hasattr(os, "process_cpu_count"):  # from Python 3.13
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> int:
    """Returns the bytes of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def processor() -> str:
    """Returns the processor's name, or at least its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    fields = dict(line.split("\t", 1) for line in reversed(lines) if "\t" in line)
    name = fields.get("model name", "").strip(" :\t")
    return name or platform.processor() or platform.machine()


def shows_gpus() -> bool:
    """Says whether the system shows devices of NVIDIA or AMD that compute; Linux alone does."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists()


def gpu_of_job(job: int, gpus: int) -> str:
    """Returns the CUDA_VISIBLE_DEVICES of one of several processes that share this one's GPUs.

    Where a scheduler has set it, as numbers or as names such as GPU-... and MIG-..., it is one of
    those: the machine's other GPUs are somebody else's.

    Args:
        job: the process's number.
        gpus: the number of GPUs that this process sees.
    """
    assigned = os.environ.get("CUDA_VISIBLE_DEVICES")
    number = job % gpus
    return str(number) if assigned is None else assigned.split(",")[number].strip()
