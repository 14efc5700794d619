"""How far a weight has moved: Zhou et al.'s "movement"."""

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.pruning.criteria import CRITERIA, Context, Criterion


@CRITERIA.register
class Movement(Criterion):
    """Keeps weights that move most."""

    name = "movement"
    help = "|final - initial|"
    place = 7

    def scores(self, context: Context) -> Arrays:
        """See `Criterion`."""
        initial, final = context.initial, context.final
        return {name: np.abs(weight - initial[name]) for name, weight in final.items()}
