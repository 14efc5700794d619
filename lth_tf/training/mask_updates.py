"""A Keras callback that changes the masks where a training's mask schedule says so."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tf_keras as keras

from lth_tf.arrays import Arrays
from lth_tf.pruning.kernels import named_weights
from lth_tf.pruning.wrapper import masked_kernels, set_masks
from lth_tf.training.invariants import check_update
from lth_tf.training.mask_schedules import MaskSchedule, Moment
from lth_tf.training.optimizers import zero_slots
from lth_tf.training.process_group import ProcessGroup


class MaskUpdates(keras.callbacks.Callback):
    """Changes masks at the ends of chunks; it must come before the evaluations.

    Attributes:
        masks: the masks at work, by kernel name.
    """

    def __init__(
        self,
        schedule: MaskSchedule,
        masks: Mapping[str, np.ndarray],
        ends: list[int],
        gradients: Callable[[int], Mapping[str, np.ndarray]],
        process_group: ProcessGroup,
    ) -> None:
        """Makes the callback.

        Args:
            schedule: when masks change, and how.
            masks: the masks to begin with; kernels without one are not pruned.
            ends: the iterations at which chunks end, those of the updates among them.
            gradients: computes the kernels' gradients on the batch of an iteration.
            process_group: the workers that train together, and have the chief's masks.
        """
        super().__init__()
        self.masks = dict(masks)
        self._schedule = schedule
        self._updates = frozenset(schedule.updates)
        self._ends = ends
        self._gradients = gradients
        self._process_group = process_group

    @property
    def density(self) -> float:
        """The share of the kernels' weights that remain."""
        return density_of(self.model, self.masks)

    @property
    def kept(self) -> dict[str, Arrays]:
        """What it keeps besides the masks: nothing."""
        return {}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Changes the masks if it is time, and zeroes the weights that they prune.

        A pruned weight is zero, but the optimizer goes on averaging its gradients: where a weight
        is grown they are set to zero as well, as in RigL's own code (`reset_momentum`).

        Raises:
            InvariantError: if the new masks are not what the schedule promises.
        """
        iteration = self._ends[batch]
        if iteration not in self._updates:
            return
        weights = named_weights(self.model)
        moment = Moment(
            iteration=iteration,
            weights={name: weights[name].numpy() for name in self.masks},
            masks=self.masks,
            gradients=lambda: self._gradients(iteration),
            generator=self._schedule.plan.generator(iteration),
        )
        # On every worker, as gradients are a sum over all; but the chief's masks are everybody's.
        masks, _ = self._process_group.share_arrays(self._schedule.update(moment), None)
        check_update(self._schedule.promise, self.masks, masks)
        grown = {name: mask & ~self.masks[name] for name, mask in masks.items()}
        self.masks = masks
        set_masks(self.model, masks)
        with self.model.distribute_strategy.scope():
            for name, where in grown.items():
                if where.any():
                    zero_slots(self.model.optimizer, weights[name], where)


def density_of(model: keras.Model, masks: Mapping[str, np.ndarray]) -> float:
    """Returns the share of a model's masked kernels' weights that remain.

    Args:
        model: the model.
        masks: boolean arrays by kernel name; kernels without one are not pruned.
    """
    there = masked_kernels(model).values()
    size = sum(math.prod(mask.shape) for _, mask in there)
    pruned = sum(mask.size - np.count_nonzero(mask) for mask in masks.values())
    return (size - pruned) / size
