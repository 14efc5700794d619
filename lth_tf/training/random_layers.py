"""Layers that draw random numbers, copied so that their noise is a function of (stream, iteration).

A training that goes on from a checkpoint then has the noise that it would have had.
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
    """Dropout whose noise is a function of (stream, iteration), not of what was drawn before.

    Attributes:
        current: has, while a training loop traces an iteration, `draw`: a function that draws
            uniform numbers for some inputs.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Makes the layer; the arguments are those of Keras's."""
        super().__init__(*args, **kwargs)
        # Each thread's own: tf.distribute traces replicas in threads that take turns.
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
        """Gives the layer the noise of one iteration, other noise for each time that it is called.

        Args:
            draw: draws uniform numbers for a key and a shape, without the batch axis.
            key: key of the layer's noise.
        """
        calls = itertools.count()

        def draw_for(inputs: tf.Tensor) -> tf.Tensor:
            each, *others = self._noise_shape(inputs)
            drawn = draw(key ^ (next(calls) << 16), others)
            return drawn[:1] if each == 1 else drawn

        self.current.draw = draw_for

    def _noise_shape(self, inputs: tf.Tensor) -> list[int | None]:
        """Returns the noise's shape: axes of `noise_shape` that are 1 share it."""
        shape = inputs.shape.as_list()
        return [n or own for n, own in zip(self.noise_shape or shape, shape, strict=True)]


def copy_dropout(layer: keras.layers.Dropout, replicas: int) -> StatelessDropout:
    """Copies a dropout layer.

    Args:
        layer: the layer.
        replicas: devices that share a batch.

    Raises:
        UserError: if all examples of a batch have the same noise, on several devices.
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
        UserError: if a layer's noise cannot be shared out among several devices.
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
        f"layer {layer.name} ({type(layer).__name__}): draws noise that several devices cannot "
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
    """Gives layers the noise of one iteration, each its own.

    Args:
        layers: those of a copy that are random.
        draw: draws uniform numbers for a key and a shape, without the batch axis.
        key: key of the noise's stream.
        iteration: the iteration.
    """
    for place, layer in enumerate(layers):
        if isinstance(layer, StatelessDropout):
            layer.set_draw(draw, key ^ place)
        else:
            counter = tf.stack([tf.cast(iteration, tf.int64), 0])
            layer._random_generator._generator.reset_from_key_counter(
                tf.cast(key ^ place, tf.int64), counter
            )
    yield
    for layer in layers:
        if isinstance(layer, StatelessDropout):
            layer.current.draw = None
