"""The start of each training of a plan, by its level, arm and strategy."""

import dataclasses

import numpy as np

from lth_tf.lottery.network import Network
from lth_tf.pruning import masks as pruning
from lth_tf.pruning.scores import score
from lth_tf.runs.experiment import FRESH, Training
from lth_tf.runs.store import Store
from lth_tf.streams import Streams
from lth_tf.training.invariants import check_pruned
from lth_tf.training.start import Start

Masks = dict[str, np.ndarray]


def make_start(training: Training, network: Network, store: Store) -> Start:
    """Makes what a training starts from, out of what the trainings that it needs have left.

    Args:
        training: the training.
        network: the experiment's network.
        store: has its parent's weights and masks, and the weights to rewind to.

    Raises:
        UserError: if a file that it needs is damaged.
    """
    start = start_unmasked(training, network, store)
    return dataclasses.replace(start, masks=_masks(training, network, store))


def start_unmasked(training: Training, network: Network, store: Store) -> Start:
    """Makes what a training starts from but for its masks; see `make_start`."""
    experiment, recipe = network.experiment, network.experiment.recipe
    streams = Streams(experiment.seed, training.replicate)
    first = experiment.first_iteration(training)
    if training.level == 0:
        return Start(first, network.initial_weights(streams.key("init")))
    if training.kind in FRESH:
        key = streams.key("reinit", training.level, training.draw)
        return Start(first, network.initial_weights(key))
    if experiment.is_transfer:
        fresh = network.initial_weights(streams.key("init"))
        return Start(first, network.carried.weights(fresh))
    if recipe.rewinds_weights:
        theta = store.read_arrays(training.dense, "rewind" if first else "initial")
        return Start(first, theta, schedule=first)
    parent = experiment.parent(training)
    kept = store.read_arrays(parent, "weights")
    if recipe.rewind == "lr":
        return Start(first, kept)
    if recipe.rewind == "fine_tune":
        return Start(first, kept, schedule=recipe.iterations)
    # The optimizer goes on counting where its parent stopped, the schedule starts again.
    counted = (parent.level + 1) * recipe.iterations
    return Start(first, kept, schedule=-counted, optimizer=store.read_arrays(parent, "optimizer"))


def _masks(training: Training, network: Network, store: Store) -> Masks:
    if training.level == 0:
        return {kernel.name: np.ones(kernel.shape, bool) for kernel in network.kernels}
    if network.experiment.is_transfer:
        masks = network.carried.masks
    else:
        masks = _pruned(training, network, store)
    streams = Streams(network.experiment.seed, training.replicate)
    if training.kind == "shuffled_mask":
        rng = streams.generator("shuffled_mask", training.level, training.draw)
        return {name: rng.permuted(m.ravel()).reshape(m.shape) for name, m in masks.items()}
    if training.kind.startswith("random_mask"):
        # One ranking for all levels, so that these masks are nested like the ticket's.
        return pruning.random_masks(masks, streams.generator("random_mask", training.draw))
    return masks


def _pruned(training: Training, network: Network, store: Store) -> Masks:
    parent = network.experiment.parent(training)
    masks = store.read_masks(parent)
    scores = _scores(training, network, store)
    for level in range(parent.level + 1, training.level + 1):
        before = masks
        masks = pruning.prune(scores, before, network.rates, network.experiment.recipe.scope)
        check_pruned(before, masks, network.remaining[level])
    return masks


def _scores(training: Training, network: Network, store: Store) -> dict[str, np.ndarray]:
    initial = store.read_arrays(training.dense, "initial")
    final = store.read_arrays(network.experiment.parent(training), "weights")
    rank = score(network.experiment.recipe.score)
    names = [kernel.name for kernel in network.kernels]
    return {name: rank(initial[name], final[name]) for name in names}
