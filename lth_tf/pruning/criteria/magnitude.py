"""Final magnitude: the paper's criterion (Section 2), "large final" in Zhou et al. (2019)."""

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.pruning.criteria import CRITERIA, Context, Criterion


@CRITERIA.register
class Magnitude(Criterion):
    """Keeps weights that end large."""

    name = "magnitude"
    help = "|final|, the paper's"
    ranks_initial = True
    place = 0

    def scores(self, context: Context) -> Arrays:
        """See `Criterion`."""
        return {name: np.abs(weight) for name, weight in context.final.items()}
