"""Layers that draw random numbers, copied so that their noise is a function of (stream, iteration).

A training that goes on from a checkpoint then has the noise that it would have had.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from lth_tf.errors import UserError
from lth_tf.pruning.walk import unwrap, walk

RandomLayer = keras.__internal__.layers.BaseRandomLayer


class StatelessDropout(keras.layers.Dropout):
    """Dropout whose noise is a function of (stream, iteration), not of what was drawn before.

    Attributes:
        current: has, while a training loop traces an iteration, `draw`: a function that draws
            uniform numbers for a shape without the batch axis.
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
        kept = draw(inputs.shape[1:]) >= self.rate
        scaled = inputs / tf.cast(1 - self.rate, inputs.dtype)
        return tf.where(kept, scaled, tf.zeros_like(scaled))


def copy_stateless(layer: keras.layers.Layer, replicas: int) -> keras.layers.Layer:
    """Copies a layer that draws random numbers.

    Args:
        layer: a `RandomLayer`.
        replicas: devices that share a batch.

    Raises:
        UserError: if its noise cannot be shared out among several devices.
    """
    if type(layer) is keras.layers.Dropout:
        return StatelessDropout.from_config(layer.get_config())
    if replicas > 1:
        raise UserError(
            f"layer {layer.name} ({type(layer).__name__}): draws noise that several devices cannot "
            "share; use --distribution=none, or Dropout, or --augment"
        )
    copy = type(layer).from_config(layer.get_config())
    # Keras offers no public way to have a layer draw from a generator that can be set.
    generator = type(layer._random_generator)(seed=0, rng_type="stateful")
    generator._maybe_init()
    copy._random_generator = generator
    return copy


def random_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Lists the layers of a model that draw random numbers."""
    layers = map(unwrap, walk(model).values())
    return [layer for layer in layers if isinstance(layer, RandomLayer)]


@contextlib.contextmanager
def randomness_of(
    layers: Sequence[keras.layers.Layer],
    draw: Callable[..., tf.Tensor],
    key: tf.Tensor,
    iteration: tf.Tensor,
) -> Iterator[None]:
    """Gives layers the noise of one iteration, each its own.

    Args:
        layers: copies of `copy_stateless`.
        draw: draws uniform numbers for a key and a shape, without the batch axis.
        key: key of the noise's stream.
        iteration: the iteration.
    """
    dropouts = [layer for layer in layers if isinstance(layer, StatelessDropout)]
    for place, layer in enumerate(layers):
        layer_key = key ^ place
        if layer in dropouts:
            layer.current.draw = functools.partial(draw, layer_key)
        else:
            counter = tf.stack([tf.cast(iteration, tf.int64), 0])
            layer._random_generator._generator.reset_from_key_counter(
                tf.cast(layer_key, tf.int64), counter
            )
    yield
    for layer in dropouts:
        layer.current.draw = None
