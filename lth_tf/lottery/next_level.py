"""The lottery ticket algorithm, to be read from top to bottom (Frankle & Carbin, 2019, Section 2).

1. Randomly initialise a network f(x; theta_0).
2. Train it for j iterations, which gives theta_j.
3. Prune p % of the weights in theta_j, which gives a mask m.
4. Rewind the remaining weights to their values in theta_0: the ticket f(x; m * theta_0).

Iterative pruning repeats steps 2 to 4 from level to level; one-shot pruning goes from the dense
network to each level at once. `Experiment.parent` says which training a mask is pruned from,
`lth_tf.lottery.rewinding` what step 4 is where weights do not go back to theta_0, and `lth_tf.arms`
what a level's mask is trained with besides, to compare the ticket with.
"""

from collections.abc import Callable, Iterable

import numpy as np

from lth_tf.arms import ARMS, Arm, Draw
from lth_tf.arrays import Arrays
from lth_tf.errors import UserError
from lth_tf.lottery.network import Network
from lth_tf.lottery.rewinding import Earlier, rewinding_for
from lth_tf.pruning import masks as pruning
from lth_tf.pruning.scores import score
from lth_tf.runs.experiment import Training
from lth_tf.runs.store import Store
from lth_tf.streams import Streams
from lth_tf.training.initial_state import InitialState
from lth_tf.training.invariants import check_pruned

Masks = dict[str, np.ndarray]


def train_levels(
    trainings: Iterable[Training],
    network: Network,
    store: Store,
    train: Callable[[Training, InitialState], None],
) -> None:
    """Trains, prunes, rewinds and trains again.

    Args:
        trainings: the dense network first, each behind the training that it is pruned from.
        network: the experiment's network.
        store: has what finished trainings have left.
        train: trains from a state, and leaves in the store what later trainings need.

    Raises:
        UserError: if a file that is needed is damaged.
    """
    for training in trainings:
        masks = prune(training, network, store)
        state = rewind(training, masks, network, store)
        train(training, state)


def prune(training: Training, network: Network, store: Store) -> Masks:
    """Makes a training's masks: its level's, or what its arm makes of them."""
    if training.level == 0:
        ticket = {kernel.name: np.ones(kernel.shape, bool) for kernel in network.kernels}
    elif network.experiment.is_transfer:
        ticket = network.carried.masks
    else:
        ticket = _pruned(training, network, store)
    masks = arm_of(training).masks(ticket, draw_of(training, network))
    _check_as_many(training, ticket, masks)
    return masks


def rewind(training: Training, masks: Masks, network: Network, store: Store) -> InitialState:
    """Makes what a training starts from: its arm's weights, and what goes with them.

    Args:
        training: the training.
        masks: its masks.
        network: the experiment's network.
        store: has what finished trainings have left.
    """
    draw = draw_of(training, network)
    earlier = Earlier(training, network.experiment, store)
    rewinding = rewinding_for(training, network.experiment)

    def ticket() -> Arrays:
        if training.level and not network.experiment.is_transfer:
            return rewinding.weights(earlier, masks)
        theta_0 = network.initial_weights(draw.streams.key("init"))
        return network.carried.weights(theta_0) if training.level else theta_0

    return InitialState(
        iteration=rewinding.iteration,
        weights=arm_of(training).weights(ticket, draw),
        masks=masks,
        schedule=rewinding.schedule(earlier),
        optimizer=rewinding.optimizer(earlier),
    )


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


def arm_of(training: Training) -> Arm:
    """Returns a training's arm; the dense network's has no name, and is as `Arm` stands."""
    return ARMS[training.kind]() if training.level else Arm()


def draw_of(training: Training, network: Network) -> Draw:
    """Returns where a training's arm takes its randomness from."""
    streams = Streams(network.experiment.seed, training.replicate)
    return Draw(streams, training.level, training.draw, network.initial_weights)


def _check_as_many(training: Training, ticket: Masks, masks: Masks) -> None:
    """Checks that an arm's masks are the level's in shape and number, as its density says."""
    found, wanted = ({n: (m.shape, m.dtype) for n, m in a.items()} for a in (masks, ticket))
    kept, expected = (sum(np.count_nonzero(m) for m in each.values()) for each in (masks, ticket))
    if found != wanted or kept != expected:
        raise UserError(
            f"--arms={training.kind}: its masks must be boolean arrays of the ticket's kernels and "
            f"shapes, and keep {expected:,} weights at level {training.level}; they keep {kept:,}"
        )
