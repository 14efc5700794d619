"""Tickets: the networks that a finished training started from and ended with."""

import numpy as np

from lth_tf.errors import UserError
from lth_tf.experiment.network import Network
from lth_tf.experiment.plan import Training
from lth_tf.experiment.start import start_unmasked
from lth_tf.experiment.store import Store


def trained_weights(store: Store, training: Training) -> dict[str, np.ndarray]:
    """Returns the weights that a training ended with, by name; pruned ones are zero.

    Raises:
        UserError: if the training is not finished, or its files are damaged.
    """
    _require_done(store, training)
    return store.read_arrays(training, "weights")


def initial_weights(store: Store, training: Training) -> dict[str, np.ndarray]:
    """Returns what a training started from, by name: for a ticket mask * theta_0, or theta_k.

    Raises:
        UserError: if the training is not finished, or its files are damaged.
    """
    _require_done(store, training)
    network = Network(store.experiment(), store.data())
    weights = dict(start_unmasked(training, network, store).weights)
    for name, mask in store.read_masks(training).items():
        weights[name] = np.where(mask, weights[name], np.float32(0))
    return weights


def _require_done(store: Store, training: Training) -> None:
    store.experiment_json()
    if not store.is_done(training):
        done = [t.path for t in store.finished()]
        known = f"finished are {done[0]} to {done[-1]}" if done else "none is finished"
        raise UserError(f"{store.folder}: must have {training.path} finished, but {known}")
