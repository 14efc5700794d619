"""A Keras model whose `fit` runs a whole chunk of iterations per step, compiled as one loop."""

import functools
from collections.abc import Callable, Container
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.data.augmentations import augmentation
from lth_tf.pruning.layer_state import copy_state
from lth_tf.pruning.walk import copy_model
from lth_tf.pruning.wrapper import apply_masks, masked_kernels, masking
from lth_tf.recipe import Recipe
from lth_tf.training.autograph import rewritten
from lth_tf.training.evaluation import in_float32
from lth_tf.training.mask_schedules.learned import Learned
from lth_tf.training.normalization import GlobalBatchNormalization
from lth_tf.training.order import Order
from lth_tf.training.random_layers import (
    copy_dropout,
    make_repeatable,
    random_layers,
    randomness_of,
)
from lth_tf.training.scores import Scores


class Examples:
    """A data set's inputs and targets on the device, arrays or structures of arrays."""

    def __init__(self, inputs: Any, targets: Any) -> None:
        """Puts the data set on the device.

        Args:
            inputs: an array or structure of arrays, each [n, ...].
            targets: likewise.
        """
        # Variables, not constants: a constant this large would be compiled into the program.
        self._arrays = tf.nest.map_structure(
            lambda array: tf.Variable(array, trainable=False, name="examples"), (inputs, targets)
        )

    def take(self, rows: tf.Tensor) -> tuple[Any, Any]:
        """Returns the inputs and targets at some rows."""
        return tf.nest.map_structure(lambda array: tf.gather(array, rows), self._arrays)


