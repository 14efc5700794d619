"""The opposite of initial magnitude: Zhou et al.'s "small init"."""

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.pruning.criteria import CRITERIA, Context, Criterion


@CRITERIA.register
class SmallInit(Criterion):
    """Keeps weights that begin small."""

    name = "small_init"
    help = "-|initial|"
    needs_training = False
    place = 3

    def scores(self, context: Context) -> Arrays:
        """See `Criterion`."""
        return {name: -np.abs(weight) for name, weight in context.initial.items()}
