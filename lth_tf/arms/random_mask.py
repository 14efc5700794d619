"""Random sparsity: a random mask of the ticket's size in each layer (Appendix E)."""

from lth_tf.arms import ARMS, Arm, Draw
from lth_tf.arrays import Arrays
from lth_tf.pruning import masks


@ARMS.register
class RandomMask(Arm):
    """The ticket's weights under random masks, nested like the ticket's."""

    name = "random_mask"
    label = "random mask"
    help = (
        "a random mask with as many weights of each layer, nested from level to level; weights as "
        "the ticket"
    )
    place = 2

    def masks(self, ticket: Arrays, draw: Draw) -> Arrays:
        """Keeps the first weights of one random ranking, the same at all levels."""
        return masks.random_masks(ticket, draw.streams.generator("random_mask", draw.number))
