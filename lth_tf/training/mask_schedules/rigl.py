"""RigL, the rigged lottery (Evci et al. 2020): weights are grown where the gradient is largest."""

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.training.mask_schedules import MASK_SCHEDULES
from lth_tf.training.mask_schedules.base import Moment
from lth_tf.training.mask_schedules.drop_and_grow import DropAndGrow


@MASK_SCHEDULES.register
class RigL(DropAndGrow):
    """Drops the smallest weights and grows as many where the dense gradient is largest."""

    name = "rigl"
    place = 3
    help = "as set, but weights are grown where the dense gradient is largest (Evci et al. 2020)"

    def growth(self, moment: Moment) -> Arrays:
        """Returns the gradients' magnitudes, on the batch of the next iteration."""
        return {name: np.abs(gradient) for name, gradient in moment.gradients().items()}
