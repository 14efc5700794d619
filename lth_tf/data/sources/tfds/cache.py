"""A data set's arrays as one safetensors file, so that TFDS need parse a set only once.

The file lies in the folder of the prepared set, DATA_DIR/NAME[/CONFIG]/VERSION, and so goes and
moves with it. It has a fingerprint of the prepared set and a checksum of its arrays; a file
that fails either test is as good as none. A cached set keeps its version until its folder goes,
whatever version a newer TFDS would prefer.
"""

import hashlib
import logging
import re
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open

from lth_tf import files, reading
from lth_tf.data.image_data import ImageData, ImageFields, ImageInfo
from lth_tf.errors import UserError

_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
_FORMAT = "1"
_RECORD = "dataset_info.json"  # what TFDS writes of a prepared set: version, shards, sizes

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


def read(root: str, name: str) -> ImageData | None:
    """Reads a set from its cache file.

    Args:
        root: TFDS's data folder.
        name: The name that the set was written under.

    Returns:
        The set, or None if there is no file or (logged) it is damaged or out of date.
    """
    return _read(root, name, _data)


def read_info(root: str, name: str) -> ImageInfo | None:
    """Reads a set's sizes from its cache file, without reading its arrays; see `read`.

    Args:
        root: TFDS's data folder.
        name: The name that the set was written under.
    """
    return _read(root, name, _info)


def write(data: ImageData, folder: str) -> None:
    """Writes a set's cache file at once and whole; a failure is logged and changes nothing.

    Args:
        data: The set.
        folder: The folder of the prepared set, with its version.
    """
    path = Path(folder) / _file_name(data.name)
    arrays = {key: getattr(data, key) for key in _ARRAYS}
    try:
        metadata = {
            "format": _FORMAT,
            "name": data.name,
            "version": path.parent.name,
            "classes": str(data.classes),
            "prepared": _fingerprint(path.parent),
            "checksum": _checksum(arrays.values()),
        }
        files.write_arrays(path, arrays, metadata)
    except (OSError, UserError) as error:
        _log.warning("%s is not cached for the next run: %s", data.name, error.__cause__ or error)


def _read(root: str, name: str, reader: Callable[[Any, dict[str, str]], _T]) -> _T | None:
    path = _find(root, name)
    if path is None:
        return None
    try:
        reading.check_header(path)
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            expected = {"format": _FORMAT, "name": name, "prepared": _fingerprint(path.parent)}
            for key, value in expected.items():
                if metadata[key] != value:
                    raise ValueError(f"its {key} is {metadata[key]}, not {value}")
            return reader(file, metadata)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        _log.warning("The cache file %s is not used, and is made anew: %s", path, error)
        return None


def _data(file: Any, metadata: dict[str, str]) -> ImageData:
    arrays = {key: file.get_tensor(key) for key in _ARRAYS}
    if _checksum(arrays.values()) != metadata["checksum"]:
        raise ValueError("its checksum is wrong")
    info = _info(file, metadata)
    for part, size in (("train", info.train_size), ("test", info.test_size)):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if (images.dtype, images.shape) != (np.uint8, (size, *info.image_shape)):
            raise ValueError(f"its {part} images are {images.dtype} {images.shape}")
        if labels.dtype.kind not in "iu" or labels.shape != (size,):
            raise ValueError(f"its {part} labels are {labels.dtype} {labels.shape}")
        if size and not 0 <= labels.min() <= labels.max() < info.classes:
            raise ValueError(f"its {part} labels are not all from 0 to {info.classes - 1}")
    return ImageData(name=metadata["name"], classes=info.classes, **arrays)


def _info(file: Any, metadata: dict[str, str]) -> ImageInfo:
    train_size, *image_shape = file.get_slice("train_images").get_shape()
    test_size, *_ = file.get_slice("test_images").get_shape()
    known = {"image_shape": image_shape, "classes": int(metadata["classes"])}
    sizes = {"train_size": train_size, "test_size": test_size}
    fields = reading.conform("it", {**known, **sizes}, ImageFields)
    return ImageInfo(fields.image_shape, fields.classes, train_size, test_size)


def _find(root: str, name: str) -> Path | None:
    """Returns the cache file of the newest version, which lies one or (configs) two folders in."""
    folder = Path(root) / re.split(r"[/:]", name)[0]
    file_name = _file_name(name)
    found = [*folder.glob(f"*/{file_name}"), *folder.glob(f"*/*/{file_name}")]
    return max(found, key=_version, default=None)


def _version(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.parent.name)]


def _file_name(name: str) -> str:
    slug = re.sub(r"\W", "_", name)
    return f"lth_tf.{slug}.safetensors"


def _fingerprint(folder: Path) -> str:
    """Tells one prepared set from another of the same version, by TFDS's record of its shards."""
    return hashlib.sha256(reading.read_bytes(folder / _RECORD)).hexdigest()


def _checksum(arrays: Iterable[np.ndarray]) -> str:
    """Guards against damage, not malice: a cryptographic hash would double the loading time."""
    checksum = 0
    for array in arrays:
        checksum = zlib.crc32(array, checksum)
    return f"{checksum:08x}"
