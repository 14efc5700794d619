"""Files are written whole or not at all, and a damaged one is named."""

import hashlib

import numpy as np
import pytest

from lth_tf import files
from lth_tf.errors import UserError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    files.write_text(path, "old\n")
    with pytest.raises(RuntimeError), files.atomic(path) as temporary:
        temporary.write_text("half of the n")
        assert path.read_text() == "old\n"
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert path.read_text() == "old\n"
    files.write_text(path, "new\n")
    assert path.read_bytes() == b"new\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_arrays_and_their_metadata_come_back_and_repeat_to_the_bit(tmp_path):
    arrays = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([1, 255], np.uint8)}
    for name in ("one", "two"):
        files.write_arrays(tmp_path / name, arrays, {"shapes": "[2]"})
    found, metadata = files.read_arrays(tmp_path / "one")
    assert metadata == {"shapes": "[2]"}
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_arrays_are_written_as_they_read_however_they_lie_in_memory(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    arrays = {"transposed": array.T, "strided": array[:, ::2], "scalar": array[0, 1]}
    files.write_arrays(tmp_path / "a", arrays)
    found, _ = files.read_arrays(tmp_path / "a")
    for name, wanted in arrays.items():
        assert found[name].shape == wanted.shape and np.array_equal(found[name], wanted), name


@pytest.mark.parametrize("kept", [0, 20, -1])
def test_a_truncated_or_missing_file_is_named(tmp_path, kept):
    path = tmp_path / "weights.safetensors"
    files.write_arrays(path, {"a": np.ones(100, np.float32)})
    path.write_bytes(path.read_bytes()[:kept])
    for wanted in (path, tmp_path / "missing"):
        with pytest.raises(UserError, match=f"^{wanted}: must be a whole safetensors file"):
            files.read_arrays(wanted)


def test_sha256_is_that_of_a_file_larger_than_a_block(tmp_path):
    content = b"ticket" * 400_000
    (tmp_path / "a").write_bytes(content)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()
