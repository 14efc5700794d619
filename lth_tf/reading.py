"""Reading: one reader for each kind of file, which trusts nothing of what it finds there.

Only regular files are opened, sizes are bounded before memory is taken, and what is in a file has
the types and ranges of a schema. A message names file and field, the value, and what is right.
Nothing that stands in a file is ever imported or called.
"""

import csv
import dataclasses
import hashlib
import io
import json
import math
import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Annotated, Any, TypeVar

import msgspec
import numpy as np
from safetensors import SafetensorError, safe_open

from lth_tf.errors import UserError, reason_of, shortened
from lth_tf.machine import memory

CHECKSUM = "checksum"
_MOST_JSON, _MOST_TABLE, _MOST_HEADER = 2**26, 2**28, 2**24  # bytes
_MOST_LOG = 2**22
_SHOWN = 80  # characters of a wrong value
_NAMES = {
    "int": "a whole number", "float": "a number", "str": "text", "bool": "true or false",
    "object": "an object", "array": "a list", "null": "null",
}  # fmt: skip
_T = TypeVar("_T")

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class UnreadableError(UserError):
    """The system refuses to have a file read, whatever is in it."""


class _Tensor(msgspec.Struct, forbid_unknown_fields=True):
    """What a safetensors file's header says of a tensor."""

    dtype: str
    shape: Annotated[list[Count], msgspec.Meta(max_length=32)]
    data_offsets: tuple[Count, Count]


def opened(path: Path) -> IO[bytes]:
    """Opens a regular file for reading, or what a link to one leads to; nothing else.

    A pipe would wait for ever, and a device need not end or may do something.

    Raises:
        UserError: if it is something else, or cannot be opened.
    """
    try:
        _require_regular(path, os.stat(path).st_mode)
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # the latter: a NUL in its name
        raise _unreadable(path, error) from None
    file = os.fdopen(handle, "rb")
    try:
        _require_regular(path, os.fstat(handle).st_mode)  # whatever the name led to meanwhile
    except UserError:
        file.close()
        raise
    return file


def _require_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        names = {
            stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket",
            stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
        }  # fmt: skip
        found = names.get(stat.S_IFMT(mode), "something else")
        raise UserError(f"{path}: must be a file, found {found}")


def _unreadable(path: Path, error: OSError | ValueError) -> UserError:
    if isinstance(error, UserError):  # it is no regular file
        return UnreadableError(str(error))
    reason = reason_of(error) if isinstance(error, OSError) else error
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return UserError(f"{path}: must be a whole file, but {reason}")
    return UnreadableError(f"{path}: cannot be read ({reason}); it must be a readable file")


def read_bytes(path: Path, most: int = _MOST_JSON) -> bytes:
    """Reads a file.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        UserError: if it cannot be read, is no regular file, or is larger.
    """
    with opened(path) as file:
        try:
            content = file.read(most + 1)
        except OSError as error:
            raise _unreadable(path, error) from None
    if len(content) > most:
        raise UserError(f"{path}: must have at most {most:,} bytes, but has more")
    return content


def read_text(path: Path, most: int = _MOST_TABLE) -> str:
    """Reads a UTF-8 text file.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        UserError: if it cannot be read, or is no such text.
    """
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: must be UTF-8 text, but {error}") from None


def tail_of(path: Path) -> str:
    """Returns the end of a log, whatever bytes are in it.

    Raises:
        UserError: if it cannot be read.
    """
    with opened(path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _MOST_LOG))
        return file.read(_MOST_LOG).decode("utf-8", errors="replace")


def parsed_json(where: object, content: bytes | str) -> Any:
    """Returns a JSON value.

    Args:
        where: what it stands in, for messages.
        content: its text.

    Raises:
        UserError: if it is none that this program writes: malformed, or nested without end.
    """
    try:
        return msgspec.json.decode(content)
    except RecursionError:
        raise UserError(f"{where}: must be JSON, but it is nested too deeply") from None
    except (msgspec.MsgspecError, ValueError) as error:  # the latter: no UTF-8
        raise UserError(f"{where}: must be a whole JSON file, but {error}") from None


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON file that holds an object; `conform` says what must be in it.

    Raises:
        UserError: if it cannot be read, or is damaged.
    """
    fields = parsed_json(path, read_bytes(path))
    if not isinstance(fields, dict):
        raise UserError(f"{path}: must be a whole JSON file with an object, found {_shown(fields)}")
    return fields


def with_checksum(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a JSON object with a checksum of its own content behind its fields.

    Args:
        fields: JSON values by name.

    Raises:
        UserError: if a number in it is not finite.
    """
    try:
        text = json.dumps(fields, allow_nan=False, ensure_ascii=False)
        plain = json.loads(text.encode("utf-8", "replace"))  # names of files may be no UTF-8
    except ValueError as error:
        raise UserError(f"{_not_finite(fields)}: must be a finite number ({error})") from None
    return {**plain, CHECKSUM: checksum_of(plain)}