class ChunkedModel(keras.Model):
    """A functional model that `fit` trains on chunks, as `Order.dataset` gives them.

    `train_step` is one iteration, as ever in Keras; `make_train_function` loops it over a chunk.
    """

    _scores: Scores | None = None

    def attach(self, examples: Examples, recipe: Recipe, xla: bool) -> None:
        """Gives the model the data that chunks refer to, and what a recipe asks of a training.

        Args:
            examples: the data set.
            recipe: batch size, augmentation and weight decay are taken from it.
            xla: whether the loop is compiled with XLA.
        """
        self._examples = examples
        self._batch_size = recipe.batch_size
        self._augment = augmentation(recipe.augment)
        self._weight_decay = recipe.weight_decay
        self._xla = xla
        self._kernels = {kernel.ref() for kernel, _ in masked_kernels(self).values()}

    def scores_for(self, learned: Learned) -> Scores:
        """Returns the scores that are trained from now on, in the place of all weights.

        Args:
            learned: how masks are learned; the same rule for all trainings of the model.
        """
        if self._scores is None:
            self._scores = Scores(learned, self)
            self._kernels = {score.ref() for score in self._scores.variables.values()}
        return self._scores

    @property
    def trainable_weights(self) -> list[tf.Variable]:
        """What the optimizer updates: weights, or scores where masks are learned."""
        if self._scores is None:
            return super().trainable_weights
        return list(self._scores.variables.values())

    def train_step(self, data: tuple[Any, Any]) -> dict[str, tf.Tensor]:
        """Runs one iteration on inputs and targets; returns the loss."""
        if self._scores is None:
            loss, gradients = self._loss_and_gradients(*data, self.trainable_variables)
        else:
            loss, gradients = self._loss_and_gradients(*data, list(self._scores.kernels.values()))
            gradients = self._scores.gradients(gradients)
        pairs = zip(gradients, self.trainable_variables, strict=True)
        self.optimizer.apply_gradients([(self._decayed(g, v), v) for g, v in pairs])
        if self._scores is not None:
            self._scores.mask(self.optimizer.iterations)
        return {"loss": loss}

    def _loss_and_gradients(
        self, inputs: Any, targets: Any, variables: list[tf.Variable]
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        scaling = isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer)
        with tf.GradientTape() as tape:
            outputs = in_float32(rewritten(self)(inputs, training=True))
            loss = rewritten(self.compute_loss)(inputs, targets, outputs)
            scaled = self.optimizer.get_scaled_loss(loss) if scaling else loss
        gradients = tape.gradient(scaled, variables)
        if scaling:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        return loss, gradients

    def make_train_function(self, force: bool = False) -> Any:
        """Returns the function that `fit` calls with its iterator: one chunk a call."""
        if self.train_function is None or force:
            gather = tf.function(self._gather, autograph=False)
            # Without XLA, one program does for chunks of all lengths but the first one's.
            run_chunk = tf.function(
                self._run_chunk,
                jit_compile=self._xla,
                reduce_retracing=not self._xla,
                autograph=False,
            )

            def train_function(iterator: Any) -> dict[str, tf.Tensor]:
                # Taken eagerly, a chunk has a static length: XLA needs one to be fast.
                chunk = next(iterator)
                total = run_chunk(chunk, gather(chunk["rows"]))
                # Here, as a program of one length would round otherwise than one of all.
                return {"loss": total * (1 / int(self._length(chunk)))}

            self.train_function = train_function
        return self.train_function

    def _gather(self, rows: Any) -> tuple[Any, Any]:
        # Outside of the loop: inside, XLA would carry the whole data set through it.
        return self.distribute_strategy.run(lambda r: self._examples.take(tf.transpose(r)), (rows,))

    def _length(self, chunk: Any) -> Any:
        rows = self.distribute_strategy.experimental_local_results(chunk["rows"])[0]
        return tf.shape(rows)[1]

    def _run_chunk(self, chunk: Any, examples: Any) -> tf.Tensor:
        """Runs a chunk's iterations; returns the sum of their losses."""
        strategy = self.distribute_strategy

        def iterate(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            loss = strategy.run(self._iteration, args=(chunk, examples, i))
            return i + 1, total + strategy.reduce(tf.distribute.ReduceOp.SUM, loss, axis=None)

        length = self._length(chunk)
        _, total = tf.while_loop(lambda i, _: i < length, iterate, [0, 0.0])
        apply_masks(self)
        return total

    def _iteration(
        self, chunk: dict[str, tf.Tensor], examples: tuple[Any, Any], i: tf.Tensor
    ) -> tf.Tensor:
        return self._on_batch(self.train_step, chunk, examples, i)["loss"]

    def _on_batch(self, step: Callable, chunk: dict, examples: tuple[Any, Any], i: Any) -> Any:
        """Runs a step on an iteration's batch, augmented and with its draws."""
        inputs, targets = tf.nest.map_structure(lambda array: array[i], examples)
        iteration = chunk["first"][0] + i
        draw = functools.partial(self._draw, chunk["position"], iteration)
        if self._augment.draws:
            draws = draw(chunk["augment_key"][0], [self._augment.draws])
            inputs = rewritten(self._augment.function)(inputs, draws)
        with randomness_of(random_layers(self), draw, chunk["dropout_key"][0], iteration):
            return step((inputs, targets))

    def kernel_gradients(self, order: Order, iteration: int) -> dict[str, np.ndarray]:
        """Returns the loss's gradient by each masked kernel, pruned weights among them.

        Args:
            order: the training's order.
            iteration: whose batch, augmentation and draws it is of.
        """
        strategy = self.distribute_strategy
        chunks = order.dataset(iteration, [iteration + 1])
        chunk = next(iter(strategy.experimental_distribute_dataset(chunks)))
        # A forward pass moves batch normalisation's averages.
        before = [(v, v.numpy()) for v in self.non_trainable_variables]
        gradients = self._kernel_gradients(chunk, self._gather(chunk["rows"]))
        for variable, value in before:
            variable.assign(value)
        return {name: gradient.numpy() for name, gradient in gradients.items()}

    @tf.function(autograph=False)
    def _kernel_gradients(self, chunk: Any, examples: Any) -> dict[str, tf.Tensor]:
        def of_kernels(batch: tuple[Any, Any]) -> dict[str, tf.Tensor]:
            _, gradients = self._loss_and_gradients(*batch, self.trainable_variables)
            pairs = zip(self.trainable_variables, gradients, strict=True)
            by_variable = {variable.ref(): gradient for variable, gradient in pairs}
            there = masked_kernels(self).items()
            return {name: _whole(by_variable[kernel.ref()], kernel) for name, (kernel, _) in there}

        strategy = self.distribute_strategy
        shares = strategy.run(
            functools.partial(self._on_batch, of_kernels), args=(chunk, examples, 0)
        )
        sum_up = functools.partial(strategy.reduce, tf.distribute.ReduceOp.SUM, axis=None)
        return {name: sum_up(share) for name, share in shares.items()}

    def _draw(
        self, position: tf.Tensor, iteration: tf.Tensor, key: tf.Tensor, shape: Any
    ) -> tf.Tensor:
        """Draws uniform numbers for the whole batch and returns this replica's examples' part."""
        drawn = tf.random.stateless_uniform(
            [self._batch_size, *shape], tf.stack([key, iteration]), alg="philox"
        )
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return drawn
        return tf.gather(drawn, position)

    def _decayed(self, gradient: tf.Tensor | None, variable: tf.Variable) -> tf.Tensor | None:
        # What the loss does not depend on is not updated.
        if gradient is None or not self._weight_decay or variable.ref() not in self._kernels:
            return gradient
        # The optimizer adds up the replicas' gradients, so each contributes its share.
        share = self._weight_decay / self.distribute_strategy.num_replicas_in_sync
        return gradient + share * tf.convert_to_tensor(variable)


def _whole(gradient: Any, kernel: tf.Variable) -> tf.Tensor:
    """Returns a gradient as an array; an embedding's has only the rows that were looked up."""
    return tf.zeros_like(kernel) if gradient is None else tf.convert_to_tensor(gradient)


def chunked_copy(
    model: keras.Model, replicas: int, names: Container[str] | None = None
) -> ChunkedModel:
    """Copies a functional or Sequential model for training: kernels masked, draws stateless.

    Args:
        model: the plain model.
        replicas: devices that share a batch; batch normalisation is then over all of them.
        names: the kernels that are masked; all but embeddings by default.

    Raises:
        UserError: if a layer cannot be copied, or its draws not shared among devices.
    """
    # The loop applies masks before each call and after the last update: more would take time.
    mask = masking(model, names, after_updates=False)

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        if replicas > 1 and type(layer) is keras.layers.BatchNormalization:
            return GlobalBatchNormalization.from_config(layer.get_config())
        if type(layer) is keras.layers.Dropout:
            return copy_dropout(layer, replicas)
        return mask(layer, type(layer).from_config(layer.get_config()))

    clone = copy_model(model, copy)
    chunked = ChunkedModel(clone.input, clone.output, name=model.name)
    # Losses and metrics by output go by the names that the outputs had.
    chunked.output_names[:] = model.output_names
    _take_over_added_losses(clone, chunked)
    copy_state(model, chunked)
    make_repeatable(chunked, replicas)
    return chunked


def _take_over_added_losses(clone: keras.Model, chunked: ChunkedModel) -> None:
    """Takes over what `model.add_loss` has left in a model: layers that no output depends on."""
    added = [layer for layer in clone.layers if layer not in chunked.layers]
    if added:
        nodes = [node for nodes in clone._nodes_by_depth.values() for node in nodes]
        chunked._insert_layers(added, nodes)
