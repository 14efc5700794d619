"""Inverted criterion: the weights that the ticket's likes least (Frankle et al., 2021)."""

from lth_tf.arms import ARMS, Arm


@ARMS.register
class InvertedMask(Arm):
    """The ticket's weights under a mask that keeps the lowest-scored."""

    name = "inverted_mask"
    label = "inverted criterion"
    help = (
        "a mask by the opposite of the criterion, as large; weights as the ticket "
        "(`--strategy=one_shot` or `at_init`)"
    )
    place = 6
    inverts_criterion = True
