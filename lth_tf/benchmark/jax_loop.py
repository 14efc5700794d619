"""JAX's contestant: iterations in one `lax.scan`, masks multiplied in; the best that XLA can do."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from lth_tf.benchmark.jax_network import Call, initial_weights, logits_of
from lth_tf.benchmark.task import VALIDATION_BATCH, Task
from lth_tf.benchmark.times import Times, add_validation
from lth_tf.recipe import Recipe

_PRECISIONS = {"mixed_bfloat16": jnp.bfloat16, "mixed_float16": jnp.float16}
_PADDING = 4
_EPSILON = 1e-7  # Keras's, for Adam


class Scan:
    """A compiled loop over iterations, and nothing else.

    Attributes:
        title: what it is, for a person.
    """

    title = "JAX, lax.scan, masked"

    def __init__(self, task: Task) -> None:
        """Makes the network and compiles the loop."""
        self._task = task
        self._dtype = _PRECISIONS.get(task.recipe.precision, jnp.float32)
        self._optimizer = _optimizer(task.recipe)
        self._examples = jnp.asarray(task.images), jnp.asarray(task.labels)
        size = task.recipe.validation_size
        self._validation = [
            array[-size:].reshape(size // VALIDATION_BATCH, VALIDATION_BATCH, *array.shape[1:])
            for array in self._examples
        ]
        weights, self._masks, statistics = initial_weights(task.layers)
        self._state = weights, statistics, self._optimizer.init(weights)
        self._train, self._evaluate = jax.jit(self._iterations), jax.jit(self._means)
        self.validate()  # to compile

    def validate(self) -> tuple[float, float]:
        """Returns the validation examples' mean loss and accuracy."""
        weights, statistics, _ = self._state
        loss, accuracy = self._evaluate(weights, statistics, *self._validation)
        return float(loss), float(accuracy)

    def measure(self) -> Times:
        """Returns the seconds of an iteration."""
        task = self._task
        warm_up, counted = task.batches[: task.warm_up], task.batches[task.warm_up :]
        train = self._train.lower(self._state, counted, *self._examples).compile()
        self._state, loss = self._train(self._state, warm_up, *self._examples)
        float(loss)
        began = time.perf_counter()
        self._state, loss = train(self._state, counted, *self._examples)
        float(loss)
        seconds = (time.perf_counter() - began) / task.iterations
        return add_validation(seconds, self.validate, task.recipe.eval_every)

    def _iterations(
        self, state: Any, batches: jax.Array, images: jax.Array, labels: jax.Array
    ) -> tuple[Any, jax.Array]:
        augmented = self._task.recipe.augment == "flip_crop"

        def iteration(state: Any, step: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
            rows, number = step
            weights, statistics, slots = state
            key = jax.random.fold_in(jax.random.key(0), number)
            batch = _flip_crop(images[rows], key) if augmented else images[rows]

            def loss_of(weights: Any) -> tuple[jax.Array, Any]:
                call = Call(weights, self._masks, statistics, True, self._dtype, key)
                logits, behind = logits_of(self._task.layers, call, batch)
                return _losses(logits, labels[rows]).mean(), behind

            (loss, behind), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights)
            updates, slots = self._optimizer.update(gradients, slots, weights)
            return (optax.apply_updates(weights, updates), behind, slots), loss

        state, losses = lax.scan(iteration, state, (batches, jnp.arange(len(batches))))
        return state, losses[-1]

    def _means(
        self, weights: Any, statistics: Any, images: jax.Array, labels: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        def batch(examples: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            images, labels = examples
            call = Call(weights, self._masks, statistics, False, self._dtype, jax.random.key(0))
            logits, _ = logits_of(self._task.layers, call, images)
            return _losses(logits, labels).mean(), (logits.argmax(1) == labels).mean()

        losses, accuracies = lax.map(batch, (images, labels))
        return losses.mean(), accuracies.mean()


def _losses(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def _optimizer(recipe: Recipe) -> optax.GradientTransformation:
    def decayed(weights: Any) -> Any:
        return jax.tree.map(lambda array: array.ndim > 1, weights)

    rate = recipe.learning_rate
    optimizer = {
        "adam": lambda: optax.adam(rate, eps=_EPSILON),
        "momentum": lambda: optax.sgd(rate, momentum=0.9),
        "sgd": lambda: optax.sgd(rate),
    }[recipe.optimizer]()
    return optax.chain(optax.add_decayed_weights(recipe.weight_decay, decayed), optimizer)


def _flip_crop(images: jax.Array, key: jax.Array) -> jax.Array:
    """Does what `lth_tf.data.augmentations.flip_crop` does, for uint8 images [n, h, w, c]."""
    size, *shape = images.shape
    corner, side = jax.random.split(key)
    corners = jax.random.randint(corner, (size, 2), 0, 2 * _PADDING + 1)
    flips = jax.random.bernoulli(side, shape=(size,))
    padded = jnp.pad(images, ((0, 0), (_PADDING,) * 2, (_PADDING,) * 2, (0, 0)))

    def one(image: jax.Array, corner: jax.Array, flip: jax.Array) -> jax.Array:
        cut = lax.dynamic_slice(image, (*corner, 0), shape)
        return jnp.where(flip, cut[:, ::-1], cut)

    return jax.vmap(one)(padded, corners, flips)
