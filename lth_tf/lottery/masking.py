"""The mask schedule of each training of a plan."""

import functools

from lth_tf.lottery.network import Network
from lth_tf.pruning.masks import counts_after
from lth_tf.runs.experiment import Training
from lth_tf.streams import Streams
from lth_tf.training.mask_schedules import MASK_SCHEDULES, MaskPlan, MaskSchedule


def make_mask_schedule(training: Training, network: Network) -> MaskSchedule:
    """Makes what says when a training's masks change, and how.

    Args:
        training: the training.
        network: the experiment's network.
    """
    experiment = network.experiment
    # A transfer's masks are its ticket's: nothing is pruned to a level.
    level = 0 if experiment.is_transfer else training.level
    streams = Streams(experiment.seed, training.replicate)
    plan = MaskPlan(
        iterations=experiment.recipe.iterations,
        shapes={kernel.name: kernel.shape for kernel in network.kernels},
        left=counts_after(network.dense_masks(), network.rates, experiment.recipe.scope, level),
        generator=functools.partial(streams.generator, "mask_schedule", training.level),
    )
    return MASK_SCHEDULES[experiment.mask_schedule(training)](plan)
