"""Files that are written whole or not at all, and checksums that tell whether they still are."""

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lth_tf.errors import UserError


def unwritable(path: Path | str, reason: object) -> UserError:
    """Returns the error of a file that cannot be written, for whatever reason."""
    return UserError(
        f"{path}: could not be written ({reason}); its folder must be writable and have room. "
        "What is finished stays; start the same command again"
    )


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the system's refusal to write `path` into an error that names it.

    The system itself names a file that cannot be opened, but not one that a disk is too full for.
    """
    try:
        yield
    except OSError as error:
        raise unwritable(path, error.strerror or error) from error
    except SafetensorError as error:
        raise unwritable(path, error) from error


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`, and moves what was written there to `path` at the end.

    Whoever reads `path` finds the old file or the new one, even if the machine loses power.

    Raises:
        UserError: if it cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with writing(path):
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        # A read-only file system refuses this even where there is no such file.
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Gives a temporary folder beside `folder`, and renames it to `folder` at the end.

    Args:
        folder: must not exist; what is above it is made.

    Raises:
        UserError: if it cannot be written.
    """
    temporary = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with writing(folder):
            temporary.mkdir(parents=True)
        yield temporary
        with writing(folder):
            temporary.rename(folder)
    except UserError as error:  # whoever reads it knows the folder by its own name
        raise UserError(str(error).replace(str(temporary), str(folder))) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON file.

    Raises:
        UserError: if it cannot be read, or is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: must be a whole JSON file, but {error}") from None


def write_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes named arrays, and text about them, as a safetensors file, atomically.

    The bytes are the same every time if `metadata` has one entry; the order of more is random.
    """
    with atomic(path) as temporary:
        # `save_file` takes the memory as it lies, whatever its strides say.
        shaped = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file(shaped, temporary, dict(metadata or {}))
        temporary.chmod(mode)  # `save_file` hides a file from all but its owner


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Reads a safetensors file's arrays and its metadata.

    Raises:
        UserError: if the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError, TypeError) as error:  # the last: a type that NumPy lacks
        raise UserError(f"{path}: must be a whole safetensors file, but {error}") from error


def sha256(path: Path) -> str:
    """Returns a file's SHA-256 checksum in hex digits."""
    checksum = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            checksum.update(block)
    return checksum.hexdigest()
