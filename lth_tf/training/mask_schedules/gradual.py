"""Gradual magnitude pruning (Zhu & Gupta 2017): dense at first, pruned while it trains."""

import math

import numpy as np

from lth_tf.pruning.masks import prune_to
from lth_tf.recipe import Recipe
from lth_tf.training.mask_schedules import MASK_SCHEDULES
from lth_tf.training.mask_schedules.base import (
    Masks,
    MaskSchedule,
    Moment,
    Promise,
    check_ranks_by_magnitude,
    update_iterations,
)


@MASK_SCHEDULES.register
class Gradual(MaskSchedule):
    """Removes the smallest weights every dt iterations, many at first and few at the end.

    After n updates of dt iterations the sparsity is the level's, s_f; at iteration t it is
    s_f - s_f (1 - t / (n dt))^3 (Zhu & Gupta 2017, Section 3, with s_i = 0 and t_0 = 0). tfmot's
    `PolynomialDecay` computes it, and the project's own rule prunes to it: exact counts of each
    layer, or of all together, as the plan says. The last update leaves exactly the plan's counts.

    dt is 100 iterations, or less where a training is short, so that there are ten updates; they
    end after three quarters of the training, which leaves a quarter to recover in.
    """

    name = "gradual"
    place = 1
    help = (
        "each level is one training from the initial weights, dense at its beginning and pruned "
        "while it runs (Zhu & Gupta 2017)"
    )
    promise = Promise.SHRINK

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """Checks that there is an iteration to prune after, and that weights rank by magnitude.

        Raises:
            UserError: if there is none, or they do not.
        """
        super().check(recipe)
        check_ranks_by_magnitude(cls.name, recipe)

    @property
    def updates(self) -> tuple[int, ...]:
        """Every dt iterations until three quarters of the training."""
        return update_iterations(self.plan.iterations)

    def update(self, moment: Moment) -> Masks:
        """Returns the masks without the smallest weights."""
        scores = {name: np.abs(kernel) for name, kernel in moment.weights.items()}
        left = {names: self._left(names, moment.iteration) for names in self.plan.left}
        return prune_to(scores, moment.masks, left)

    def _left(self, names: tuple[str, ...], iteration: int) -> int:
        """Returns how many weights an update leaves of kernels that are ranked together."""
        # Here, not above: this file is imported for the schedule's name as well.
        from tensorflow_model_optimization.python.core.sparsity.keras import pruning_schedule

        goal, last = self.plan.left[names], self.updates[-1]
        if iteration == last:
            return goal
        size = sum(math.prod(self.plan.shapes[name]) for name in names)
        # tfmot takes no sparsity of 1.
        decay = pruning_schedule.PolynomialDecay(
            initial_sparsity=0.0,
            final_sparsity=1 - max(goal, 1) / size,
            begin_step=0,
            end_step=last,
            frequency=self.updates[0],
        )
        _, sparsity = decay(iteration)
        return max(goal, size - round(float(sparsity) * size))
