"""Masks of continued training, their weights back at theta_0 (Appendix B, Figures 9 and 10)."""

from lth_tf.arms import ARMS, Arm


@ARMS.register
class Rewound(Arm):
    """The level's mask with theta_0, where the run's own networks keep their trained weights."""

    name = "rewound"
    label = "same masks, θ0"
    help = (
        "the level's mask with θ0, where `--rewind` says otherwise (with `--rewind=0` the ticket)"
    )
    place = 6
    has_fresh_weights = True
