"""Estimates what a plan will take, in time and on disk, before it runs."""

import dataclasses
import statistics
from collections.abc import Sequence

import tensorflow as tf

from lth_tf.lottery.network import Network
from lth_tf.runs.results import Result
from lth_tf.training.arithmetic import multiply_adds, multiply_rate


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one training will take.

    Attributes:
        seconds: its time.
        bytes: its files.
        source: where the time comes from.
    """

    seconds: float
    bytes: int
    source: str


def cost_of_training(network: Network, results: Sequence[Result]) -> Cost:
    """Estimates one training, from finished ones if there are any, else from its arithmetic.

    Args:
        network: the experiment's network.
        results: the trainings that are finished.
    """
    model = network.build()
    weights = sum(int(tf.size(v)) for v in model.weights)
    kept = 2 if network.experiment.recipe.search_iterations else 1  # the search's weights as well
    size = 4 * weights * kept + network.remaining[0] // 8
    if results:
        seconds = statistics.median(result.seconds for result in results)
        return Cost(seconds, size, "the finished trainings")
    recipe = network.experiment.recipe
    per_image = sum(multiply_adds(model).values())
    # Forward, and backward to inputs and weights; a multiply and an add each. Training runs, as a
    # rule, about as fast as a large matrix product.
    operations = 6 * per_image * recipe.batch_size * recipe.iterations
    evaluations = recipe.iterations / recipe.eval_every
    operations += 2 * per_image * recipe.validation_size * evaluations
    seconds = operations / multiply_rate()
    return Cost(seconds, size, "its arithmetic and this machine's speed; a guess")
