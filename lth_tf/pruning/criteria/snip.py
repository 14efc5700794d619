"""SNIP (Lee et al. 2019): how much the initial loss depends on a weight being there."""

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.pruning.criteria import CRITERIA, Context, Criterion


@CRITERIA.register
class Snip(Criterion):
    """Keeps weights whose removal would change the initial loss most, to first order."""

    name = "snip"
    help = "|initial * gradient| (SNIP)"
    needs_training = False
    place = 11

    def scores(self, context: Context) -> Arrays:
        """See `Criterion`."""
        gradients = context.gradients()
        return {name: np.abs(weight * gradients[name]) for name, weight in context.initial.items()}
