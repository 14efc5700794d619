"""Arms: what each level's mask is trained with, one file each; `arm` says what an arm is.

A new arm is a class in a file here, or in a package of one's own that announces its module by an
entry point (see `lth_tf.registry`):

    from lth_tf.arms import ARMS, Arm

    @ARMS.register
    class Halved(Arm):
        name = "halved"
        label = "ticket, halved"
        help = "the ticket, its weights halved"

        def weights(self, ticket, masks, draw):
            return {name: weight / 2 for name, weight in ticket().items()}

`--arms=ticket,halved` then trains it, and figures and tables show it.
"""

from lth_tf.arms.arm import Arm, Draw
from lth_tf.registry import Registry

__all__ = ["ARMS", "Arm", "Draw"]

ARMS: Registry[type[Arm]] = Registry("arms", __name__)
