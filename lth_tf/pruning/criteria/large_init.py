"""Initial magnitude: Zhou et al.'s "large init"."""

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.pruning.criteria import CRITERIA, Context, Criterion


@CRITERIA.register
class LargeInit(Criterion):
    """Keeps weights that begin large."""

    name = "large_init"
    help = "|initial|"
    needs_training = False
    place = 2

    def scores(self, context: Context) -> Arrays:
        """See `Criterion`."""
        return {name: np.abs(weight) for name, weight in context.initial.items()}
