"""Sizes: the bytes that a sparse network takes, in memory and in files."""

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse


class Size(NamedTuple):
    """Bytes.

    Attributes:
        plain: as they are.
        compressed: after gzip.
    """

    plain: int
    compressed: int


def encodings(
    weights: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray]
) -> dict[str, Size]:
    """Returns what a network's weights take in each way to store them.

    Values have the weights' types.

    CSR has for each kernel, as a matrix [inputs, outputs], the remaining values, the column of
    each and the end of each row, in the smallest unsigned integers that hold them. A bitmask has
    a bit for each of the kernel's weights, and the remaining values. Weights without a mask are
    dense in all of them.

    Args:
        weights: weights by name, pruned ones zero.
        masks: boolean arrays by kernel name.
    """
    ways = {
        "weights with their zeros": lambda array, mask: [array],
        "weights as CSR": _csr,
        "weights as bitmask and values": lambda array, mask: [np.packbits(mask), array[mask]],
    }
    found = {}
    for way, parts in ways.items():
        arrays = [
            part
            for name, array in weights.items()
            for part in (parts(array, masks[name]) if name in masks else [array])
        ]
        found[way] = _size(np.ascontiguousarray(part).tobytes() for part in arrays)
    return found


def file_size(path: Path) -> Size:
    """Returns the bytes of a file, or of all files in a folder."""
    paths = sorted(path.rglob("*")) if path.is_dir() else [path]
    return _size(file.read_bytes() for file in paths if file.is_file())


def _csr(array: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    rows, columns = np.nonzero(mask.reshape(-1, mask.shape[-1]))
    shape = (mask.size // mask.shape[-1], mask.shape[-1])
    matrix = scipy.sparse.csr_array((array[mask], (rows, columns)), shape)
    smallest = [np.min_scalar_type(most) for most in (max(shape[1] - 1, 0), matrix.nnz)]
    return [matrix.data, matrix.indices.astype(smallest[0]), matrix.indptr.astype(smallest[1])]


def _size(contents: Iterator[bytes]) -> Size:
    """A folder's files, or a network's arrays, are compressed together, as an archive of them."""
    whole = b"".join(contents)
    return Size(len(whole), len(gzip.compress(whole, compresslevel=6)))
