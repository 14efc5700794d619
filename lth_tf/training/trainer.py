"""Trainer: one compiled model that runs any number of trainings of a recipe, one after another."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf import models
from lth_tf.data import ImageData
from lth_tf.errors import UserError
from lth_tf.pruning.kernels import named_weights
from lth_tf.pruning.wrapper import set_masks
from lth_tf.recipe import Recipe
from lth_tf.training.chunked import ChunkedModel, Examples, chunked_copy
from lth_tf.training.distribution import use_xla
from lth_tf.training.evaluation import Evaluator
from lth_tf.training.invariants import CheckInvariants
from lth_tf.training.measure import Measure, Row
from lth_tf.training.optimizers import make_optimizer
from lth_tf.training.order import Order, chunk_ends
from lth_tf.training.rewind import Rewind


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a training leaves.

    Attributes:
        rows: its evaluations.
        early_stop: the one where the validation loss was lowest.
        weights: the trained weights by name, pruned ones zero.
        rewind_weights: the weights of the recipe's rewind iteration, where the training passed it.
    """

    rows: list[Row]
    early_stop: Row
    weights: dict[str, np.ndarray]
    rewind_weights: dict[str, np.ndarray] | None


class Trainer:
    """Trains a recipe's network on a data set, with any masks, weights and order.

    The model, its optimizer and the compiled loop are made once; each training resets them.
    """

    def __init__(
        self, recipe: Recipe, data: ImageData, strategy: tf.distribute.Strategy, xla: str = "auto"
    ) -> None:
        """Builds and compiles the model.

        Args:
            recipe: what to train.
            data: the data set, put on the device as a whole.
            strategy: the devices.
            xla: "on", "off" or "auto".

        Raises:
            UserError: if the batch does not fit the data or the devices.
        """
        self.recipe = recipe
        self._check_batch(len(data.train_labels) - recipe.validation_size, strategy)
        with strategy.scope():
            self.model = self._build(data)
            self.xla = use_xla(xla, self.model, strategy)
            examples = Examples(data.train_images, data.train_labels)
            self.model.compile(
                make_optimizer(recipe), keras.losses.SparseCategoricalCrossentropy(True)
            )
        self.model.attach(examples, recipe, self.xla)
        self._data = data
        self._validation = Evaluator(self.model, self.xla)
        self._test = Evaluator(self.model, self.xla)
        self._test.set_examples(data.test_images, data.test_labels)

    def train(
        self,
        start: int,
        weights: Mapping[str, np.ndarray],
        masks: Mapping[str, np.ndarray],
        order: Order,
        validation_rows: np.ndarray,
        on_row: Callable[[Row], None] = lambda row: None,
    ) -> Outcome:
        """Runs one training, from iteration `start` to the recipe's end.

        Args:
            start: iteration to start from: 0, or the one that the weights were rewound to.
            weights: the weights to start from, by name, before masking.
            masks: boolean masks by kernel name; empty for the dense network.
            order: which examples make up each iteration.
            validation_rows: rows of the validation examples, as many as the recipe says.
            on_row: is told of each evaluation.

        Raises:
            DivergedError: if a loss is not finite.
        """
        recipe = self.recipe
        self._validation.set_examples(
            self._data.train_images[validation_rows], self._data.train_labels[validation_rows]
        )
        set_masks(self.model, masks)
        also = (*recipe.marks, recipe.rewind)
        ends = chunk_ends(start, recipe.iterations, recipe.eval_every, also)
        measure = Measure(self._validation, self._test, start, ends, recipe.marks, on_row)
        later = Rewind(recipe.rewind)
        callbacks = [Rewind(start, weights), CheckInvariants(weights, masks), measure]
        if start < recipe.rewind:
            callbacks.append(later)
        self.model.fit(order.dataset(start, ends), epochs=1, verbose=0, callbacks=callbacks)
        return Outcome(
            rows=measure.rows,
            early_stop=measure.rows[measure.best],
            weights={name: v.numpy() for name, v in named_weights(self.model).items()},
            rewind_weights=later.weights,
        )

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last iteration."""
        return float(self.model.optimizer.learning_rate)

    def _build(self, data: ImageData) -> ChunkedModel:
        before = keras.mixed_precision.global_policy()
        keras.mixed_precision.set_global_policy(self.recipe.precision)
        try:
            return chunked_copy(build_model(self.recipe, data.image_shape, data.classes, seed=0))
        finally:
            keras.mixed_precision.set_global_policy(before)

    def _check_batch(self, examples: int, strategy: tf.distribute.Strategy) -> None:
        batch, replicas = self.recipe.batch_size, strategy.num_replicas_in_sync
        if batch > examples:
            raise UserError(
                f"--batch_size={batch}: must be at most the {examples} training examples that "
                f"--validation_size={self.recipe.validation_size} leaves"
            )
        if batch % replicas:
            raise UserError(f"--batch_size={batch}: must be divisible among {replicas} devices")


def build_model(
    recipe: Recipe, image_shape: tuple[int, int, int], classes: int, seed: int
) -> keras.Model:
    """Builds a recipe's network, plain, with initial weights from a seed."""
    return models.build(recipe.model, image_shape, classes, seed, recipe.dropout)
