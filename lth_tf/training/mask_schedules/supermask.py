"""Learned supermasks (Zhou et al. 2019): each weight is kept with a probability that is learned."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.training.mask_schedules import MASK_SCHEDULES
from lth_tf.training.mask_schedules.base import Promise
from lth_tf.training.mask_schedules.learned import Learned, pruned_shapes

if TYPE_CHECKING:
    import tensorflow as tf


@MASK_SCHEDULES.register
class Supermask(Learned):
    """Keeps each weight with the probability sigmoid(score), drawn anew at every iteration.

    Evaluations draw too: a network that is evaluated has one mask, the one that the next iteration
    begins with. Scores begin where the probability is the density that the level plans for a
    kernel, at 0 for one half, as the original's. What density is reached is the training's to say.
    """

    name = "supermask"
    place = 4
    help = (
        "each level is one training of the mask, from the level's density on: weights stay as they "
        "are, and the probability that one is kept is learned (Zhou et al. 2019)"
    )
    promise = Promise.FREE

    def initial_scores(self) -> Arrays:
        """Returns the logit of each kernel's planned density."""
        shapes = pruned_shapes(self.plan.left, self.plan.shapes)
        scores = {}
        for names, count in self.plan.left.items():
            size = sum(math.prod(shapes[name]) for name in names)
            kept = min(max(count, 0.5), size - 0.5)  # a score must be finite
            logit = math.log(kept / (size - kept))
            scores |= {name: np.full(shapes[name], logit, np.float32) for name in names}
        return scores

    @staticmethod
    def masks_of(
        scores: Mapping[str, "tf.Variable"],
        left: Mapping[tuple[str, ...], "tf.Variable"],
        draw: Callable[[str], "tf.Tensor"],
    ) -> dict[str, "tf.Tensor"]:
        """Draws the masks."""
        import tensorflow as tf

        return {name: draw(name) < tf.sigmoid(score) for name, score in scores.items()}

    @staticmethod
    def slope(scores: "tf.Tensor") -> "tf.Tensor":
        """Returns the derivative of the probability."""
        import tensorflow as tf

        probability = tf.sigmoid(scores)
        return probability * (1 - probability)


@MASK_SCHEDULES.register
class RescaledSupermask(Supermask):
    """The supermask of a network whose kept weights are scaled up as if none were missing."""

    name = "supermask_rescaled"
    place = 5
    help = "as supermask, what is kept of a kernel multiplied by its size over the number kept"
    rescales = True
