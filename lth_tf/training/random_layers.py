"""Layers that draw random numbers, copied so that draws are a function of (stream, iteration).

A training that goes on from a checkpoint then has the draws that it would have had.
"""

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from lth_tf.errors import UserError

RandomLayer = keras.__internal__.layers.BaseRandomLayer


class StatelessDropout(keras.layers.Dropout):
    """Dropout whose draws are a function of (stream, iteration), not of what was drawn before.

    Attributes:
        current: has, while a training loop traces an iteration, `draw`: a function that draws
            uniform numbers for some inputs; and `error`, if it cannot.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Makes the layer; the arguments are those of Keras's."""
        super().__init__(*args, **kwargs)
        # One for each thread: tf.distribute traces replicas in threads that take turns.
        self.current = threading.local()

    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        """Drops inputs while a training loop runs; otherwise passes them on."""
        draw = getattr(self.current, "draw", None)
        if not training or draw is None:
            return inputs
        kept = draw(inputs) >= self.rate
        scaled = inputs / tf.cast(1 - self.rate, inputs.dtype)
        return tf.where(kept, scaled, tf.zeros_like(scaled))

    def set_draw(self, draw: Callable[..., tf.Tensor], key: tf.Tensor) -> None:
        """Gives the layer the draws of one iteration, others for each time that it is called.

        Args:
            draw: draws uniform numbers for a key and a shape, without the batch axis.
            key: key of the layer's draws.
        """
        calls = itertools.count()

        def draw_for(inputs: tf.Tensor) -> tf.Tensor:
            drawn = draw(key ^ (next(calls) << 16), self._shape_of_draws(inputs))
            if self.noise_shape and self.noise_shape[0] == 1:
                return drawn[:1]
            if drawn.shape[:1].is_compatible_with(inputs.shape[:1]):
                return drawn
            # Raised behind the model's call: in it, Keras and autograph would change the message.
            self.current.error = UserError(
                f"layer {self.name} (Dropout): draws for an axis that is not the batch; put "
                "Dropout before the reshape"
            )
            return tf.zeros_like(inputs)

        self.current.draw, self.current.error = draw_for, None

    def _shape_of_draws(self, inputs: tf.Tensor) -> list[Any]:
        """Returns the shape but for the batch's axis: axes of `noise_shape` that are 1 share."""
        there = tf.shape(inputs)  # what is not known before
        shapes = zip(self.noise_shape or inputs.shape, inputs.shape, strict=True)
        every = [wanted or known or there[axis] for axis, (wanted, known) in enumerate(shapes)]
        return every[1:]


def copy_dropout(layer: keras.layers.Dropout, replicas: int) -> StatelessDropout:
    """Copies a dropout layer.

    Args:
        layer: the layer.
        replicas: devices that share a batch.

    Raises:
        UserError: if all examples of a batch have the same draws, on several devices.
    """
    if replicas > 1 and layer.noise_shape and layer.noise_shape[0] == 1:
        raise _cannot_be_shared(layer)
    return StatelessDropout.from_config(layer.get_config())


def make_repeatable(model: keras.Model, replicas: int) -> None:
    """Gives Keras's other random layers, those inside of layers too, generators that can be set.

    Such are attention's dropout, a recurrent cell's, and what `TimeDistributed` holds.

    Args:
        model: a copy, whose layers of class `Dropout` are `copy_dropout`'s.
        replicas: devices that share a batch.

    Raises:
        UserError: if a layer's draws cannot be shared out among several devices.
    """
    for layer in random_layers(model):
        if isinstance(layer, StatelessDropout):
            continue
        if replicas > 1 and _draws(layer):
            raise _cannot_be_shared(layer)
        # Keras offers no public way to have a layer draw from a generator that can be set.
        generator = type(layer._random_generator)(seed=0, rng_type="stateful")
        generator._maybe_init()
        layer._random_generator = generator


def _draws(layer: keras.layers.Layer) -> bool:
    """Says whether a random layer draws at all: at a rate of 0 it does not."""
    names = ("rate", "stddev", "dropout", "recurrent_dropout")
    rates = [getattr(layer, name) for name in names if hasattr(layer, name)]
    return not rates or any(rates)


def _cannot_be_shared(layer: keras.layers.Layer) -> UserError:
    return UserError(
        f"layer {layer.name} ({type(layer).__name__}): draws numbers that several devices cannot "
        "share; use --distribution=none, or Dropout, or --augment"
    )


def random_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Lists the layers of a model that draw random numbers, those inside of layers too."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, RandomLayer)]


@contextlib.contextmanager
def randomness_of(
    layers: Sequence[keras.layers.Layer],
    draw: Callable[..., tf.Tensor],
    key: tf.Tensor,
    iteration: tf.Tensor,
) -> Iterator[None]:
    """Gives each of some layers its draws of one iteration.

    Args:
        layers: those of a copy that are random.
        draw: draws uniform numbers for a key and a shape, without the batch axis.
        key: key of the stream.
        iteration: the iteration.

    Raises:
        UserError: if a Dropout layer's first axis is not the batch.
    """
    for place, layer in enumerate(layers):
        if isinstance(layer, StatelessDropout):
            layer.set_draw(draw, key ^ place)
        else:
            # In the counter's high word: the low one counts the numbers that are drawn, so that
            # iterations next to each other would have nearly all of them in common.
            counter = tf.stack([0, tf.cast(iteration, tf.int64)])
            layer._random_generator._generator.reset_from_key_counter(
                tf.cast(key ^ place, tf.int64), counter
            )
    yield
    for layer in layers:
        if isinstance(layer, StatelessDropout):
            layer.current.draw = None
            if layer.current.error:
                raise layer.current.error
