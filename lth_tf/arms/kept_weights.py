"""Other values in place of the weights that a mask keeps, with or without their signs.

Zhou et al. (2019) call this the action on mask-1. There is none on what is pruned: masks set it to
zero in every forward pass, so that freezing it at its initial value, as they do as well, would take
another network, with a constant beside each kernel, and no file of this program would be right.
"""

from collections.abc import Callable

import numpy as np

from lth_tf.arms.arm import Draw
from lth_tf.arrays import Arrays


def replaced(
    weights: Arrays, masks: Arrays, values: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Arrays:
    """Returns weights with other values where the masks keep them; the rest is as it was.

    Args:
        weights: arrays by name, those of kernels among them; they are not changed.
        masks: boolean arrays by kernel name.
        values: returns the values of a kernel's kept weights, [kept], from the whole kernel and its
            mask.
    """
    changed = dict(weights)
    for name, mask in masks.items():
        changed[name] = weights[name].copy()
        changed[name][mask] = values(weights[name], mask)
    return changed


class SameSign:
    """Gives an arm's kept weights the signs that they have in the ticket, and changes no magnitude.

    It stands before the arm among a class's bases.
    """

    def weights(self, ticket: Callable[[], Arrays], masks: Arrays, draw: Draw) -> Arrays:
        """Returns the arm's weights with the ticket's signs.

        Args:
            ticket: returns what the ticket starts from.
            masks: the arm's masks.
            draw: where randomness comes from.
        """
        weights = ticket()
        others = super().weights(lambda: weights, masks, draw)
        signed = {name: np.copysign(others[name], weights[name]) for name in masks}
        return {**others, **signed}