def checksum_of(fields: Mapping[str, Any]) -> str:
    """Returns the SHA-256, in hex, of a JSON object's one text: sorted names, no spaces."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def take_checksum(path: Path, fields: dict[str, Any]) -> bool:
    """Takes the checksum out of what `read_json` returned; says whether there was one.

    Args:
        path: the file, for messages.
        fields: its JSON object, which loses the checksum.

    Raises:
        UserError: if it is not that of the other fields.
    """
    if CHECKSUM not in fields:
        return False
    if fields.pop(CHECKSUM) != checksum_of(fields):
        raise UserError(f"{path}: is not what was written (its checksum differs)")
    return True


def conform(where: object, value: Any, kind: type[_T], root: str = "") -> _T:
    """Returns a JSON value as an object of a type, once it has the type's fields and ranges.

    Args:
        where: what it stands in, for messages.
        value: a JSON value.
        kind: a dataclass, a `msgspec.Struct`, or any type that they may have in them.
        root: the field that the value is of, for messages.

    Raises:
        UserError: if it is none; names the field, its value, and what is right.
    """
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        known = {field.name for field in dataclasses.fields(kind)}
        if unknown := [name for name in value if name not in known]:
            name = ".".join(filter(None, (root, unknown[0])))
            raise UserError(
                f"{where}: {name} must not be there; this version of lth_tf knows no such field"
            )
    try:
        found = msgspec.convert(value, kind, str_keys=True)
    except RecursionError:
        raise UserError(f"{where}: is nested too deeply") from None
    except (msgspec.ValidationError, OverflowError) as error:
        raise UserError(f"{where}: {_explained(str(error), value, root)}") from None
    if bad := _not_finite(value):
        raise UserError(f"{where}: {'.'.join(filter(None, (root, bad)))} must be a finite number")
    return _whole(found)


def _whole(found: _T) -> _T:
    """Returns a dataclass's object with its defaults, which msgspec leaves to the class."""
    return dataclasses.replace(found) if dataclasses.is_dataclass(found) else found


def _explained(message: str, value: Any, root: str) -> str:
    """Says in this program's words what msgspec found."""
    reason, _, place = message.rpartition(" - at `$")
    reason, place = (reason, place.rstrip("`")) if reason else (message, "")
    found: Any = value
    for name, number in re.findall(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]", place):
        try:
            found = found[name or int(number)]
        except (KeyError, IndexError, TypeError, ValueError):
            return f"{f'{root}{place}'.lstrip('.')} is wrong: {reason}"
    field = f"{root}{place}" if root else place.lstrip(".")
    if missing := re.fullmatch(r"Object missing required field `(.*)`", reason):
        return f"{'.'.join(filter(None, (field, missing[1])))} is missing"
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", reason):
        name = ".".join(filter(None, (field, unknown[1])))
        return f"{name} must not be there; this version of lth_tf knows no such field"
    wanted = re.fullmatch(r"Expected (.*?)(?:, got `\w+`)?", reason)
    if not wanted:  # what a dataclass of this program says of itself, or a number beyond 64 bits
        return f"{field or 'it'} is wrong: {reason}"
    right = re.sub(r"`(.*?)`", lambda name: _names(name[1]), wanted[1])
    right = right.replace(">=", "of at least").replace("<=", "of at most").replace(" | ", " or ")
    return f"{field or 'it'} must be {right}, found {_shown(found)}"


def _names(types: str) -> str:
    """Returns what msgspec's names of types are in JSON's words."""
    return " or ".join(_NAMES.get(name, name) for name in types.split(" | "))


def _shown(value: Any) -> str:
    try:
        return shortened(json.dumps(value), _SHOWN)
    except (TypeError, ValueError, RecursionError):
        return type(value).__name__


