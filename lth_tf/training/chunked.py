"""A Keras model whose `fit` runs a whole chunk of iterations per step, compiled as one loop."""

import functools
import threading
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.data.augment import AUGMENTATIONS
from lth_tf.pruning.kernels import unwrap
from lth_tf.pruning.wrapper import MaskedLayer, is_maskable, wrap
from lth_tf.recipe import Recipe
from lth_tf.training.normalization import GlobalBatchNormalization


class Examples:
    """A data set's images and labels on the device.

    Attributes:
        images: uint8 variable [n, height, width, channels].
        labels: int64 variable [n].
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        # Variables, not constants: a constant this large would be compiled into the program.
        self.images = tf.Variable(images, trainable=False, name="images")
        self.labels = tf.Variable(labels.astype(np.int64), trainable=False, name="labels")

    def take(self, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the images and labels at some rows."""
        return tf.gather(self.images, rows), tf.gather(self.labels, rows)


class StatelessDropout(keras.layers.Dropout):
    """Dropout whose noise is a function of (stream, iteration), not of what was drawn before.

    Attributes:
        given: what the training loop gives while it traces an iteration, in its `draw`: a function
            that draws uniform numbers for a shape without the batch axis.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Makes the layer; the arguments are those of Keras's."""
        super().__init__(*args, **kwargs)
        # Each thread's own: tf.distribute traces replicas in threads that take turns.
        self.given = threading.local()

    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        """Drops inputs while a training loop runs; otherwise passes them on."""
        draw = getattr(self.given, "draw", None)
        if not training or draw is None:
            return inputs
        kept = draw(inputs.shape[1:]) >= self.rate
        scaled = inputs / tf.cast(1 - self.rate, inputs.dtype)
        return tf.where(kept, scaled, tf.zeros_like(scaled))


class ChunkedModel(keras.Model):
    """A functional model that `fit` trains on chunks, as `Order.dataset` gives them.

    `train_step` is one iteration, as ever in Keras; `make_train_function` loops it over a chunk.
    """

    def attach(self, examples: Examples, recipe: Recipe, xla: bool) -> None:
        """Gives the model the data that chunks refer to, and what a recipe asks of a training.

        Args:
            examples: the data set.
            recipe: batch size, augmentation and weight decay are taken from it.
            xla: whether the loop is compiled with XLA.
        """
        self._examples = examples
        self._batch_size = recipe.batch_size
        self._augment = AUGMENTATIONS.get(recipe.augment)
        self._weight_decay = recipe.weight_decay
        self._xla = xla
        inner = [unwrap(layer) for layer in self.layers]
        self._kernels = {layer.kernel.ref() for layer in inner if is_maskable(layer)}

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Runs one iteration on images and labels; returns the loss."""
        images, labels = data
        scaling = isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer)
        with tf.GradientTape() as tape:
            loss = self.compute_loss(images, labels, self(images, training=True))
            scaled = self.optimizer.get_scaled_loss(loss) if scaling else loss
        gradients = tape.gradient(scaled, self.trainable_variables)
        if scaling:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        pairs = zip(gradients, self.trainable_variables, strict=True)
        self.optimizer.apply_gradients([(self._decayed(g, v), v) for g, v in pairs])
        return {"loss": loss}

    def make_train_function(self, force: bool = False) -> Any:
        """Returns the function that `fit` calls with its iterator: one chunk a call."""
        if self.train_function is None or force:
            gather = tf.function(self._gather)
            run_chunk = tf.function(self._run_chunk, jit_compile=self._xla)

            def train_function(iterator: Any) -> dict[str, tf.Tensor]:
                # Taken eagerly, a chunk has a static length: XLA needs one to be fast.
                chunk = next(iterator)
                return run_chunk(chunk, gather(chunk["rows"]))

            self.train_function = train_function
        return self.train_function

    def _gather(self, rows: Any) -> tuple[Any, Any]:
        # Outside of the loop: inside, XLA would carry the whole data set through it.
        return self.distribute_strategy.run(lambda r: self._examples.take(tf.transpose(r)), (rows,))

    def _run_chunk(self, chunk: Any, examples: Any) -> dict[str, tf.Tensor]:
        strategy = self.distribute_strategy
        length = strategy.experimental_local_results(chunk["rows"])[0].shape[1]
        total = tf.constant(0.0)
        for i in tf.range(length):
            loss = strategy.run(self._iteration, args=(chunk, examples, i))
            total += strategy.reduce(tf.distribute.ReduceOp.SUM, loss, axis=None)
        for layer in self.layers:
            if isinstance(layer, MaskedLayer):
                layer.apply_mask()
        return {"loss": total / length}

    def _iteration(
        self, chunk: dict[str, tf.Tensor], examples: tuple[tf.Tensor, tf.Tensor], i: tf.Tensor
    ) -> tf.Tensor:
        images, labels = (array[i] for array in examples)
        draw = functools.partial(self._draw, chunk["position"], chunk["first"][0] + i)
        if self._augment:
            images = self._augment(images, draw(chunk["augment_key"][0], [3]))
        dropouts = [layer for layer in self.layers if isinstance(layer, StatelessDropout)]
        for place, layer in enumerate(dropouts):
            layer.given.draw = functools.partial(draw, chunk["dropout_key"][0] ^ place)
        loss = self.train_step((images, labels))["loss"]
        for layer in dropouts:
            layer.given.draw = None
        return loss

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

    def _decayed(self, gradient: tf.Tensor, variable: tf.Variable) -> tf.Tensor:
        if not self._weight_decay or variable.ref() not in self._kernels:
            return gradient
        # The optimizer adds up the replicas' gradients, so each contributes its share.
        share = self._weight_decay / self.distribute_strategy.num_replicas_in_sync
        return gradient + share * tf.convert_to_tensor(variable)


def chunked_copy(model: keras.Model, replicas: int) -> ChunkedModel:
    """Copies a functional model for training: kernels masked, dropout stateless.

    Args:
        model: the plain model.
        replicas: devices that share a batch; batch normalisation is then over all of them.
    """

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        if type(layer) is keras.layers.Dropout:
            return StatelessDropout.from_config(layer.get_config())
        if replicas > 1 and type(layer) is keras.layers.BatchNormalization:
            return GlobalBatchNormalization.from_config(layer.get_config())
        return wrap(layer)

    clone = keras.models.clone_model(model, clone_function=copy)
    return ChunkedModel(clone.inputs, clone.outputs, name=model.name)
