"""A checkpoint gives back what was kept, or says that it cannot and is as good as none."""

import dataclasses

import numpy as np
import pytest

from lth_tf import files, reading
from lth_tf.training.measure import MetricsRow
from lth_tf.training.state import State, read_state, write_state

STATE = State(
    iteration=20,
    seconds=1.5,
    rows=[
        MetricsRow(0, None, 2.3, 0.1, 0.01),
        MetricsRow(20, 1.7, 1.25, 0.5, 0.01, test_accuracy=0.4),
    ],
    best=1,
    arrays={
        "weights": {"dense/kernel": np.array([[0.1, -0.0], [1e38, 3e-42]], np.float32)},
        "best": {"dense/kernel": np.zeros((2, 2), np.float32)},
        "scores": {"dense/kernel": np.array([[0.5, -0.25]], np.float32)},
        "rewind": {},
        "search": {},
        "early_bird": {"1/drawn_at": np.array([40])},
        "optimizer": {"0": np.int64(20)},
        "masks": {"dense/kernel": np.array([0b1010_0000], np.uint8)},
    },
)


def test_a_state_comes_back_to_the_bit(tmp_path):
    write_state(tmp_path / "checkpoint", STATE)
    found = read_state(tmp_path / "checkpoint")
    assert (found.record(), found.arrays.keys()) == (STATE.record(), STATE.arrays.keys())
    for group, arrays in STATE.arrays.items():
        assert found.arrays[group].keys() == arrays.keys()
        for name, array in arrays.items():
            assert found.arrays[group][name].tobytes() == array.tobytes()
            assert found.arrays[group][name].dtype == array.dtype
    assert read_state(tmp_path / "none") is None


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def alter(path):
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def make_newer(path):
    arrays, metadata = reading.read_arrays(path)
    files.write_arrays(path, arrays, {**metadata, "format": "4"})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (truncate, "must be a whole safetensors file"),
        (alter, "its checksum differs"),
        (
            lambda path: write_state(path, dataclasses.replace(STATE, best=2)),
            "best must be below its 2 evaluations, found 2",
        ),
        (make_newer, "must be of format 3 or older, found 4"),
    ],
)
def test_a_state_that_cannot_be_used_is_named_and_as_good_as_none(tmp_path, caplog, change, told):
    path = tmp_path / "checkpoint"
    write_state(path, STATE)
    change(path)
    assert read_state(path) is None
    assert str(path) in caplog.text and told in caplog.text
    assert "this training starts anew" in caplog.text


def test_a_state_of_the_first_format_is_read(tmp_path):
    path = tmp_path / "checkpoint"
    arrays = {name: group for name, group in STATE.arrays.items() if name != "masks"}
    write_state(path, dataclasses.replace(STATE, arrays=arrays))
    content, metadata = reading.read_arrays(path)
    files.write_arrays(path, content, {**metadata, "format": "1"})
    found = read_state(path)
    assert found.record() == STATE.record() and found.arrays["masks"] == {}
