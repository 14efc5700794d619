"""Estimates what a plan will take, in time and on disk, before it runs."""

import dataclasses
import statistics
from collections.abc import Sequence

import tensorflow as tf

from lth_tf.lottery.network import Network
from lth_tf.training.arithmetic import multiply_adds, multiply_rate

_LAUNCHES = 50e-6  # seconds


@dataclasses.dataclass(frozen=True)
class Speed:
    """How fast trainings are taken to be.

    Attributes:
        operations: float operations per second.
        least: seconds that each kernel takes at least in each iteration.
        source: where this comes from.
    """

    operations: float
    least: float
    source: str

    @classmethod
    def measured(cls, share: float = 1.0) -> "Speed":
        """Returns this machine's speed in a large matrix product: as a rule that of training.

        Args:
            share: the share of the machine that a training has.
        """
        part = "" if share == 1 else f"{share:.0%} of "
        source = f"its arithmetic and {part}this machine's speed; a guess"
        return cls(share * multiply_rate(), 0.0, source)

    @classmethod
    def assumed(cls, tflops: float) -> "Speed":
        """Returns an accelerator's speed: its arithmetic, or what starting its programs takes.

        Args:
            tflops: float operations per second, in 10^12.
        """
        source = (
            f"its arithmetic at {tflops:g} TFLOP/s, and at least {1e6 * _LAUNCHES:g} µs for each "
            "kernel in an iteration; an assumption"
        )
        return cls(1e12 * tflops, _LAUNCHES, source)


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one training will take.

    Attributes:
        seconds: its time from iteration 0.
        bytes: its files.
        source: where the time comes from.
    """

    seconds: float
    bytes: int
    source: str


def cost_of_training(network: Network, known: Sequence[float], speed: Speed | None = None) -> Cost:
    """Estimates one training, from finished ones if there are any, else from its arithmetic.

    Args:
        network: the experiment's network.
        known: the seconds of finished ones from iteration 0.
        speed: the machine's; measured here if it is needed and None.
    """
    model = network.build()
    weights = sum(int(tf.size(v)) for v in model.weights)
    kept = 2 if network.experiment.recipe.search_iterations else 1  # the search's weights as well
    size = 4 * weights * kept + network.remaining[0] // 8
    if known:
        return Cost(statistics.median(known), size, "the finished trainings")
    speed = speed or Speed.measured()
    recipe = network.experiment.recipe
    by_kernel = multiply_adds(model)
    per_image = sum(by_kernel.values())
    # Forward, and backward to inputs and weights; a multiply and an add each.
    iteration = 6 * per_image * recipe.batch_size / speed.operations
    evaluation = 2 * per_image * recipe.validation_size / speed.operations
    seconds = recipe.iterations * max(iteration, speed.least * len(by_kernel))
    seconds += recipe.iterations / recipe.eval_every * evaluation
    return Cost(seconds, size, speed.source)
