"""Reshuffled: the weights that survive change places within their layer (Zhou et al., 2019)."""

from collections.abc import Callable

from lth_tf.arms import ARMS, Arm, Draw
from lth_tf.arms.kept_weights import SameSign, replaced
from lth_tf.arrays import Arrays


@ARMS.register
class Reshuffled(Arm):
    """The ticket's mask with the survivors' initial values, shuffled within each layer."""

    name = "reshuffled"
    label = "reshuffled"
    help = "the level's mask; each layer's kept values of θ0 in other places"
    place = 12
    has_fresh_weights = True

    def weights(self, ticket: Callable[[], Arrays], masks: Arrays, draw: Draw) -> Arrays:
        """Shuffles each layer's kept values, anew at each level."""
        rng = draw.generator("reshuffled")
        return replaced(ticket(), masks, lambda kernel, mask: rng.permutation(kernel[mask]))


@ARMS.register
class ReshuffledSameSign(SameSign, Reshuffled):
    """The magnitudes of `reshuffled` with the ticket's signs."""

    name = "reshuffled_same_sign"
    label = "reshuffled, same signs"
    help = "the magnitudes of `reshuffled`, the signs of θ0"
    place = 13
