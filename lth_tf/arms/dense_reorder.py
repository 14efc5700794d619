"""The dense network in another order, to ask whether it is stable (Frankle et al., 2020)."""

from lth_tf.arms import ARMS
from lth_tf.arms.reorder import Reorder


@ARMS.register
class DenseReorder(Reorder):
    """The dense network, trained with another order, augmentation and dropout."""

    name = "dense_reorder"
    label = "dense network, other order"
    help = "the dense network, at level 0, from where `--rewind` rewinds to; order as `reorder`"
    place = 9
    note = ""
