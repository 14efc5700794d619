"""Derivatives of a network's loss with respect to its kernels, for criteria that ask for them."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.arrays import Arrays
from lth_tf.pruning.context import Examples
from lth_tf.pruning.kernels import kernel_variables

Loss = Callable[[Any, Any], tf.Tensor]


def gradients(
    model: keras.Model,
    examples: Examples,
    loss: Loss,
    *,
    temperature: float = 1.0,
    training: bool = False,
) -> Arrays:
    """Returns the gradient of a loss with respect to each of a model's kernels, by name.

    Args:
        model: the network, its masks applied to its weights; it is left as it was.
        examples: (inputs, targets), arrays or structures of arrays; taken as one batch.
        loss: returns the loss, a number, of targets and outputs.
        temperature: what the outputs are divided by before the loss.
        training: whether batch normalisation goes by the examples' own statistics. Layers that
            draw at random then draw.
    """
    variables = kernel_variables(model)
    with _left_as_it_was(model), tf.GradientTape() as tape:
        value = _value(model, examples, loss, temperature, training)
    return _arrays(tape, value, variables)


def hessian_product(
    model: keras.Model,
    examples: Examples,
    loss: Loss,
    vectors: Mapping[str, np.ndarray],
    *,
    temperature: float = 1.0,
    training: bool = False,
) -> Arrays:
    """Returns the product of a loss's Hessian with a vector, over all kernels together, by name.

    It is the gradient of the gradient's product with the vector, which is held constant.

    Args:
        model: as in `gradients`.
        examples: likewise.
        loss: likewise.
        vectors: the vector's part for each kernel; zero for those it leaves out.
        temperature: as in `gradients`.
        training: likewise.

    Raises:
        ValueError: if a vector is of no kernel of the model.
    """
    variables = kernel_variables(model)
    for name in vectors:
        if name not in variables:
            raise ValueError(f"{name}: is no kernel of the model; there are {', '.join(variables)}")
    wanted = list(vectors)
    with _left_as_it_was(model), tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            value = _value(model, examples, loss, temperature, training)
        first = inner.gradient(
            value,
            [variables[name] for name in wanted],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        pairs = zip(first, wanted, strict=True)
        product = tf.add_n(
            [tf.reduce_sum(tf.convert_to_tensor(part) * vectors[name]) for part, name in pairs]
        )
    return _arrays(outer, product, variables)


def _value(
    model: keras.Model, examples: Examples, loss: Loss, temperature: float, training: bool
) -> tf.Tensor:
    inputs, targets = tf.nest.map_structure(tf.convert_to_tensor, examples)
    outputs = model(inputs, training=training)
    return loss(targets, tf.nest.map_structure(lambda output: output / temperature, outputs))


def _arrays(tape: tf.GradientTape, value: tf.Tensor, variables: dict[str, tf.Variable]) -> Arrays:
    found = tape.gradient(value, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    # An embedding's has only the rows that were looked up.
    return {name: tf.convert_to_tensor(gradient).numpy() for name, gradient in found.items()}


@contextlib.contextmanager
def _left_as_it_was(model: keras.Model) -> Iterator[None]:
    """Restores what a call in training changes, such as batch normalisation's statistics."""
    before = [variable.numpy() for variable in model.non_trainable_variables]
    try:
        yield
    finally:
        for variable, value in zip(model.non_trainable_variables, before, strict=True):
            variable.assign(value)
