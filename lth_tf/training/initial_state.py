"""What a training starts from, and what it keeps for those that go on from it."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from lth_tf.training.early_bird import EarlyBird


@dataclasses.dataclass(frozen=True)
class InitialState:
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


@dataclasses.dataclass(frozen=True)
class Keep:
    """What a training keeps, besides its weights at the end.

    Attributes:
        evaluations: iterations at which it is evaluated as well.
        weights: iterations whose weights it keeps, by the name that they are kept under.
        optimizer: whether it keeps the optimizer's variables at the end.
        early_bird: the masks that are drawn while it runs; None for none.
    """

    evaluations: tuple[int, ...] = ()
    weights: Mapping[str, int] = dataclasses.field(default_factory=dict)
    optimizer: bool = False
    early_bird: EarlyBird | None = None
