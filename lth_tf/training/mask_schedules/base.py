"""What a mask schedule is: iterations at which masks change, and what they change to.

Nothing here needs TensorFlow: flags and reports ask for the schedules' names without it.
"""

import abc
import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from lth_tf.errors import UserError
from lth_tf.recipe import Recipe

Masks = dict[str, np.ndarray]


class Promise(enum.StrEnum):
    """What a schedule promises of its masks; each update is held to it."""

    UNCHANGED = "stay as they are"
    SHRINK = "only lose weights"
    KEEP_COUNT = "keep as many weights of each kernel"
    FREE = "may be any"


@dataclasses.dataclass(frozen=True)
class MaskPlan:
    """What is known of a training's masks before it begins.

    Attributes:
        iterations: the training's length.
        shapes: the shape of each kernel that counts towards the density, by name.
        left: how many weights the level leaves of kernels that are ranked together, by their
            names; kernels that are never pruned are not there.
        generator: gives an update's random generator, by its iteration; 0 for the first masks.
    """

    iterations: int
    shapes: Mapping[str, tuple[int, ...]]
    left: Mapping[tuple[str, ...], int]
    generator: Callable[[int], np.random.Generator]


@dataclasses.dataclass(frozen=True)
class Moment:
    """What an update can look at.

    Attributes:
        iteration: iterations trained.
        weights: the kernels by name, pruned weights zero.
        masks: their boolean masks.
        gradients: computes the loss's gradients by the kernels, pruned weights among them, on the
            batch of the next iteration.
        generator: random numbers for this update alone, the same where a training is repeated.
    """

    iteration: int
    weights: Mapping[str, np.ndarray]
    masks: Mapping[str, np.ndarray]
    gradients: Callable[[], Mapping[str, np.ndarray]]
    generator: np.random.Generator


class MaskSchedule(abc.ABC):
    """When the masks of one training change, and how.

    Masks change between compiled chunks, so that a training whose masks stay costs nothing. An
    update is a function of its `Moment`: a training that is interrupted ends in the same bits.

    Attributes:
        name: what `--strategy` calls it.
        place: its place among the schedules.
        help: what it does, for `--help`.
        promise: what holds of its masks.
        trains_weights: whether weights are trained; else their masks alone are.
        plan: what is known of the training's masks.
    """

    name: ClassVar[str]
    place: ClassVar[int]
    help: ClassVar[str]
    promise: ClassVar[Promise]
    trains_weights: ClassVar[bool] = True

    def __init__(self, plan: MaskPlan) -> None:
        """Makes the schedule of one training."""
        self.plan = plan

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """Checks that a recipe suits the schedule.

        Raises:
            UserError: if it does not; the message names the flag.
        """
        if recipe.rewind != "0":
            raise UserError(
                f"--rewind={recipe.rewind}: must be 0 with --strategy={cls.name}, which trains "
                "each level from the initial weights"
            )

    def first_masks(self) -> Masks:
        """Returns the masks that a training begins with where no others are pruned for it."""
        return {name: np.ones(shape, bool) for name, shape in self.plan.shapes.items()}

    @property
    @abc.abstractmethod
    def updates(self) -> tuple[int, ...]:
        """The rising iterations, from 1 on, after which masks change.

        The last one leaves the level's masks: evaluations before it are of other masks, and do
        not count towards early stopping.
        """

    @abc.abstractmethod
    def update(self, moment: Moment) -> Masks:
        """Returns the new masks of the kernels that have one."""


def last_pruning(iterations: int) -> int:
    """Returns the iteration at which masks stop changing: three quarters of a training.

    Args:
        iterations: the training's length.
    """
    return 3 * iterations // 4


def update_iterations(iterations: int) -> tuple[int, ...]:
    """Returns when masks change: every 100 iterations; in shorter trainings more often.

    There are about ten updates then, at most one an iteration.

    Args:
        iterations: the training's length.
    """
    end = last_pruning(iterations)
    every = max(1, min(100, end // 10))
    return tuple(range(every, end + 1, every))


def check_ranks_by_magnitude(strategy: str, recipe: Recipe) -> None:
    """Checks that a recipe suits a schedule that removes the smallest weights while it trains.

    Args:
        strategy: the schedule's name.
        recipe: the recipe.

    Raises:
        UserError: if it ranks by another criterion, or is too short.
    """
    if recipe.iterations < 2:
        raise UserError(
            f"--iterations={recipe.iterations}: must be at least 2 with --strategy={strategy}, "
            "which prunes while it trains"
        )
    if recipe.criterion != "magnitude":
        raise UserError(
            f"--criterion={recipe.criterion}: must be magnitude with --strategy={strategy}"
        )
