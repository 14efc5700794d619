"""The file of a ticket: one safetensors file that says of each of its tensors what it must be.

`docs/ticket.md` describes the layout for readers that lack this program. Knows no TensorFlow.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from lth_tf import files, reading
from lth_tf.arrays import Arrays, checksum, flatten, nest
from lth_tf.errors import UserError
from lth_tf.pruning.packing import pack, unpack

FORMAT = 1
MASK, WEIGHTS, TRAINED = TENSOR_GROUPS = ("mask", "weights", "trained")
_PREFIXES = tuple(f"{group}:" for group in TENSOR_GROUPS)
_KEY = "ticket"
_Checksum = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class _Tensor(msgspec.Struct, forbid_unknown_fields=True):
    """What a ticket's file says of a tensor."""

    dtype: str
    shape: Annotated[list[reading.Count], msgspec.Meta(max_length=32)]
    sha256: _Checksum


class _About(msgspec.Struct, forbid_unknown_fields=True):
    """What a ticket's file says of itself."""

    format: Annotated[int, msgspec.Meta(ge=1)]
    metadata: dict[str, Any]
    tensors: dict[str, _Tensor]
    checksum: _Checksum


def write(path: Path, groups: Mapping[str, Mapping[str, np.ndarray]], metadata: Any) -> None:
    """Writes a ticket's arrays and metadata, atomically; the same ticket gives the same bytes.

    Args:
        path: the file.
        groups: arrays by group ("mask", boolean, "weights" and "trained") and name.
        metadata: a JSON value.

    Raises:
        UserError: if it cannot be written.
    """
    stored, fields = _described(groups, metadata)
    # One entry: safetensors writes several in random order.
    files.write_arrays(path, stored, {_KEY: as_json({**fields, "checksum": _checksum(fields)})})


def identity(groups: Mapping[str, Mapping[str, np.ndarray]], metadata: Any) -> str:
    """Returns the checksum that `write` gives a ticket's file.

    Args:
        groups: arrays by group, one of those above, and name.
        metadata: JSON values.
    """
    return _checksum(_described(groups, metadata)[1])


def _described(
    groups: Mapping[str, Mapping[str, np.ndarray]], metadata: Any
) -> tuple[Arrays, dict[str, Any]]:
    """Returns a ticket's arrays as they are stored, and the file's account of them."""
    arrays = flatten(groups)
    stored = {name: _stored(name, array) for name, array in arrays.items()}
    tensors = {
        name: {
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "sha256": checksum({name: stored[name]}),
        }
        for name, array in arrays.items()
    }
    return stored, {"format": FORMAT, "metadata": metadata, "tensors": tensors}


def read(path: Path) -> tuple[dict[str, Arrays], Any]:
    """Reads what `write` wrote.

    Returns:
        The arrays by group and name, and the metadata.

    Raises:
        UserError: if the file is no ticket, damaged, or of a newer format; names the tensor.
    """
    stored, texts = reading.read_arrays(path)
    fields = _fields(texts)
    tensors = fields["tensors"]
    for name in stored:
        if name not in tensors or not name.startswith(_PREFIXES):
            raise UserError(f"{name}: must not be there; no ticket was written with this tensor")
    for name in tensors:
        if name not in stored:
            raise UserError(f"{name}: must be in the file, but this tensor is missing")
    arrays = {name: _restored(name, stored[name], tensors[name]) for name in tensors}
    return nest(arrays, TENSOR_GROUPS), fields["metadata"]


def as_json(value: Any) -> str:
    """Returns the one text that a JSON value has in a ticket, which its checksum is of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _is_mask(name: str) -> bool:
    return name.startswith(f"{MASK}:")


def _stored(name: str, array: np.ndarray) -> np.ndarray:
    return pack(array) if _is_mask(name) else array


def _restored(name: str, stored: np.ndarray, wanted: Mapping[str, Any]) -> np.ndarray:
    shape, dtype = tuple(wanted["shape"]), wanted["dtype"]
    if _is_mask(name):
        # As `pack` makes them: eight weights to a byte.
        _check_layout(name, stored, "uint8", (-(-math.prod(shape) // 8),))
        if dtype != "bool":
            raise UserError(f"{name}: must be of bool, found {dtype}")
    else:
        _check_layout(name, stored, dtype, shape)
    if checksum({name: stored}) != wanted["sha256"]:
        raise UserError(f"{name}: is not what was written (its checksum differs)")
    return unpack(stored, shape) if _is_mask(name) else stored


def _check_layout(name: str, found: np.ndarray, dtype: str, shape: tuple[int, ...]) -> None:
    if (found.dtype.name, found.shape) != (dtype, shape):
        raise UserError(
            f"{name}: must be {dtype} of shape {shape}, found {found.dtype.name} of {found.shape}"
        )


def _fields(texts: Mapping[str, str]) -> dict[str, Any]:
    """Returns the file's own account of itself, once it is known to be whole."""
    if _KEY not in texts:
        raise UserError(
            f'must be a ticket that lth_tf wrote, but its metadata has no entry "{_KEY}"'
        )
    entry = f'metadata: its entry "{_KEY}"'
    fields = reading.parsed_json(entry, texts[_KEY])
    found = fields.get("format") if isinstance(fields, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise UserError(
            f"must be of format {FORMAT} or older, found {found}; "
            "it was written by a newer version of lth_tf"
        )
    reading.conform(entry, fields, _About)
    if fields.pop("checksum") != _checksum(fields):
        raise UserError(f"{entry} is not what was written (checksum differs)")
    return fields


def _checksum(fields: Mapping[str, Any]) -> str:
    return checksum({}, as_json(fields))
