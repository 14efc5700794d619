"""Reinitialisation from the survivors' own distribution (Appendix F.3, Figure 17)."""

from collections.abc import Callable

from lth_tf.arms import ARMS, Arm, Draw
from lth_tf.arms.kept_weights import replaced
from lth_tf.arrays import Arrays


@ARMS.register
class SurvivorsReinit(Arm):
    """The ticket's mask with weights drawn from the initial values of its survivors."""

    name = "survivors_reinit"
    label = "reinit from survivors"
    help = "the level's mask with weights drawn from the kept values of each layer's θ0"
    place = 7
    has_fresh_weights = True

    def weights(self, ticket: Callable[[], Arrays], masks: Arrays, draw: Draw) -> Arrays:
        """Draws each layer's kept weights from its survivors, with replacement, at each level."""
        rng = draw.generator("survivors_reinit")
        return replaced(ticket(), masks, lambda kernel, mask: rng.choice(kernel[mask], mask.sum()))
