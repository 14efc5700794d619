"""Search: what it takes to find a level's mask, in iterations, and what trainings keep for it.

A ticket is searched for before it can be trained: by whole trainings (Section 2), by trainings that
are pruned after `--search_iterations`, or by one in which its mask is drawn early
(`lth_tf.training.early_bird`). What is compared is always the ticket's own training, to its end.
"""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from lth_tf.errors import UserError
from lth_tf.lottery.rewinding import rewinding_of
from lth_tf.pruning.filters import whole_filters
from lth_tf.pruning.masks import Masks, counts_after
from lth_tf.runs.experiment import (
    DENSE,
    DRAWN_EARLY,
    EARLY_BIRD,
    EARLY_BIRD_FILTERS,
    ONE_SHOT,
    TICKET,
    Experiment,
    Training,
)
from lth_tf.training.early_bird import EarlyBird, drawn_at, drawn_masks
from lth_tf.training.initial_state import Keep

if TYPE_CHECKING:
    from lth_tf.lottery.network import Network
    from lth_tf.runs.store import Store


def search_iterations(training: Training, experiment: Experiment, store: "Store") -> int | None:
    """Returns the iterations that were spent before a level's ticket could be trained.

    It is the level's: its controls have the same mask, or as many weights. Where weights go back to
    iteration k, each training after the dense network's takes k iterations less; and no ticket that
    goes back to k can be trained before the dense network has come that far.

    Args:
        training: a training of the level.
        experiment: the experiment that it belongs to.
        store: has what finished trainings have left.

    Returns:
        The iterations; 0 where nothing is searched for, and None where they are not known, as a
        ticket was found elsewhere.

    Raises:
        UserError: if a file that is needed is damaged.
    """
    if experiment.is_transfer and training.level:
        return None
    if training.level == 0 or experiment.parent(training) is None:
        return 0
    recipe = experiment.recipe
    first = rewinding_of(recipe).iteration
    if experiment.strategy in DRAWN_EARLY:
        return max(first, drawn_at(store.read_arrays(training.dense, EARLY_BIRD), training.level))
    each = recipe.search_iterations or recipe.iterations
    trainings = training.level if experiment.strategy == "iterative" else 1
    return each + (trainings - 1) * (each - first)


def search_multiply_adds(
    training: Training, experiment: Experiment, store: "Store"
) -> float | None:
    """Returns the multiply-adds of `search_iterations`, each training at its own density.

    Passes that a criterion takes are not counted.

    Args:
        training: a training of the level.
        experiment: the experiment that it belongs to.
        store: has what finished trainings have left.

    Returns:
        The multiply-adds; None where they are not known, as an older version did not count them.

    Raises:
        UserError: if a file that is needed is damaged.
    """
    iterations = search_iterations(training, experiment, store)
    parent = experiment.parent(training) if training.level else None
    if not iterations or parent is None:
        return None if iterations is None else float(iterations)
    result = store.result(parent)
    if result.multiply_adds is None or result.search_multiply_adds is None:
        return None
    begun = rewinding_of(experiment.recipe).iteration if parent.level else 0
    before = result.search_iterations or 0
    share = (iterations - before) / (result.iterations - begun)
    return result.search_multiply_adds + share * result.multiply_adds


def searched_weights(experiment: Experiment) -> str:
    """Returns the name of the file that has the weights which masks are pruned from."""
    return "search" if experiment.recipe.search_iterations else "weights"


def keep_for(training: Training, network: "Network") -> Keep:
    """Returns what a training keeps for those that go on from it, or are pruned from it.

    Args:
        training: the training.
        network: the experiment's network.
    """
    experiment = network.experiment
    keep = rewinding_of(experiment.recipe).keep(training)
    if searched_for := experiment.recipe.search_iterations:
        is_pruned = training.kind == DENSE or (
            training.kind == TICKET and experiment.strategy == "iterative"
        )
        # All are evaluated there, to be compared alike.
        keep = dataclasses.replace(
            keep,
            evaluations=(*keep.evaluations, searched_for),
            weights={**keep.weights, **({"search": searched_for} if is_pruned else {})},
        )
    if experiment.strategy in DRAWN_EARLY and training.arm == DENSE:
        keep = dataclasses.replace(keep, early_bird=_early_bird(training, network))
    return keep


def _early_bird(training: Training, network: "Network") -> EarlyBird:
    """Returns what is drawn from a dense training: each level's mask, before each epoch."""
    recipe, scope, scales = network.experiment.recipe, network.experiment.recipe.scope, {}
    masks = {name: mask for name, mask in network.dense_masks().items() if network.rates[name]}
    if network.experiment.strategy == EARLY_BIRD_FILTERS:
        scope, scales = "global", network.filter_scales
        masks = {name: np.ones(mask.shape[-1], bool) for name, mask in masks.items()}
        masks = {name: mask for name, mask in masks.items() if name in scales}
    rates = {name: network.rates[name] for name in masks}
    left = {
        level: counts_after(masks, rates, scope, level)
        for level in range(1, network.experiment.rounds + 1)
    }
    rows, _ = network.split(training.replicate)
    epoch = len(rows) // recipe.batch_size
    return EarlyBird(
        left=left,
        shapes={name: mask.shape for name, mask in masks.items()},
        iterations=(*range(0, recipe.iterations, epoch), recipe.iterations),
        ranked_by=scales,
    )


def early_masks(training: Training, network: "Network", store: "Store") -> Masks:
    """Returns a level's early-bird masks.

    Args:
        training: a training of the level.
        network: the experiment's network.
        store: has what the dense training has left.

    Raises:
        UserError: if the file is damaged.
    """
    arrays = store.read_arrays(training.dense, EARLY_BIRD)
    shapes = {kernel.name: kernel.shape for kernel in network.kernels}
    if network.experiment.strategy != EARLY_BIRD_FILTERS:
        return drawn_masks(arrays, training.level, shapes)
    filters = {name: shape[-1:] for name, shape in shapes.items()}
    return whole_filters(drawn_masks(arrays, training.level, filters), shapes)


def check_search(experiment: Experiment) -> None:
    """Checks that an experiment's way of searching suits what it does besides.

    Raises:
        UserError: if it does not; the message names the flag.
    """
    recipe, strategy = experiment.recipe, experiment.strategy
    rewinding, until = rewinding_of(recipe), recipe.search_iterations
    wanted = f"--search_iterations={until}" if until else f"--strategy={strategy}"
    if until and strategy not in ("iterative", ONE_SHOT):
        raise UserError(
            f"--search_iterations={until}: must be left out with --strategy={strategy}, which "
            "prunes no finished training"
        )
    if not until and strategy not in DRAWN_EARLY:
        return
    if rewinding.keeps_weights:
        raise UserError(
            f"--rewind={recipe.rewind}: must be an iteration with {wanted}, whose masks are not "
            "those of the trained weights"
        )
    if until and not rewinding.iteration < until < recipe.iterations:
        raise UserError(
            f"--search_iterations={until}: must be inside --rewind ({rewinding.iteration}) and "
            f"--iterations ({recipe.iterations}), or be left out to search to the end"
        )
    if strategy in DRAWN_EARLY and recipe.criterion != "magnitude":
        raise UserError(
            f"--criterion={recipe.criterion}: must be magnitude with --strategy={strategy}"
        )
