"""The random split of training data into training and validation examples."""

import numpy as np

from lth_tf.errors import UserError


def split(
    size: int, validation_size: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws validation examples at random, without overlap with what is left for training.

    Args:
        size: Number of examples to split.
        validation_size: Number of them that become validation examples.
        generator: Where the randomness comes from; the same state gives the same split.

    Returns:
        Sorted int64 indices of the training examples, [size - validation_size], and of the
        validation examples, [validation_size].

    Raises:
        UserError: If either part would be empty.
    """
    if size < 2:
        raise UserError(
            f"--validation_size={validation_size} cannot be taken from {size} training "
            f"example{'s' * (size != 1)}: there must be at least 2."
        )
    if not 1 <= validation_size < size:
        raise UserError(
            f"--validation_size={validation_size} cannot be taken from {size} training examples: "
            f"it must be from 1 to {size - 1}."
        )
    is_validation = np.zeros(size, bool)
    is_validation[generator.permutation(size)[:validation_size]] = True
    return np.flatnonzero(~is_validation), np.flatnonzero(is_validation)
