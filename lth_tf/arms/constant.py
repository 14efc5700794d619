"""Constant: all survivors of a layer have one magnitude (Zhou et al., 2019).

It is the standard deviation of the layer's initial weights. With the initial signs the ticket keeps
nothing of theta_0 but these.
"""

from collections.abc import Callable

import numpy as np

from lth_tf.arms import ARMS, Arm, Draw
from lth_tf.arms.kept_weights import SameSign, replaced
from lth_tf.arrays import Arrays


@ARMS.register
class Constant(Arm):
    """The ticket's mask with plus or minus each layer's initial standard deviation."""

    name = "constant"
    label = "constant, random signs"
    help = "the level's mask; kept weights ± the standard deviation of their layer's θ0, at random"
    place = 16
    has_fresh_weights = True

    def weights(self, ticket: Callable[[], Arrays], masks: Arrays, draw: Draw) -> Arrays:
        """Draws signs, anew at each level."""
        rng = draw.generator("constant")

        def values(kernel: np.ndarray, mask: np.ndarray) -> np.ndarray:
            return kernel.std() * rng.choice(np.float32([-1, 1]), mask.sum())

        return replaced(ticket(), masks, values)


@ARMS.register
class ConstantSameSign(SameSign, Constant):
    """The magnitudes of `constant` with the ticket's signs."""

    name = "constant_same_sign"
    label = "constant, same signs"
    help = "the magnitudes of `constant`, the signs of θ0"
    place = 17
