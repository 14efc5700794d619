"""Large both initially and finally, by equal percentiles.

The criterion of Zhou et al. (2019) is `min(a |final|, |initial|)`, where a lets both terms reach
the cut at the same percentile. It depends on how many weights are kept, and their code finds it by
bisection. Ranks need no search and are exact: the weights whose lower rank is at least r, whatever
r leaves the wanted number, are those above the same percentile in both terms. Ranks are among the
weights that remain and are ranked together.
"""

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.pruning.criteria import CRITERIA, Context, Criterion


@CRITERIA.register
class LargeInitLargeFinal(Criterion):
    """Keeps weights that begin and end large."""

    name = "large_init_large_final"
    help = "min(a |final|, |initial|), a by equal percentiles"
    place = 4

    def scores(self, context: Context) -> Arrays:
        """See `Criterion`."""
        initial = context.ranks({name: np.abs(weight) for name, weight in context.initial.items()})
        final = context.ranks({name: np.abs(weight) for name, weight in context.final.items()})
        return {name: np.minimum(initial[name], rank) for name, rank in final.items()}