def _not_finite(value: Any, place: str = "") -> str:
    """Returns the place of a number that is not finite; empty if there is none."""
    if isinstance(value, float):
        return "" if math.isfinite(value) else place or "it"
    pairs = value.items() if isinstance(value, Mapping) else ()
    if isinstance(value, list | tuple):
        pairs = enumerate(value)
    found = (_not_finite(v, f"{place}.{k}" if place else str(k)) for k, v in pairs)
    return next((bad for bad in found if bad), "")


def read_table(
    path: Path,
    columns: set[str] | frozenset[str] = frozenset(),
    named: Callable[[str], str] = str,
) -> list[dict]:
    """Reads a CSV file with a header, as texts by column.

    Args:
        path: the file.
        columns: those that must be there.
        named: returns what a column of the file is called here.

    Raises:
        UserError: if it cannot be read, a column is missing, or a row has another length.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        header, *lines = [line for line in reader if line] or [[]]
    except csv.Error as error:
        raise UserError(f"{path}: must be a CSV file, but {error}") from None
    header = [named(name) for name in header]
    if missing := columns - set(header):
        raise UserError(f"{path}: must have the column {min(missing)}, which is missing")
    if len(set(header)) < len(header):
        raise UserError(f"{path}: must have each column only once")
    for number, line in enumerate(lines, 2):
        if len(line) != len(header):
            raise UserError(
                f"{path}: must have {len(header)} values in each row, found {len(line)} in row "
                f"{number}"
            )
    return [dict(zip(header, line, strict=True)) for line in lines]


def conform_row(where: object, texts: Mapping[str, str], kind: type[_T]) -> _T:
    """Returns a row of texts as an object of a type; blanks are left out.

    Args:
        where: the file, for messages.
        texts: texts by field.
        kind: a dataclass or a `msgspec.Struct`.

    Raises:
        UserError: if a text stands for no value of its field.
    """
    present = {name: text for name, text in texts.items() if text != ""}
    try:
        found = msgspec.convert(present, kind, strict=False, str_keys=True)
    except (msgspec.ValidationError, OverflowError) as error:
        raise UserError(f"{where}: {_explained(str(error), present, '')}") from None
    found = _whole(found)
    values = found if isinstance(found, Mapping) else vars(found)
    if bad := _not_finite(values):
        raise UserError(f"{where}: {bad} must be a finite number, found {texts.get(bad)}")
    return found


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Reads a safetensors file's arrays and its metadata.

    Raises:
        UserError: if the file is missing or damaged, or larger than memory.
    """
    check_header(path)
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError, TypeError, ValueError) as error:
        raise UserError(f"{path}: must be a whole safetensors file, but {error}") from error
    except MemoryError:
        raise UserError(f"{path}: does not fit into memory") from None


def check_header(path: Path) -> None:
    """Checks what a safetensors file says of its size, before memory is taken for it.

    Raises:
        UserError: if it cannot be read, is none, or is larger than it can be.
    """
    whole = f"{path}: must be a whole safetensors file, but"
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        first = file.read(8)
        length = int.from_bytes(first, "little")
        if len(first) < 8 or not 2 <= length <= min(_MOST_HEADER, size - 8):
            raise UserError(
                f"{whole} its header has {length:,} of {size:,} bytes; at most {_MOST_HEADER:,}"
            )
        if size > memory():
            raise UserError(f"{path}: does not fit into memory ({size:,} bytes)")
        try:
            header = msgspec.json.decode(file.read(length), type=dict[str, msgspec.Raw])
            texts = msgspec.json.decode(header.pop("__metadata__", b"{}"), type=dict[str, str])
            tensors = {n: msgspec.json.decode(raw, type=_Tensor) for n, raw in header.items()}
        except (msgspec.MsgspecError, ValueError, RecursionError, OSError) as error:
            raise UserError(f"{whole} its header is none: {error}") from None
    del texts
    for name, tensor in tensors.items():
        if math.prod(tensor.shape) > size or tensor.data_offsets[1] > size:
            raise UserError(f"{whole} {name} of shape {tensor.shape} is larger than the file")


def require_finite(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Checks that no number in arrays is infinite or none at all.

    Args:
        path: the file that has them, for messages.
        arrays: arrays by name, of any shape.

    Raises:
        UserError: if one is; names the array.
    """
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise UserError(f"{path}: {name} must have finite numbers only, but has others")


def sha256(path: Path) -> str:
    """Returns a file's SHA-256 checksum in hex digits."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
