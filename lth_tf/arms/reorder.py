"""The ticket in another order: what chance alone does."""

from lth_tf.arms import ARMS, Arm, Draw


@ARMS.register
class Reorder(Arm):
    """The ticket, trained with another order, augmentation and dropout."""

    name = "reorder"
    label = "ticket, other order"
    help = "the ticket, trained with another data order, augmentation and dropout"
    place = 5
    note = "The same ticket trained in another order shows what chance alone does."

    def order(self, draw: Draw) -> tuple[str, tuple[int, ...]]:
        """Returns other streams for each draw."""
        return "reorder_", (draw.level, draw.number)
