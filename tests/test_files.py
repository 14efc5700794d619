"""Files are written whole or not at all, and a damaged one is named."""

import hashlib
import os

import numpy as np
import pytest

from lth_tf import files, reading
from lth_tf.errors import UserError, UsersCodeError, users_code


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


def test_a_folder_is_whole_or_not_there_and_nobody_elses_is_touched(tmp_path):
    out, users = tmp_path / "ticket", tmp_path / "ticket.tmp"
    users.mkdir()
    (users / "notes").write_text("a user's")
    with pytest.raises(RuntimeError), files.atomic_folder(out):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == [users]
    with pytest.raises(UsersCodeError) as found, files.atomic_folder(out), users_code("--format=x"):
        raise RuntimeError
    assert isinstance(found.value.__cause__, RuntimeError)  # whose traceback is shown
    killed, other = files.temporary_path(out), files.temporary_path(tmp_path / "other")
    for left in (killed, other):
        left.mkdir()
    with files.atomic_folder(out) as first:
        assert first.name.startswith(".") and not killed.exists()
        with pytest.raises(UserError, match=f"^{out}: could not be"), files.atomic_folder(out) as b:
            assert first.is_dir() and b != first  # one process leaves the other's alone
            (first / "a").write_text("a")
            (b / "b").write_text("b")
            out.mkdir()
            (out / "c").touch()
        (out / "c").unlink()
    assert {path.name for path in tmp_path.iterdir()} == {"ticket", "ticket.tmp", other.name}
    assert (users / "notes").exists() and [path.name for path in out.iterdir()] == ["a"]


def test_content_is_on_the_disk_before_its_name_and_its_name_at_the_end(tmp_path, monkeypatch):
    steps = []
    fsync, replace, rename = os.fsync, os.replace, os.rename
    monkeypatch.setattr(os, "fsync", lambda f: (steps.append(os.fstat(f).st_ino), fsync(f)))
    monkeypatch.setattr(os, "replace", lambda *a: (steps.append("name"), replace(*a)))
    monkeypatch.setattr(os, "rename", lambda *a: (steps.append("name"), rename(*a)))
    files.write_text(tmp_path / "a", "a")
    here = tmp_path.stat().st_ino
    assert steps == [(tmp_path / "a").stat().st_ino, "name", here]
    steps.clear()
    with files.atomic_folder(tmp_path / "b") as folder:
        (folder / "c").mkdir()
        (folder / "c/d").write_text("d")
    inside = {path.stat().st_ino for path in (tmp_path / "b", tmp_path / "b/c", tmp_path / "b/c/d")}
    assert set(steps[:3]) == inside and steps[3:] == ["name", here]


def test_arrays_and_their_metadata_come_back_and_repeat_to_the_bit(tmp_path):
    arrays = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([1, 255], np.uint8)}
    for name in ("one", "two"):
        files.write_arrays(tmp_path / name, arrays, {"shapes": "[2]"})
    found, metadata = reading.read_arrays(tmp_path / "one")
    assert metadata == {"shapes": "[2]"}
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_arrays_are_written_as_they_read_however_they_lie_in_memory(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    arrays = {"transposed": array.T, "strided": array[:, ::2], "scalar": array[0, 1]}
    files.write_arrays(tmp_path / "a", arrays)
    found, _ = reading.read_arrays(tmp_path / "a")
    for name, wanted in arrays.items():
        assert found[name].shape == wanted.shape and np.array_equal(found[name], wanted), name


@pytest.mark.parametrize("kept", [0, 20, -1])
def test_a_truncated_or_missing_file_is_named(tmp_path, kept):
    path = tmp_path / "weights.safetensors"
    files.write_arrays(path, {"a": np.ones(100, np.float32)})
    path.write_bytes(path.read_bytes()[:kept])
    for wanted in (path, tmp_path / "missing"):
        with pytest.raises(UserError, match=f"^{wanted}: must be a whole "):
            reading.read_arrays(wanted)


def test_sha256_is_that_of_a_file_larger_than_a_block(tmp_path):
    content = b"ticket" * 400_000
    (tmp_path / "a").write_bytes(content)
    assert reading.sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()
