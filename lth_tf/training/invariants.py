"""What must hold in every training, checked while it runs."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tf_keras as keras

from lth_tf.pruning.kernels import named_weights
from lth_tf.pruning.wrapper import get_masks
from lth_tf.training.mask_schedules import Promise


class InvariantError(RuntimeError):
    """Something that always holds did not: a fault of this program, not of its user."""


class CheckInvariants(keras.callbacks.Callback):
    """Checks that a training starts from mask * theta and ends with its masks and exact zeros."""

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        masks: Callable[[], Mapping[str, np.ndarray]],
        from_start: bool = True,
        trains_weights: bool = True,
    ) -> None:
        """Makes the callback.

        Args:
            weights: theta by name, before masking.
            masks: returns the masks at work by kernel name; kernels without one are not pruned.
            from_start: False for a training that goes on from a later state.
            trains_weights: False for a training that learns its masks, and leaves weights alone.
        """
        super().__init__()
        self._trains_weights = trains_weights
        self._from_start = from_start
        self._weights = weights
        self._masks = masks

    def on_train_begin(self, logs: Any = None) -> None:
        """Checks that the ticket equals mask * theta to the bit.

        Raises:
            InvariantError: if it does not.
        """
        if not self._from_start:
            return
        for name, variable in named_weights(self.model).items():
            mask = self._masks().get(name)
            theta = self._weights[name]
            ticket = theta if mask is None else np.where(mask, theta, np.float32(0))
            if not np.array_equal(variable.numpy(), ticket):
                raise InvariantError(f"{name}: does not start from mask * theta")

    def on_train_end(self, logs: Any = None) -> None:
        """Checks that the masks are as they were set, and pruned weights exactly zero.

        Raises:
            InvariantError: if they are not, or a weight was trained where only masks are.
        """
        masks, expected = get_masks(self.model), self._masks()
        for name, variable in named_weights(self.model).items():
            if name in expected:
                if not np.array_equal(masks[name], expected[name]):
                    raise InvariantError(f"{name}: its mask changed while training")
                if variable.numpy()[~expected[name]].any():
                    raise InvariantError(f"{name}: pruned weights are not zero")
            if not self._trains_weights and variable.trainable:
                self._check_untrained(name, variable.numpy(), masks.get(name))

    def _check_untrained(self, name: str, found: np.ndarray, mask: np.ndarray | None) -> None:
        """Checks that a weight is theta's, but for a factor that its kernel's have in common."""
        theta = self._weights[name]
        if mask is not None and mask.any():
            kept = theta[mask].astype(np.float64)
            factor = np.float32(found[mask] @ kept / (kept @ kept)) if kept.any() else 1
            theta = np.where(mask, theta * factor, 0)
            same = np.allclose(found, theta, rtol=1e-5, atol=0)
        else:
            same = np.array_equal(found, theta if mask is None else np.zeros_like(theta))
        if not same:
            raise InvariantError(f"{name}: was trained where only masks are")


def check_update(
    promise: Promise, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]
) -> None:
    """Checks that an update changed masks only as its mask schedule promises.

    Args:
        promise: the schedule's.
        before: the masks before the update.
        after: the masks after it.

    Raises:
        InvariantError: if they changed otherwise; names the kernel.
    """
    if before.keys() != after.keys():
        raise InvariantError(f"masks of {sorted(after)} where there are {sorted(before)}")
    holds = {
        Promise.UNCHANGED: np.array_equal,
        Promise.SHRINK: lambda old, new: not (new & ~old).any(),
        Promise.KEEP_COUNT: lambda old, new: np.count_nonzero(old) == np.count_nonzero(new),
        Promise.FREE: lambda old, new: True,
    }[promise]
    for name, old in before.items():
        new = after[name]
        if new.dtype != bool or new.shape != old.shape:
            raise InvariantError(
                f"{name}: an update must return boolean masks of shape {old.shape}, found "
                f"{new.dtype} {new.shape}"
            )
        if not holds(old, new):
            raise InvariantError(
                f"{name}: an update broke its schedule's promise, that masks {promise}"
            )


def check_pruned(
    before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], remaining: int | None
) -> None:
    """Checks that new masks lie within the old ones and keep as many weights as planned.

    Args:
        before: the masks of the round before.
        after: the masks pruned from them.
        remaining: the weights that the plan says remain; None where it does not say.

    Raises:
        InvariantError: if a weight came back, or the count is another.
    """
    for name, mask in after.items():
        if (mask & ~before[name]).any():
            raise InvariantError(f"{name}: pruned weights came back")
    if remaining is not None:
        check_count(after, remaining)


def check_count(masks: Mapping[str, np.ndarray], remaining: int) -> None:
    """Checks that masks keep as many weights as the plan says remain.

    Args:
        masks: boolean arrays by kernel name.
        remaining: weights that are left at the level.

    Raises:
        InvariantError: if the count is another.
    """
    found = sum(int(mask.sum()) for mask in masks.values())
    if found != remaining:
        raise InvariantError(f"{found} weights remain where the plan has {remaining}")
