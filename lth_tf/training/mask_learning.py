"""A Keras callback that lets a training learn its masks, in the place of `MaskUpdates`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tf_keras as keras

from lth_tf.arrays import Arrays
from lth_tf.pruning.wrapper import get_masks
from lth_tf.training.initial_state import InitialState
from lth_tf.training.invariants import check_count
from lth_tf.training.mask_schedules import Promise
from lth_tf.training.mask_schedules.learned import Learned
from lth_tf.training.mask_updates import density_of
from lth_tf.training.scores import Scores


class LearnMasks(keras.callbacks.Callback):
    """Sets scores and masks at the beginning; it must come before the evaluations.

    Attributes:
        masks: the masks at work, by kernel name.
    """

    def __init__(
        self,
        learned: Learned,
        scores: Scores,
        initial: InitialState,
        before: Mapping[str, np.ndarray],
    ) -> None:
        """Makes the callback.

        Args:
            learned: how masks are learned.
            scores: the model's.
            initial: has the weights that are masked.
            before: the scores at an interruption; empty for a training that begins.
        """
        super().__init__()
        self.masks = dict(initial.masks)
        self._learned = learned
        self._scores = scores
        self._theta = initial.weights
        self._before = before

    @property
    def density(self) -> float:
        """The share of the kernels' weights that remain."""
        return density_of(self.model, self.masks)

    @property
    def kept(self) -> dict[str, Arrays]:
        """The scores, for checkpoints and for whoever wants to draw from them."""
        return {"scores": self._scores.arrays}

    def on_train_begin(self, logs: Any = None) -> None:
        """Sets the scores, and the masks that follow from them."""
        scores = self._before or self._learned.initial_scores()
        self._scores.begin(self._learned, self._theta, scores)
        self._scores.mask(self.model.optimizer.iterations)
        self._take_over()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Takes over the masks that the last iteration has left.

        Raises:
            InvariantError: if they do not keep as many weights as the level plans, though promised.
        """
        self._take_over()

    def _take_over(self) -> None:
        self.masks = get_masks(self.model)
        if self._learned.promise is Promise.KEEP_COUNT:
            for names, count in self._learned.plan.left.items():
                check_count({name: self.masks[name] for name in names}, count)
