"""Final magnitude of weights that changed their sign: Zhou et al.'s "large final, diff sign"."""

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.pruning.criteria import CRITERIA, Context, Criterion


@CRITERIA.register
class DifferentSign(Criterion):
    """Keeps weights that end large with the other sign than their initial one."""

    name = "different_sign"
    help = "max(0, -final * sign(initial))"
    place = 9

    def scores(self, context: Context) -> Arrays:
        """See `Criterion`."""
        initial, final = context.initial, context.final
        return {
            name: np.maximum(0, -np.sign(initial[name]) * weight) for name, weight in final.items()
        }
