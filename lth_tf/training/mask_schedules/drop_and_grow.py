"""What SET and RigL share: a training that is sparse all the way, at one density."""

import abc
import math

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.errors import UserError
from lth_tf.pruning.densities import DENSITIES
from lth_tf.pruning.masks import prune_to, random_masks
from lth_tf.recipe import Recipe
from lth_tf.training.mask_schedules.base import (
    Masks,
    MaskSchedule,
    Moment,
    Promise,
    check_ranks_by_magnitude,
    last_pruning,
    update_iterations,
)

_ALPHA = 0.3  # the share of a kernel's weights that the first update would drop at iteration 0


class DropAndGrow(MaskSchedule):
    """Drops the smallest weights of each kernel every dt iterations, and grows as many.

    The masks that a training begins with are random ones of the level's density, from the
    training's own stream. At iteration t the share `alpha / 2 (1 + cos(pi t / T_end))` of a
    kernel's weights is dropped, rounded down, with alpha = 0.3 and T_end three quarters of the
    training (Evci et al. 2020).

    As in their code (google-research/rigl), a weight that is dropped may be grown at once, and
    then simply stays; one that is grown starts at zero, and so do the optimizer's averages of it.
    """

    promise = Promise.KEEP_COUNT

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """Checks that each kernel has a density of its own, and weights rank by magnitude.

        Raises:
            UserError: if kernels are ranked together, or by another criterion.
        """
        super().check(recipe)
        check_ranks_by_magnitude(cls.name, recipe)
        if len(DENSITIES[recipe.scope]().groups({"one": 0.1, "other": 0.1})) == 1:
            raise UserError(
                f"--scope={recipe.scope}: must say with --strategy={cls.name} how many weights "
                "each kernel keeps, as erk, uniform and layer do"
            )

    def first_masks(self) -> Masks:
        """Draws masks that have the level's number of weights in each kernel."""
        kept = {name: np.zeros(math.prod(shape), bool) for name, shape in self.plan.shapes.items()}
        for name, mask in kept.items():
            mask[: self.plan.left.get((name,), mask.size)] = True
        shaped = {name: mask.reshape(self.plan.shapes[name]) for name, mask in kept.items()}
        return random_masks(shaped, self.plan.generator(0))

    @property
    def updates(self) -> tuple[int, ...]:
        """Every dt iterations until three quarters of the training."""
        return update_iterations(self.plan.iterations)

    @abc.abstractmethod
    def growth(self, moment: Moment) -> Arrays:
        """Returns a score of each weight by kernel: of those without one, the highest are grown."""

    def update(self, moment: Moment) -> Masks:
        """Drops and grows the same number of each kernel's weights."""
        share = self._share(moment.iteration)
        magnitudes = {name: np.abs(kernel) for name, kernel in moment.weights.items()}
        growth = self.growth(moment)
        masks = dict(moment.masks)
        for (name,), count in self.plan.left.items():
            dropped = int(share * count)
            kept = prune_to(magnitudes, {name: moment.masks[name]}, {(name,): count - dropped})
            grown = prune_to(growth, {name: ~kept[name]}, {(name,): dropped})
            masks[name] = kept[name] | grown[name]
        return masks

    def _share(self, iteration: int) -> float:
        """Returns the share of a kernel's weights that is dropped."""
        end = last_pruning(self.plan.iterations)
        return _ALPHA / 2 * (1 + math.cos(math.pi * iteration / end))
