"""Random reinitialisation: the ticket's mask with other initial weights (Section 2)."""

from collections.abc import Callable

from lth_tf.arms import ARMS, Arm, Draw
from lth_tf.arrays import Arrays


@ARMS.register
class Reinit(Arm):
    """The ticket's mask with weights drawn anew."""

    name = "reinit"
    label = "random reinit"
    help = "the level's mask with weights drawn anew"
    place = 1
    has_fresh_weights = True

    def weights(self, ticket: Callable[[], Arrays], masks: Arrays, draw: Draw) -> Arrays:
        """Draws initial weights, others at each level."""
        return draw.initial_weights(draw.streams.key("reinit", draw.level, draw.number))
