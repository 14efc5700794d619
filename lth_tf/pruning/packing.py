"""Packing: masks as files hold them, a bit for each weight."""

import numpy as np


def pack(mask: np.ndarray) -> np.ndarray:
    """Packs a boolean mask, in flat order, eight weights to a byte (first weight highest bit)."""
    return np.packbits(mask)


def unpack(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the boolean mask of a shape that `pack` packed.

    Args:
        packed: uint8 [ceil(n / 8)], for n weights.
        shape: the kernel's.
    """
    return np.unpackbits(packed, count=int(np.prod(shape))).astype(bool).reshape(shape)
