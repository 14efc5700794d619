"""Small both initially and finally, by equal percentiles.

The criterion of Zhou et al. (2019) is `-max(a |final|, |initial|)`; on a, see
`large_init_large_final`.
"""

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.pruning.criteria import CRITERIA, Context, Criterion


@CRITERIA.register
class SmallInitSmallFinal(Criterion):
    """Keeps weights that begin and end small."""

    name = "small_init_small_final"
    help = "-max(a |final|, |initial|), a by equal percentiles"
    place = 5

    def scores(self, context: Context) -> Arrays:
        """See `Criterion`."""
        initial = context.ranks({name: -np.abs(weight) for name, weight in context.initial.items()})
        final = context.ranks({name: -np.abs(weight) for name, weight in context.final.items()})
        return {name: np.minimum(initial[name], rank) for name, rank in final.items()}
