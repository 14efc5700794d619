"""A random mask with other initial weights: nothing of the ticket but its size."""

from lth_tf.arms import ARMS
from lth_tf.arms.random_mask import RandomMask
from lth_tf.arms.reinit import Reinit


@ARMS.register
class RandomMaskReinit(RandomMask, Reinit):
    """The masks of `random_mask` with the weights of `reinit`."""

    name = "random_mask_reinit"
    label = "random mask, reinit"
    help = "the mask of `random_mask` with the weights of `reinit`"
    place = 4
