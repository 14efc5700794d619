"""JAX's contestant, masks multiplied in; the best that XLA can do.

Iterations are one `lax.scan`, but for convolutions on a CPU: inside a loop XLA compiles them
without its fast kernels, so there each iteration, and each batch of a validation, is a call.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from lth_tf.benchmark.jax_network import Call, initial_weights, logits_of
from lth_tf.benchmark.task import VALIDATION_BATCH, Task
from lth_tf.benchmark.times import Times, add_validation
from lth_tf.recipe import Recipe

_PRECISIONS = {"mixed_bfloat16": jnp.bfloat16, "mixed_float16": jnp.float16}
_PADDING = 4
_EPSILON = 1e-7  # Keras's, for Adam


class JaxLoop:
    """A loop over compiled iterations, and nothing else.

    Attributes:
        title: what it is, for a person.
    """

    def __init__(self, task: Task) -> None:
        """Makes the network and compiles the loop."""
        self._task = task
        self._dtype = _PRECISIONS.get(task.recipe.precision, jnp.float32)
        self._optimizer = _optimizer(task.recipe)
        self._examples = jnp.asarray(task.images), jnp.asarray(task.labels)
        size, count = task.recipe.validation_size, len(task.labels)
        self._validation = (np.arange(count - size, count).reshape(-1, VALIDATION_BATCH),)
        weights, self._masks, statistics = initial_weights(task.layers)
        self._state = weights, statistics, self._optimizer.init(weights)
        loop = _calls if task.convolutional and jax.default_backend() == "cpu" else _scan
        self.title = f"JAX, {_LOOPS[loop]}, masked"
        self._train, self._evaluate = loop(self._iteration), loop(self._batch)
        self._is_compiled = False
        self.validate()  # to compile

    def validate(self) -> tuple[float, float]:
        """Returns the validation examples' mean loss and accuracy."""
        weights, statistics, _ = self._state
        _, found = self._evaluate((weights, statistics), self._validation, *self._examples)
        loss, accuracy = np.asarray(found).mean(0)
        return float(loss), float(accuracy)

    def measure(self) -> Times:
        """Returns the seconds of an iteration."""
        task, numbers = self._task, np.arange(len(self._task.batches))
        parts = slice(task.warm_up), slice(task.warm_up, None)
        warm_up, counted = ((task.batches[part], numbers[part]) for part in parts)
        self._state, _ = self._train(self._state, warm_up, *self._examples)
        if not self._is_compiled:
            self._train(self._state, counted, *self._examples)  # its state is not kept
            self._is_compiled = True
        began = time.perf_counter()
        self._state, losses = self._train(self._state, counted, *self._examples)
        float(losses[-1])
        seconds = (time.perf_counter() - began) / task.iterations
        return add_validation(seconds, self.validate, task.recipe.eval_every)

    def _iteration(
        self, state: Any, step: tuple[jax.Array, jax.Array], images: jax.Array, labels: jax.Array
    ) -> tuple[Any, jax.Array]:
        rows, number = step
        weights, statistics, slots = state
        key = jax.random.fold_in(jax.random.key(0), number)
        augmented = self._task.recipe.augment == "flip_crop"
        batch = _flip_crop(images[rows], key) if augmented else images[rows]

        def loss_of(weights: Any) -> tuple[jax.Array, Any]:
            call = Call(weights, self._masks, statistics, True, self._dtype, key)
            logits, behind = logits_of(self._task.layers, call, batch)
            return _losses(logits, labels[rows]).mean(), behind

        (loss, behind), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights)
        updates, slots = self._optimizer.update(gradients, slots, weights)
        return (optax.apply_updates(weights, updates), behind, slots), loss

    def _batch(
        self, state: Any, step: tuple[jax.Array], images: jax.Array, labels: jax.Array
    ) -> tuple[Any, jax.Array]:
        """Returns what it was given, and a batch's mean loss and accuracy."""
        (rows,) = step
        weights, statistics = state
        call = Call(weights, self._masks, statistics, False, self._dtype, jax.random.key(0))
        logits, _ = logits_of(self._task.layers, call, images[rows])
        correct = logits.argmax(1) == labels[rows]
        return state, jnp.stack([_losses(logits, labels[rows]).mean(), correct.mean()])


def _scan(step: Callable[..., tuple[Any, jax.Array]]) -> Callable[..., tuple[Any, jax.Array]]:
    """Returns all steps as one program: of a state, the steps' inputs, and the examples."""

    def run(state: Any, steps: Any, *examples: jax.Array) -> tuple[Any, jax.Array]:
        return lax.scan(lambda state, at: step(state, at, *examples), state, steps)

    return jax.jit(run)


def _calls(step: Callable[..., tuple[Any, jax.Array]]) -> Callable[..., tuple[Any, Any]]:
    """Returns the same where each step is a call of its own."""
    compiled = jax.jit(step)

    def run(state: Any, steps: Any, *examples: jax.Array) -> tuple[Any, list[jax.Array]]:
        outcomes = []
        for at in zip(*steps, strict=True):
            state, outcome = compiled(state, at, *examples)
            outcomes.append(outcome)
        return state, outcomes

    return run


_LOOPS = {_scan: "lax.scan", _calls: "one call an iteration"}


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
