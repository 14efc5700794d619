"""SET, sparse evolutionary training (Mocanu et al. 2018): weights are grown at random."""

from lth_tf.arrays import Arrays
from lth_tf.training.mask_schedules import MASK_SCHEDULES
from lth_tf.training.mask_schedules.base import Moment
from lth_tf.training.mask_schedules.drop_and_grow import DropAndGrow


@MASK_SCHEDULES.register
class Set(DropAndGrow):
    """Drops the smallest weights and grows as many at random."""

    name = "set"
    place = 2
    help = (
        "each level is one training from the initial weights, at the level's density all the way, "
        "whose smallest weights make room for random ones while it runs (Mocanu et al. 2018)"
    )

    def growth(self, moment: Moment) -> Arrays:
        """Draws the scores."""
        return {name: moment.generator.random(mask.shape) for name, mask in moment.masks.items()}
