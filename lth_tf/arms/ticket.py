"""The ticket: the level's mask with the weights that `--rewind` says (Section 2)."""

from lth_tf.arms import ARMS, Arm


@ARMS.register
class TicketArm(Arm):
    """The ticket itself."""

    name = "ticket"
    label = "tickets"
    help = "the level's mask with θ0, or what `--rewind` says"
    place = 0
