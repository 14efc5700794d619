"""Shuffled masks: how many weights a layer keeps, but not which (Frankle et al., 2021)."""

from lth_tf.arms import ARMS, Arm, Draw
from lth_tf.arrays import Arrays


@ARMS.register
class ShuffledMask(Arm):
    """The ticket's weights under its mask, shuffled."""

    name = "shuffled_mask"
    label = "shuffled mask"
    help = "the level's mask, shuffled within each layer at each level; weights as the ticket"
    place = 3

    def masks(self, ticket: Arrays, draw: Draw) -> Arrays:
        """Shuffles each layer's mask, anew at each level."""
        rng = draw.generator("shuffled_mask")
        return {name: rng.permuted(m.ravel()).reshape(m.shape) for name, m in ticket.items()}
