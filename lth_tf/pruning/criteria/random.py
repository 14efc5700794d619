"""A random order, the same at every level, so that masks of all levels are nested."""

from lth_tf.arrays import Arrays
from lth_tf.pruning.criteria import CRITERIA, Context, Criterion


@CRITERIA.register
class Random(Criterion):
    """Keeps any weights."""

    name = "random"
    help = "a random order"
    needs_training = False
    place = 10

    def scores(self, context: Context) -> Arrays:
        """See `Criterion`."""
        draw = context.generator.random
        return {name: draw(weight.shape) for name, weight in context.initial.items()}
