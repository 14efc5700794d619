"""What a training's arrays must be: shapes, types, numbers, masks; whatever their checksum says."""

import math
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from lth_tf import reading
from lth_tf.arrays import Arrays
from lth_tf.errors import UserError
from lth_tf.pruning.packing import unpack

# Files that have the network's weights, at some iteration.
OF_WEIGHTS = ("weights", "initial", "rewind", "search")
Layers = Mapping[str, tuple[int, int]]


class _Texts(msgspec.Struct):
    """The metadata of masks.safetensors."""

    shapes: str


def masks_of(path: Path, packed: Arrays, texts: Mapping[str, str], layers: Layers) -> Arrays:
    """Returns a training's masks, unpacked.

    Args:
        path: their file, for messages.
        packed: the packed masks by kernel name.
        texts: the file's metadata.
        layers: remaining and all weights by kernel, as result.json has them.

    Raises:
        UserError: if they are not as many, as large and as dense as the result says.
    """
    text = reading.conform(path, dict(texts), _Texts, "metadata").shapes
    shapes = reading.conform(
        path, reading.parsed_json(path, text), dict[str, list[reading.Count]], "shapes"
    )
    _check_names(path, shapes, layers)
    _check_names(path, packed, layers)
    masks = {}
    for name, shape in shapes.items():
        left, size = layers[name]
        found = packed[name]
        if math.prod(shape) != size:
            raise UserError(f"{path}: {name} must have {size:,} weights, found shape {shape}")
        if (found.dtype, found.shape) != (np.dtype("uint8"), (-(-size // 8),)):
            raise UserError(
                f"{path}: {name} must be {-(-size // 8):,} bytes, found {found.dtype.name} of "
                f"{found.shape}"
            )
        mask = masks[name] = unpack(found, tuple(shape))
        if np.count_nonzero(mask) != left:
            raise UserError(
                f"{path}: {name} must keep {left:,} weights, as result.json says, found "
                f"{np.count_nonzero(mask):,}"
            )
    return masks


def check_weights(path: Path, weights: Arrays, layers: Layers) -> None:
    """Checks a network's weights.

    Args:
        path: their file, for messages.
        weights: the weights by name.
        layers: remaining and all weights by kernel, as result.json has them.

    Raises:
        UserError: if a kernel is missing or of another size, or a number is not finite.
    """
    for name, (_, size) in layers.items():
        if name not in weights:
            raise UserError(f"{path}: must have {name}, which is missing")
        if weights[name].size != size:
            raise UserError(
                f"{path}: {name} must have {size:,} weights, found shape {weights[name].shape}"
            )
        if weights[name].dtype.kind != "f":
            raise UserError(
                f"{path}: {name} must be of floating point, found {weights[name].dtype.name}"
            )
    reading.require_finite(path, weights)


def check_pruned(path: Path, weights: Arrays, masks: Arrays) -> None:
    """Checks that pruned weights are zero.

    Args:
        path: the weights' file, for messages.
        weights: the weights by name.
        masks: the masks by kernel name.

    Raises:
        UserError: if one is not.
    """
    for name, mask in masks.items():
        if weights[name].shape != mask.shape:
            raise UserError(
                f"{path}: {name} must have its mask's shape {mask.shape}, found "
                f"{weights[name].shape}"
            )
        if wrong := np.count_nonzero(weights[name][~mask]):
            raise UserError(f"{path}: {name} must be zero where pruned, but {wrong:,} are not")


def check_nested(path: Path, masks: Arrays, parent: Arrays) -> None:
    """Checks that a ticket's masks keep nothing that its parent's have pruned.

    Args:
        path: the masks' file, for messages.
        masks: the masks by kernel name.
        parent: those that they were pruned from.

    Raises:
        UserError: if they do.
    """
    for name, mask in masks.items():
        if name not in parent or parent[name].shape != mask.shape:
            raise UserError(f"{path}: {name} must have its parent's shape")
        if wrong := np.count_nonzero(mask & ~parent[name]):
            raise UserError(
                f"{path}: {name} must keep only what the level before keeps, but {wrong:,} weights "
                "that were pruned there are back"
            )


def _check_names(path: Path, found: Mapping[str, object], layers: Layers) -> None:
    if odd := sorted(found.keys() ^ layers.keys()):
        what = "is missing" if odd[0] in layers else "must not be there"
        raise UserError(f"{path}: {odd[0]} {what}; result.json has {', '.join(layers)}")
