"""Start: the iteration, weights and masks that a training starts from."""

from typing import NamedTuple

import numpy as np

from lth_tf.experiment.network import Network
from lth_tf.experiment.plan import Training
from lth_tf.experiment.store import Store
from lth_tf.pruning import masks as pruning
from lth_tf.pruning.scores import score
from lth_tf.streams import Streams
from lth_tf.training.invariants import check_pruned
from lth_tf.training.state import GROUPS, State, flatten, nest
from lth_tf.training.team import Team

Arrays = dict[str, np.ndarray]


class Start(NamedTuple):
    """What a training starts from.

    Attributes:
        iteration: the iteration that the weights are of.
        weights: the weights by name, before masking.
        masks: boolean masks by kernel name.
    """

    iteration: int
    weights: Arrays
    masks: Arrays


def make_start(training: Training, network: Network, store: Store) -> Start:
    """Draws the initial weights of a dense network, or prunes and rewinds its parent's.

    Args:
        training: the training.
        network: the experiment's network.
        store: has the parent's weights and masks, and those to rewind to.

    Raises:
        UserError: if a file that it needs is damaged.
    """
    recipe = network.experiment.recipe
    if training.parent is None:
        streams = Streams(network.experiment.seed, training.replicate)
        weights = network.initial_weights(streams.key("init"))
        return Start(0, weights, {k.name: np.ones(k.shape, bool) for k in network.kernels})
    initial = store.read_arrays(training.dense, "initial")
    before = store.read_masks(training.parent)
    final = store.read_arrays(training.parent, "weights")
    rank = score(recipe.score)
    scores = {name: rank(initial[name], final[name]) for name in before}
    masks = pruning.prune(scores, before, network.rates, recipe.scope)
    check_pruned(before, masks, network.remaining[training.level])
    if recipe.rewind:
        initial = store.read_arrays(training.dense, "rewind")
    return Start(recipe.rewind, initial, masks)


def share(team: Team, start: Start | None, state: State | None) -> tuple[Start, State | None]:
    """Returns the chief's start, and its state to go on from, on every worker of a team.

    Args:
        team: the workers.
        start: what the training starts from; only the chief need give it.
        state: the state of an interrupted training, likewise.
    """
    if team.size == 1:
        return start, state
    groups, record = {}, None
    if start:
        groups = {"start": start.weights, "masks": start.masks}
        groups |= state.arrays if state else {}
        record = {"start": start.iteration, "state": state and state.record()}
    arrays, record = team.share_arrays(flatten(groups), record)
    groups = nest(arrays, ("start", "masks", *GROUPS))
    start = Start(record["start"], groups.pop("start"), groups.pop("masks"))
    return start, record["state"] and State.of(record["state"], groups)
