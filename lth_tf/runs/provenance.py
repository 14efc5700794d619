"""Provenance: what a start of an experiment ran with, for experiment.json."""

import dataclasses
import datetime
import importlib.metadata
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lth_tf.machine import memory, processor, usable_cores
from lth_tf.registry import plugin_versions
from lth_tf.runs.settings import Settings

_PACKAGES = ("lth_tf", "tensorflow", "tf-keras", "tensorflow-model-optimization", "numpy")


def describe_start(
    flags: Sequence[str], settings: Settings, gpus: Sequence[str] = ()
) -> dict[str, Any]:
    """Returns what is known of a start: time, flags, versions, git revision, hardware.

    Args:
        flags: the command line's flags.
        settings: how the experiment is run.
        gpus: the names of the GPUs.
    """
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "flags": list(flags),
        "settings": {**dataclasses.asdict(settings), "threads": settings.threads_per_job or "all"},
        "versions": versions(),
        "git_revision": _git_revision(),
        "hardware": {
            "processor": processor(),
            "cores": usable_cores(),
            "memory_gib": round(memory() / 2**30, 1),
            "gpus": list(gpus),
        },
    }


def versions() -> dict[str, str]:
    """Returns the versions of Python, this program, what it computes with, and users' packages."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed as a package"
    # Users' packages, whose arms, criteria and so on the run may have used.
    return {**found, **plugin_versions()}


def missing_packages(starts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Lists users' packages, with their versions, that starts ran with and that are not here.

    Args:
        starts: what `describe_start` said of each.
    """
    found = {name: v for start in starts for name, v in start.get("versions", {}).items()}
    here = {"python", *_PACKAGES, *plugin_versions()}
    return [f"{name} {version}" for name, version in found.items() if name not in here]


def _git_revision() -> str | None:
    here = Path(__file__)
    # An installed program may lie in somebody's repository, whose revision says nothing of it.
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None
    return _git(here.parent, "rev-parse", "HEAD")


def _git(folder: Path, *arguments: str) -> str | None:
    """Returns what git prints; None if it fails, prints nothing or is not there."""
    how = {"cwd": folder, "capture_output": True, "text": True, "timeout": 5}
    try:
        done = subprocess.run(["git", *arguments], check=False, **how)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (done.stdout.strip() or None) if done.returncode == 0 else None
