"""Start: what a training starts from."""

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Start:
    """What a training starts from.

    Attributes:
        iteration: the iteration that the weights are of; the training goes on from it.
        weights: the weights by name, before masking.
        masks: boolean masks by kernel name; kernels without one are not pruned.
        schedule: the iteration that the learning-rate schedule starts from.
        optimizer: the optimizer's variables by index, to be gone on with; None for a new one.
    """

    iteration: int
    weights: Mapping[str, np.ndarray]
    masks: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    schedule: int = 0
    optimizer: Mapping[str, np.ndarray] | None = None
