"""A user's package adds an embedded set by one file and an entry point."""

import json
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
STRIPES = """
import numpy as np

from lth_tf.data import ImageInfo
from lth_tf.data.sources.embedded import EMBEDDED, Embedded

INFO = ImageInfo(image_shape=(6, 6, 1), classes=2, train_size=200, test_size=50)


def arrays():
    labels = np.arange(250, dtype=np.int32) % 2
    lines = 200 * (np.arange(6) % 2).astype(np.uint8)
    images = np.where(labels[:, None, None], lines[:, None], lines)[..., None]
    return images[:200], labels[:200], images[200:], labels[200:]


EMBEDDED.register(Embedded("stripes", INFO, arrays, overrides={"validation_size": 40}))
"""
FLAGS = ("--iterations=40", "--eval_every=20", "--rounds=1", "--name=e")


def run(package, *flags):
    """Runs a tiny LeNet on the set, in a process that has the package."""
    (package / "stripes.py").write_text(STRIPES)
    info = package / "stripes-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stripes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lth_tf]\nstripes = stripes\n")
    command = [sys.executable, "-m", "lth_tf.main", *FLAGS, f"--runs_dir={package}", *flags]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(package)])}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_it_is_trained_on_like_the_projects_own(tmp_path):
    done = run(tmp_path, "--dataset=stripes")
    assert done.returncode == 0, done.stderr
    fields = json.loads((tmp_path / "e/experiment.json").read_text())
    assert fields["recipe"]["validation_size"] == 40
    assert fields["data"]["image_shape"] == [6, 6, 1] and fields["data"]["train_size"] == 200
    result = json.loads((tmp_path / "e/replicate_00/level_01/ticket/result.json").read_text())
    assert result["test_accuracy_final"] == 1


def test_a_name_like_it_is_told_of_it(tmp_path):
    done = run(tmp_path, "--dataset=stripe")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("lth_tf: --dataset=stripe: there is no such")
    assert "did you mean stripes" in done.stderr
