"""Tickets: the networks that a finished training started from and ended with."""

import numpy as np

from lth_tf.errors import UserError
from lth_tf.formats.ticket import Ticket
from lth_tf.lottery.network import Network
from lth_tf.lottery.next_level import rewind
from lth_tf.lottery.rewinding import rewinding_for
from lth_tf.models.user_model import ModelFunction
from lth_tf.runs.experiment import Experiment, Training
from lth_tf.runs.results import NEWER
from lth_tf.runs.store import Store

_METRICS = (
    "early_stop_iteration",
    "validation_loss_at_early_stop",
    "test_accuracy_at_early_stop",
    "test_accuracy_final",
    "test_accuracy_at",
    "iterations",
    *NEWER,
)


def ticket(store: Store, training: Training, make: ModelFunction | None = None) -> Ticket:
    """Returns the ticket of any finished training, a control's or the dense network's as well.

    Args:
        store: the run directory.
        training: the training.
        make: the function that makes the network, where the recipe's name does not find it.

    Raises:
        UserError: see `initial_weights`.
    """
    trained, weights = trained_weights(store, training), initial_weights(store, training, make)
    fields, experiment, result = store.experiment_json(), store.experiment(), store.result(training)
    metadata = {
        **{name: fields[name] for name in ("recipe", "data", "strategy", "seed")},
        "replicate": training.replicate,
        "level": training.level,
        "arm": training.arm,
        "density": result.density,
        "remaining": result.remaining,
        "iteration": _iteration(experiment, training),
        "metrics": {name: getattr(result, name) for name in _METRICS},
        "versions": fields["starts"][-1].get("versions", {}),
    }
    if experiment.is_transfer:
        metadata["from_ticket"] = experiment.ticket
    return Ticket(store.read_masks(training), weights, trained, metadata)


def _iteration(experiment: Experiment, training: Training) -> int:
    """Returns the iteration that the weights a training starts from are of."""
    rewinding = rewinding_for(training, experiment)
    return experiment.recipe.iterations if rewinding.keeps_weights else rewinding.iteration


def trained_weights(store: Store, training: Training) -> dict[str, np.ndarray]:
    """Returns the weights that a training ended with, by name; pruned ones are zero.

    Args:
        store: the run directory.
        training: the training.

    Raises:
        UserError: if the training is not finished, or its files are damaged.
    """
    _require_done(store, training)
    return store.read_arrays(training, "weights")


def initial_weights(
    store: Store, training: Training, make: ModelFunction | None = None
) -> dict[str, np.ndarray]:
    """Returns what a training started from, by name: for a ticket mask * theta_0, or theta_k.

    Args:
        store: the run directory.
        training: the training.
        make: the function that makes the network, where the recipe's name does not find it.

    Raises:
        UserError: if the training is not finished, its files are damaged, or theta_0 is pretrained
            and the dense network, which keeps it, is not finished.
    """
    _require_done(store, training)
    if training.level == 0:
        return store.read_arrays(training, "initial")
    if store.experiment_json().get("objective", {}).get("pretrained"):
        _require_done(store, training.dense)
    network = Network(store.experiment(), store.data(), make, store.ticket())
    masks = store.read_masks(training)
    weights = dict(rewind(training, masks, network, store).weights)
    for name, mask in masks.items():
        weights[name] = np.where(mask, weights[name], np.float32(0))
    return weights


def _require_done(store: Store, training: Training) -> None:
    store.experiment_json()
    if not store.is_done(training):
        done = [t.path for t in store.finished()]
        known = f"finished are {done[0]} to {done[-1]}" if done else "none is finished"
        raise UserError(f"{store.folder}: must have {training.path} finished, but {known}")
