"""Permuted: survivors take initial values of their whole layer (Zhou et al., 2019).

It is what their program does where their text says that weights are drawn anew.
"""

from collections.abc import Callable

from lth_tf.arms import ARMS, Arm, Draw
from lth_tf.arms.kept_weights import SameSign, replaced
from lth_tf.arrays import Arrays


@ARMS.register
class Permuted(Arm):
    """The ticket's mask with initial values of each layer, of pruned weights too, permuted."""

    name = "permuted"
    label = "permuted"
    help = "the level's mask; all of each layer's values of θ0, pruned ones too, in other places"
    place = 14
    has_fresh_weights = True

    def weights(self, ticket: Callable[[], Arrays], masks: Arrays, draw: Draw) -> Arrays:
        """Permutes each layer's values, anew at each level."""
        rng = draw.generator("permuted")
        return replaced(
            ticket(), masks, lambda kernel, mask: rng.permutation(kernel.ravel())[: mask.sum()]
        )


@ARMS.register
class PermutedSameSign(SameSign, Permuted):
    """The magnitudes of `permuted` with the ticket's signs."""

    name = "permuted_same_sign"
    label = "permuted, same signs"
    help = "the magnitudes of `permuted`, the signs of θ0"
    place = 15
