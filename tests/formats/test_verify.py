"""Verification: what it lets pass, and what it does not."""

import dataclasses
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from hypothesis import given
from hypothesis import strategies as st

from lth_tf import UserError, export, models
from lth_tf.formats.formats import FORMATS
from lth_tf.formats.keras_file import export_keras
from lth_tf.formats.process import file_logits
from lth_tf.formats.saved_model import export_saved_model
from lth_tf.formats.source import QUANTIZE
from lth_tf.formats.verify import Expected, compare, verify

PACKAGES = ("tensorflow_model_optimization", "lth_tf", "keras", "tf_keras")
# Run by any Python process that finds it: says at its end what it has of some packages.
WITNESS = """
import atexit, sys
def tell():
    with open(FILE, "w") as file:
        for name in PACKAGES:
            state = "blocked" if sys.modules.get(name, 0) is None else name in sys.modules
            print(name, state, file=file)
atexit.register(tell)
"""


def test_every_format_is_a_choice():
    values = flags.FlagValues()
    export.define_flags(values)
    assert values["format"].help == f"Any of {', '.join(FORMATS)}."
    assert tuple(values["quantize"].parser.enum_values) == QUANTIZE


@pytest.fixture(scope="module")
def model():
    return models.build("lenet", (28, 28, 1), 10, seed=0)


@pytest.fixture
def witness(tmp_path, monkeypatch):
    """Says which of `PACKAGES` were blocked, or loaded, in the process that verified a file."""
    folder, file = tmp_path / "witness", tmp_path / "seen"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(f"FILE, PACKAGES = {str(file)!r}, {PACKAGES}{WITNESS}")
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)

    def read():
        return dict(line.split() for line in file.read_text().splitlines())

    return read


@pytest.fixture(scope="module")
def expected(model):
    images = np.random.default_rng(0).integers(0, 256, (600, 28, 28, 1), np.uint8)
    logits = model(images).numpy()
    labels = np.where(np.arange(600) % 3, logits.argmax(-1), 0)
    return Expected(images, labels, logits, right=int((labels == logits.argmax(-1)).sum()))


def test_one_changed_weight_fails(model, expected, tmp_path, witness):
    kernel = model.get_layer("dense1").kernel
    weights = kernel.numpy()
    changed = weights.copy()
    changed[400, 7] += 0.1
    kernel.assign(changed)
    export_saved_model(model, tmp_path / "saved_model")
    kernel.assign(weights)
    with pytest.raises(UserError, match="saved_model: must give the network's logits but for"):
        verify(("saved_model", tmp_path / "saved_model"), expected, exact=True)
    assert witness() == dict.fromkeys(PACKAGES, "blocked")


def test_a_damaged_file_fails(model, expected, tmp_path, witness):
    path = tmp_path / "x.keras"
    export_keras(model, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(
        UserError, match=r"x\.keras: must run in a process of its own, but "
    ) as told:
        verify(("keras", path), expected, exact=True)
    assert "\n" not in str(told.value)
    assert witness() == {**dict.fromkeys(PACKAGES, "blocked"), "tf_keras": "True"}


def test_a_process_that_is_killed_is_said_to_be(monkeypatch):
    logged = "2026-01-01 00:00:00: I tensorflow/core/platform/cpu_feature_guard.cc:210]"
    done = subprocess.CompletedProcess([], -9, "", logged)
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: done)
    with pytest.raises(UserError, match=r"but it was killed by signal 9 \(9 may mean too little"):
        file_logits(("keras", Path("model.keras")), np.zeros((1, 2)))


@given(
    place=st.tuples(st.integers(0, 599), st.integers(0, 9)),
    size=st.floats(1e-3, 1e3),
    wrong=st.sampled_from([np.nan, np.inf, -np.inf]),
)
def test_any_other_logit_fails(expected, place, size, wrong):
    logits = expected.logits.copy()
    assert compare(logits, expected, exact=True).endswith("equal to the bit")
    logits[place] += size * np.abs(logits).max()
    with pytest.raises(UserError, match="but for rounding"):
        compare(logits, expected, exact=True)
    logits[place] = wrong
    for exact in (True, False):
        with pytest.raises(UserError, match="finite"):
            compare(logits, expected, exact)


def test_another_number_of_right_answers_fails_where_rounding_cannot_explain_it(expected):
    logits, labels = np.eye(10, dtype=np.float32)[np.arange(600) % 10], np.arange(600) % 10
    clear = dataclasses.replace(expected, logits=logits, labels=labels, right=600)
    assert "600 of 600 test images right, 600 in results.csv" in compare(logits, clear, True)
    off = dataclasses.replace(clear, right=599)
    with pytest.raises(UserError, match="as often as its training was, but has 600 of 600"):
        compare(logits, off, exact=True)
    assert compare(logits, dataclasses.replace(off, comparable=False), exact=True)
    assert "results" not in compare(logits, dataclasses.replace(off, right=None), exact=True)
    # One image whose two highest logits are as good as equal.
    close = logits.copy()
    close[0, 1] = 1 - 1e-7
    assert compare(close, dataclasses.replace(off, logits=close), exact=True)


def test_outputs_that_are_no_logits_are_compared_as_they_are(expected):
    outputs = np.linspace(-1, 1, 1200, dtype=np.float32).reshape(100, 4, 3)
    free = dataclasses.replace(expected, labels=None, logits=outputs, right=None)
    assert "100 test examples differ by at most 0e+00" in compare(outputs, free, exact=True)
    assert compare(outputs + 0.01, free, exact=False)
    for exact, off in ((True, 1e-3), (False, 0.03)):
        with pytest.raises(UserError, match="must give the network's outputs but for"):
            compare(outputs + off, free, exact)


@pytest.mark.parametrize("labels", [None, np.zeros(3, int)])
def test_a_network_that_gave_nan_or_zeros_only_is_compared_with_as_well(labels):
    zeros = np.zeros((3, 4), np.float32)
    silent = Expected(zeros, labels, zeros, right=None)
    assert compare(zeros, silent, exact=True)
    broken = dataclasses.replace(silent, logits=np.where(np.eye(3, 4), np.nan, zeros))
    for expected, logits in ((silent, zeros + 1), (broken, zeros)):
        with pytest.raises(UserError, match="but for"):
            compare(logits, expected, exact=True)


def test_quantized_answers_may_differ_for_one_image_in_fifty(expected):
    logits = expected.logits.copy()
    logits[:12] *= -1
    assert "; 12 answers differ from" in compare(logits, expected, exact=False)
    logits[12] *= -1
    with pytest.raises(UserError, match="13 of 600 differ"):
        compare(logits, expected, exact=False)
