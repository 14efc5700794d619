"""Criteria: what weights are ranked by; the lowest are pruned. One file each.

The paper ranks by final magnitude; those of Zhou et al. (2019), "Deconstructing Lottery Tickets",
and of pruning at initialisation are beside it. A user's package adds one by a class like those
here (see `lth_tf.registry`):

    @CRITERIA.register
    class Swing(Criterion):
        name = "swing"
        help = "|final| + |initial|"

        def scores(self, context):
            return {n: np.abs(w) + np.abs(context.initial[n]) for n, w in context.final.items()}

This module, and those that register criteria, import TensorFlow inside functions only: the flags'
help lists them.
"""

import abc

from lth_tf.arrays import Arrays
from lth_tf.pruning.context import Context
from lth_tf.registry import Registry

__all__ = ["CRITERIA", "Context", "Criterion"]


class Criterion(abc.ABC):
    """What weights are ranked by.

    Attributes:
        name: what `--criterion` calls it.
        help: what it is, for the flag's help: a formula or a few words.
        needs_training: whether its scores need the final weights of a training. If not, it sees
            initial weights only.
        ranks_initial: whether one that needs a training can rank initial weights as if they were
            final ones, where nothing is trained before (`--strategy=at_init`).
        steps: prunings that one level's is divided into, each with new scores: after step
            k of n, `(kept / remaining) ** (k / n)` of what remained is left.
        examples_per_class: examples of each class in `Context.examples`; of targets that are no
            classes, ten times as many in all.
        place: where it stands in lists.
    """

    name: str
    help: str
    needs_training: bool = True
    ranks_initial: bool = False
    steps: int = 1
    examples_per_class: int = 10
    place: int = 1_000

    @abc.abstractmethod
    def scores(self, context: Context) -> Arrays:
        """Returns the score of each weight: the lowest of the remaining are pruned.

        Args:
            context: weights, masks, and what else may be asked for.

        Returns:
            An array of numbers in the kernel's shape for each prunable kernel (those of
            `context.groups`), by name. Scores of pruned weights and of other kernels do not count.
        """


CRITERIA: Registry[type[Criterion]] = Registry("criterion", __name__)
