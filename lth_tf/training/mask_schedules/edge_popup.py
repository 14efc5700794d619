"""Edge-popup (Ramanujan et al. 2020): the weights of the largest learned scores are kept."""

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

_SIGN_BIT = 31


@MASK_SCHEDULES.register
class EdgePopup(Learned):
    """Keeps the weights of the largest score magnitudes, exactly as many as the level plans.

    Scores begin uniform in plus or minus 1 / sqrt(fan-in), as the original's.
    """

    name = "edge_popup"
    place = 6
    help = (
        "each level is one training of the mask, at the level's density: weights stay as they are, "
        "and those of the largest learned scores are kept (Ramanujan et al. 2020)"
    )
    promise = Promise.KEEP_COUNT

    def initial_scores(self) -> Arrays:
        """Draws the scores from the training's own stream."""
        generator = self.plan.generator(0)
        return {
            name: _uniform(generator, shape)
            for name, shape in pruned_shapes(self.plan.left, self.plan.shapes).items()
        }

    @staticmethod
    def masks_of(
        scores: Mapping[str, "tf.Variable"],
        left: Mapping[tuple[str, ...], "tf.Variable"],
        draw: Callable[[str], "tf.Tensor"],
    ) -> dict[str, "tf.Tensor"]:
        """Keeps the weights of the largest magnitudes; of equal ones the last, as pruning does."""
        import tensorflow as tf

        found = {}
        for names, count in left.items():
            flat = tf.concat([tf.reshape(scores[name], [-1]) for name in names], 0)
            kept = _largest(flat, count)
            parts = tf.split(kept, [math.prod(scores[name].shape) for name in names])
            for name, part in zip(names, parts, strict=True):
                found[name] = tf.reshape(part, scores[name].shape)
        return found

    @staticmethod
    def slope(scores: "tf.Tensor") -> "tf.Tensor":
        """Returns the derivative of the magnitude."""
        import tensorflow as tf

        return tf.sign(scores)


def _uniform(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    bound = 1 / math.sqrt(max(1, math.prod(shape[:-1])))
    return generator.uniform(-bound, bound, shape).astype(np.float32)


def _largest(values: "tf.Tensor", count: "tf.Tensor") -> "tf.Tensor":
    """Returns which values have the largest magnitudes, some number of them, booleans [n].

    Magnitudes are in the order of their bits as integers, so that the smallest that stays is found
    bit by bit: 31 counts, where sorting would take ten times as long.
    """
    import tensorflow as tf

    order = tf.bitcast(tf.abs(values), tf.int32)
    cutoff = tf.constant(0)
    for bit in reversed(range(_SIGN_BIT)):
        higher = cutoff | (1 << bit)
        many = tf.math.count_nonzero(order >= higher, dtype=tf.int32) >= count
        cutoff = tf.where(many, higher, cutoff)
    above, equal = order > cutoff, order == cutoff
    missing = count - tf.math.count_nonzero(above, dtype=tf.int32)
    place = tf.cumsum(tf.cast(equal, tf.int32), reverse=True)
    return above | (equal & (place <= missing))
