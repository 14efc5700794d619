"""What supermasks and edge-popup share: trainings of the mask, whose weights stay as they are."""

import abc
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from lth_tf.arrays import Arrays
from lth_tf.errors import UserError
from lth_tf.pruning.densities import Counts
from lth_tf.recipe import Recipe
from lth_tf.training.mask_schedules.base import Masks, MaskSchedule, Moment

if TYPE_CHECKING:
    import tensorflow as tf


class Learned(MaskSchedule):
    """Learns a score for each weight, from which its mask follows at every iteration.

    The network is `mask * theta`, theta being what the training starts from, and is never trained
    itself: the optimizer updates scores. A mask has no derivative, so that its gradient is handed
    straight through to the score (Bengio et al. 2013), times the derivative of what the mask was
    made of: d loss / d score = d loss / d weight * theta * slope(score).

    Attributes:
        rescales: whether what a mask keeps of a kernel is multiplied by the kernel's size over
            the number kept (dynamic weight rescaling, Zhou et al. 2019).
    """

    trains_weights = False
    rescales: ClassVar[bool] = False

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """Checks that weights are not ranked by a criterion as well.

        Raises:
            UserError: if they are.
        """
        super().check(recipe)
        if recipe.criterion != "magnitude":
            raise UserError(
                f"--criterion={recipe.criterion}: must be left out with --strategy={cls.name}, "
                "which learns what to keep"
            )

    @property
    def updates(self) -> tuple[int, ...]:
        """None: masks follow from scores inside of every chunk."""
        return ()

    def update(self, moment: Moment) -> Masks:
        """Returns the masks as they are."""
        return dict(moment.masks)

    @abc.abstractmethod
    def initial_scores(self) -> Arrays:
        """Returns the scores to begin with, float32 by kernel, of the kernels that are pruned."""

    @staticmethod
    @abc.abstractmethod
    def masks_of(
        scores: Mapping[str, "tf.Variable"],
        left: Mapping[tuple[str, ...], "tf.Variable"],
        draw: Callable[[str], "tf.Tensor"],
    ) -> dict[str, "tf.Tensor"]:
        """Returns the boolean masks of an iteration by kernel.

        Args:
            scores: the scores by kernel.
            left: how many weights the level leaves of kernels that are ranked together.
            draw: draws uniform numbers in [0, 1) for a kernel, of its shape, anew each iteration.
        """

    @staticmethod
    @abc.abstractmethod
    def slope(scores: "tf.Tensor") -> "tf.Tensor":
        """Returns the derivative by the score of what a mask is made of."""


def pruned_shapes(
    left: Counts, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the kernels that are pruned, by name.

    Args:
        left: how many weights are left of kernels that are ranked together.
        shapes: the shapes of all kernels.
    """
    return {name: shapes[name] for names in left for name in names}
