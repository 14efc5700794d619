"""The opposite of final magnitude: Zhou et al.'s "small final"."""

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.pruning.criteria import CRITERIA, Context, Criterion


@CRITERIA.register
class SmallFinal(Criterion):
    """Keeps weights that end small."""

    name = "small_final"
    help = "-|final|"
    ranks_initial = True
    place = 1

    def scores(self, context: Context) -> Arrays:
        """See `Criterion`."""
        return {name: -np.abs(weight) for name, weight in context.final.items()}
