"""Sample inputs: what a network can be tried on where no data are at hand."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.errors import UserError
from lth_tf.streams import Streams

_LENGTH = 32  # of an axis that may have any


def sample_inputs(
    model: keras.Model, specs: Iterable[tf.TensorSpec], count: int
) -> list[np.ndarray]:
    """Draws inputs like images; where a network looks numbers up, such as it can.

    The same call gives the same inputs.

    Args:
        model: the network, whose tables limit the numbers.
        specs: what is asked for: shapes [n, ...], any length of which may be unknown, and types.
        count: examples, n.

    Returns:
        An array [count, ...] for each of the specs.

    Raises:
        UserError: if an input is text.
    """
    looks_up = (keras.layers.Embedding, keras.layers.CategoryEncoding)
    tables = [layer for layer in model._flatten_layers() if isinstance(layer, looks_up)]
    sizes = [getattr(t, "input_dim", None) or getattr(t, "num_tokens", None) for t in tables]
    highest = min([size for size in sizes if size], default=256) - 1
    random = Streams(0, 0).generator("sample_inputs")
    found = []
    for spec in specs:
        if spec.dtype == tf.string:
            raise UserError("its inputs must be numbers, not text")
        shape = [count, *(length or _LENGTH for length in spec.shape[1:])]
        found.append(random.uniform(0, highest, shape).astype(spec.dtype.as_numpy_dtype))
    return found
