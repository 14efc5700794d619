"""Scores: what a training updates in the place of weights where it learns its masks."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.arrays import Arrays
from lth_tf.errors import UserError
from lth_tf.pruning.wrapper import masked_kernels
from lth_tf.training.autograph import rewritten
from lth_tf.training.mask_schedules.learned import Learned


class Scores:
    """A score for each weight of a model's pruned kernels, and the masks that follow from them.

    The kernels themselves always hold `mask * theta`, so that everything that looks at a model
    sees the network that the masks leave. Which masks an iteration has is a function of the scores,
    of a key and of the iteration.

    Attributes:
        variables: the scores by kernel name.
        kernels: the kernels by name.
    """

    def __init__(self, learned: Learned, model: keras.Model) -> None:
        """Makes the variables.

        Args:
            learned: one of the trainings that the model will run.
            model: the model; its kernels are masked.
        """
        there = masked_kernels(model)
        names = [name for group in learned.plan.left for name in group]
        self._rule = type(learned)
        self._masks = {name: there[name].mask for name in names}
        self._theta = {name: _variable(there[name].kernel, trainable=False) for name in names}
        self._left = {
            group: tf.Variable(0, trainable=False, name="left") for group in learned.plan.left
        }
        self._key = tf.Variable(0, trainable=False, name="key")
        self.kernels = {name: there[name].kernel for name in names}
        self.variables = {name: _variable(there[name].kernel, trainable=True) for name in names}

    @property
    def arrays(self) -> Arrays:
        """The scores as arrays."""
        return {name: variable.numpy() for name, variable in self.variables.items()}

    def begin(
        self, learned: Learned, theta: Mapping[str, np.ndarray], scores: Mapping[str, np.ndarray]
    ) -> None:
        """Sets what a training begins with.

        Args:
            learned: how it learns.
            theta: the weights by name.
            scores: the scores by kernel name.
        """
        self._key.assign(int(learned.plan.generator(0).integers(2**31)))
        for group, count in learned.plan.left.items():
            self._left[group].assign(count)
        for name, variable in self.variables.items():
            variable.assign(scores[name])
            self._theta[name].assign(theta[name])

    def mask(self, iteration: tf.Tensor) -> None:
        """Masks the kernels as it is their turn at an iteration.

        Args:
            iteration: iterations trained.
        """
        key, iteration = self._key.read_value(), tf.cast(iteration, tf.int32)
        places = {name: place for place, name in enumerate(self.variables)}

        def draw(name: str) -> tf.Tensor:
            seed = tf.stack([key ^ places[name], iteration])
            return tf.random.stateless_uniform(self.variables[name].shape, seed, alg="philox")

        masks = rewritten(self._rule.masks_of)(self.variables, self._left, draw)
        for name, mask in masks.items():
            self._masks[name].assign(tf.cast(mask, self._masks[name].dtype))
            scaled = self._theta[name] * self._factor(name)
            kernel = getattr(self.kernels[name], "_variable", self.kernels[name])
            kernel.assign(tf.where(mask, scaled, tf.zeros_like(scaled)))

    def gradients(self, of_kernels: Iterable[Any]) -> list[tf.Tensor]:
        """Returns the scores' gradients, straight through the masks.

        Args:
            of_kernels: the loss's gradients by `kernels`, in their order, pruned weights among
                them.

        Raises:
            UserError: if the loss does not depend on a kernel, whose masks would be chance.
        """
        found = []
        for (name, score), gradient in zip(self.variables.items(), of_kernels, strict=True):
            if gradient is None:
                layer = name.rsplit("/", 1)[0]
                raise UserError(
                    f"{name}: must be something that the loss depends on to have its mask learned; "
                    f"leave it out by --prune_layers={layer}=0"
                )
            whole = tf.convert_to_tensor(gradient)  # an embedding's has rows alone
            straight = whole * self._theta[name] * self._factor(name)
            found.append(straight * self._rule.slope(score))
        return found

    def _factor(self, name: str) -> tf.Tensor:
        """Returns what a kernel's kept weights are multiplied by."""
        if not self._rule.rescales:
            return tf.constant(1.0)
        mask = self._masks[name].read_value()
        return tf.size(mask, tf.float32) / tf.maximum(tf.reduce_sum(mask), 1.0)


def _variable(kernel: tf.Variable, trainable: bool) -> tf.Variable:
    return tf.Variable(tf.zeros(kernel.shape), trainable=trainable, name="scores")
