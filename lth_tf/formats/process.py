"""Runs exported files on the CPU in a new process, where nothing is left of what wrote them."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lth_tf.errors import UserError
from lth_tf.formats import fresh
from lth_tf.formats.formats import FORMATS

File = tuple[str, Path]  # format and path


def file_logits(file: File, images: np.ndarray, trained: bool = True) -> np.ndarray:
    """Returns a file's logits, computed in a new process without tfmot.

    For SavedModel and TFLite it is without Keras and this program as well, for a Keras file
    without this program; a ticket, which is this program's own format, has all of it.

    Args:
        file: format and path.
        images: uint8 [n, height, width, channels]; of a user's network its inputs [n, ...].
        trained: whether of a ticket's trained weights, or of those that it is trained from.

    Raises:
        UserError: if the file cannot be loaded or run there.
    """
    return _ask([file], images, trained, blocked=FORMATS[file[0]].missing)


def file_latencies(
    files: Sequence[File], images: np.ndarray, batches: Sequence[int], threads: int
) -> np.ndarray:
    """Measures how long files take in a new process that does nothing else.

    Args:
        files: formats and paths; they take turns.
        images: uint8 [n, height, width, channels], as many as the largest batch; of a user's
            network its inputs [n, ...].
        batches: numbers of images in one call.
        threads: threads to compute with; 0 for as many as there are cores.

    Returns:
        Median seconds from images to logits, both arrays in memory, [files, batches].

    Raises:
        UserError: if a file cannot be loaded or run there.
    """
    return _ask(files, images, batches=batches, threads=threads)


def _ask(
    files: Sequence[File],
    images: np.ndarray,
    trained: bool = True,
    blocked: Sequence[str] = (),
    batches: Sequence[int] = (),
    threads: int = 0,
) -> np.ndarray:
    with tempfile.TemporaryDirectory() as scratch:
        asked, answer = Path(scratch) / "images.npy", Path(scratch) / "answer.npy"
        np.save(asked, images)
        formats = [FORMATS[name] for name, _ in files]
        request = {
            "loaders": {form.name: (form.load.__name__, form.load_source) for form in formats},
            "files": [(name, str(path)) for name, path in files],
            "images": str(asked),
            "answer": str(answer),
            "trained": trained,
            "blocked": list(blocked),
            "batches": list(batches),
            "threads": threads,
        }
        # -P: the folder of that file is no place to import from.
        command = [sys.executable, "-P", fresh.__file__, json.dumps(request)]
        # A ticket's network may be of a module that this process has found.
        found = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), *sys.path]))
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": found}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            names = ", ".join(str(path) for _, path in files)
            raise UserError(f"{names}: must run in a process of its own, but {_reason(done)}")
        return np.load(answer)


def _reason(done: subprocess.CompletedProcess) -> str:
    """Returns the first line of the error that ended a process, or that it was killed."""
    if done.returncode < 0:
        return f"it was killed by signal {-done.returncode} (9 may mean too little memory)"
    lines = done.stderr.strip().splitlines() or [f"it ended with exit code {done.returncode}"]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (errors or lines)[-1]
