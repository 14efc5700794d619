"""Files that are written whole or not at all; `lth_tf.reading` reads them."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from lth_tf.errors import UserError, reason_of
from lth_tf.reading import with_checksum

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{32}\.lth_tf\.tmp")


def temporary_path(path: Path) -> Path:
    """Returns a hidden path beside `path` that is nobody else's, to write it at first."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.lth_tf.tmp")


def leftovers(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yields what is half-written in a folder, and the name that it was to have.

    Its process may have been killed, or may still be at work.
    """
    for path in folder.iterdir():
        if found := _TEMPORARY.fullmatch(path.name):
            yield path, found["name"]


def unwritable(path: Path | str, reason: object) -> UserError:
    """Returns the error of a file that cannot be written, for whatever reason.

    Args:
        path: the file.
        reason: what the system said.
    """
    return UserError(
        f"{path}: could not be written ({reason}); its folder must be writable and have room. "
        "What is finished stays; start the same command again"
    )


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the system's refusal to write `path` into an error that names it.

    The system itself names a file that cannot be opened, but not one that a disk is too full for.

    Raises:
        UserError: if the system refuses.
    """
    try:
        yield
    except OSError as error:
        raise unwritable(path, reason_of(error)) from error
    except SafetensorError as error:
        raise unwritable(path, error) from error


@contextlib.contextmanager
def reading_folder(folder: Path) -> Iterator[None]:
    """Says of a folder that is no run directory, or may not be looked into, what is wrong.

    Raises:
        UserError: if it is none, or may not be.
    """
    try:
        yield
    except PermissionError as error:
        raise UserError(f"{folder}: cannot be read ({reason_of(error)})") from None
    except (OSError, ValueError):
        raise UserError(f"{folder}: must be a run directory, but has no experiment.json") from None


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`, and moves what was written there to `path` at the end.

    Whoever reads `path` finds the old file or the new one, even if the machine loses power.

    Raises:
        UserError: if it cannot be written.
    """
    temporary = temporary_path(path)
    try:
        with writing(path):
            yield temporary
            sync(temporary)
            os.replace(temporary, path)
            _sync_folder(path.parent)
    finally:
        # A read-only file system refuses this even where there is no such file.
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Gives a temporary folder beside `folder`, and renames it to `folder` at the end.

    What killed processes left of the same folder is removed.

    Args:
        folder: must not exist; what is above it is made.

    Raises:
        UserError: if it cannot be written.
    """
    temporary = temporary_path(folder)
    try:
        with writing(folder):
            temporary.mkdir(parents=True)
        with _marked_as_in_use(temporary):
            _remove_abandoned(folder)
            yield temporary
            with writing(folder):
                _sync_all(temporary)
                temporary.rename(folder)
                _sync_folder(folder.parent)
    except UserError as error:  # whoever reads it knows the folder by its own name
        text = str(error).replace(str(temporary), str(folder))
        raise type(error)(text) from (error.__cause__ or error)  # perhaps the user's code's
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _marked_as_in_use(folder: Path) -> Iterator[None]:
    """Locks a folder as long as this process writes it; the lock ends with the process."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def is_abandoned(folder: Path) -> bool:
    """Says whether a temporary folder is one that no process writes any more."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _remove_abandoned(folder: Path) -> None:
    """Removes what killed processes left of a folder."""
    with contextlib.suppress(OSError):  # it is in nobody's way
        for path, name in list(leftovers(folder.parent)):
            if name == folder.name and is_abandoned(path):
                shutil.rmtree(path)


def sync(path: Path) -> None:
    """Returns when a file's content is on the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Returns when the names in a folder are on the disk."""
    # Some file systems cannot do it for folders, and what the names stand for is there by now.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sync_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        _sync_folder(path) if path.is_dir() else sync(path)
    _sync_folder(folder)


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically.

    Args:
        path: the file.
        text: its content, written as UTF-8; a question mark stands for what is none, as in names
            of files that are bytes.

    Raises:
        UserError: if it cannot be written.
    """
    with atomic(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))


def write_json(path: Path, fields: Mapping[str, Any]) -> None:
    """Writes a JSON object atomically, with a checksum of its own content behind its fields.

    Args:
        path: the file.
        fields: JSON values by name.

    Raises:
        UserError: if it cannot be written, or a number is not finite.
    """
    try:
        whole = with_checksum(fields)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    write_text(path, json.dumps(whole, indent=1) + "\n")


def write_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes named arrays, and text about them, as a safetensors file, atomically.

    The bytes are the same every time if `metadata` has one entry; the order of more is random.

    Args:
        path: the file.
        arrays: arrays by name, of any shape.
        metadata: texts by name.

    Raises:
        UserError: if it cannot be written.
    """
    with atomic(path) as temporary:
        # `save_file` takes the memory as it lies, whatever its strides say.
        shaped = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file(shaped, temporary, dict(metadata or {}))
        temporary.chmod(mode)  # `save_file` hides a file from all but its owner
