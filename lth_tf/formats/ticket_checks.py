"""Checks that the parts of a ticket fit each other: masks, weights, trained weights, metadata."""

import json
from typing import Any

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.errors import UserError
from lth_tf.formats.ticket_file import MASK, TRAINED, WEIGHTS


def check(masks: Arrays, weights: Arrays, trained: Arrays | None) -> None:
    """Checks that a ticket's arrays fit each other; see `lth_tf.formats.ticket.Ticket`.

    Args:
        masks: boolean masks by kernel name.
        weights: the weights that training starts from, by name.
        trained: the trained weights by name; None if there are none.

    Raises:
        UserError: if they do not; names the tensor as the file does.
    """
    for name, array in weights.items():
        _check_number(f"{WEIGHTS}:{name}", array)
    for name, array in (trained or {}).items():
        _check_number(f"{TRAINED}:{name}", array)
    for name, mask in masks.items():
        _check_mask(name, mask, weights)
    _check_pruned(WEIGHTS, weights, masks)
    if trained is not None:
        _check_same_layout(trained, weights)
        _check_pruned(TRAINED, trained, masks)


def plain_json(metadata: Any) -> dict[str, Any]:
    """Returns metadata as they come back from a file: tuples as lists, keys as text.

    Raises:
        UserError: if JSON cannot hold them, or they are no dict.
    """
    try:
        plain = json.loads(json.dumps(metadata, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UserError(f"metadata: must be what JSON can hold, but {error}") from None
    if not isinstance(plain, dict):
        raise UserError(f"metadata: must be a dict, found {type(metadata).__name__}")
    return plain


def _check_number(tensor: str, array: np.ndarray) -> None:
    """Lets integers through: Keras's `Normalization` counts its examples."""
    dtype = array.dtype
    if dtype.kind not in "fiu" or dtype.itemsize > 8 or not dtype.isnative:
        raise UserError(
            f"{tensor}: must be of float16, float32 or float64, or integers, "
            f"in the machine's byte order, found {dtype.str}"
        )
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise UserError(f"{tensor}: must have finite numbers only, but has others")


def _check_mask(name: str, mask: np.ndarray, weights: Arrays) -> None:
    if name not in weights:
        raise UserError(f"{MASK}:{name}: must have a weight, but there is no {WEIGHTS}:{name}")
    if (mask.dtype, mask.shape) != (bool, weights[name].shape):
        raise UserError(
            f"{MASK}:{name}: must be bool of its weight's shape {weights[name].shape}, "
            f"found {mask.dtype.name} of {mask.shape}"
        )


def _check_pruned(group: str, weights: Arrays, masks: Arrays) -> None:
    for name, mask in masks.items():
        wrong = np.count_nonzero(weights[name][~mask])
        if wrong:
            raise UserError(f"{group}:{name}: must be zero where pruned, but {wrong:,} are not")


def _check_same_layout(trained: Arrays, weights: Arrays) -> None:
    for name in [*weights, *trained]:
        if name not in trained:
            raise UserError(f"{TRAINED}:{name}: is missing, but there is {WEIGHTS}:{name}")
        if name not in weights:
            raise UserError(
                f"{TRAINED}:{name}: must have initial weights, but there is no {WEIGHTS}:{name}"
            )
        found, wanted = trained[name], weights[name]
        if (found.dtype, found.shape) != (wanted.dtype, wanted.shape):
            raise UserError(
                f"{TRAINED}:{name}: must be {wanted.dtype.name} of shape {wanted.shape} as its "
                f"initial weights, found {found.dtype.name} of {found.shape}"
            )
