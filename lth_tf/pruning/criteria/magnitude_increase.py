"""How much a weight's magnitude has grown: Zhou et al.'s "magnitude increase"."""

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.pruning.criteria import CRITERIA, Context, Criterion


@CRITERIA.register
class MagnitudeIncrease(Criterion):
    """Keeps weights whose magnitude grows most."""

    name = "magnitude_increase"
    help = "|final| - |initial|"
    place = 6

    def scores(self, context: Context) -> Arrays:
        """See `Criterion`."""
        initial, final = context.initial, context.final
        return {name: np.abs(weight) - np.abs(initial[name]) for name, weight in final.items()}
