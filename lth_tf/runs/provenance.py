"""Provenance: what a start of an experiment ran with, for experiment.json."""

import dataclasses
import datetime
import importlib.metadata
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from lth_tf.machine import memory, usable_cores
from lth_tf.runs.settings import Settings

_PACKAGES = ("lth_tf", "tensorflow", "tf-keras", "tensorflow-model-optimization", "numpy")


def describe_start(flags: Sequence[str], settings: Settings) -> dict[str, Any]:
    """Returns what is known of a start: time, flags, versions, git revision, hardware.

    Args:
        flags: the command line's flags.
        settings: how the experiment is run.
    """
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "flags": list(flags),
        "settings": {**dataclasses.asdict(settings), "threads": settings.threads_per_job or "all"},
        "versions": {"python": platform.python_version(), **_versions()},
        "git_revision": _git_revision(),
        "hardware": {
            "processor": platform.processor() or platform.machine(),
            "cores": usable_cores(),
            "memory_gib": round(memory() / 2**30, 1),
            "gpus": [_gpu_name(gpu) for gpu in tf.config.list_physical_devices("GPU")],
        },
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed as a package"
    return found


def _git_revision() -> str | None:
    command = ["git", "rev-parse", "HEAD"]
    here = Path(__file__).parent
    try:
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _gpu_name(gpu: tf.config.PhysicalDevice) -> str:
    return tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
