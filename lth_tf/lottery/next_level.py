"""The lottery ticket algorithm, to be read from top to bottom (Frankle & Carbin, 2019, Section 2).

1. Randomly initialise a network f(x; theta_0).
2. Train it for j iterations, which gives theta_j.
3. Prune p % of the weights in theta_j, which gives a mask m.
4. Rewind the remaining weights to their values in theta_0: the ticket f(x; m * theta_0).

Iterative pruning repeats steps 2 to 4 from level to level; one-shot pruning goes from the dense
network to each level at once, at the end of its training or early in it
(`lth_tf.lottery.search`); pruning at initialisation leaves out step 2, and prunes theta_0 to each
level at once; a mask schedule (`lth_tf.training.mask_schedules`) prunes while it
trains. `Experiment.parent` says which training a mask is pruned from,
`lth_tf.lottery.rewinding` what step 4 is where weights do not go back to theta_0, and `lth_tf.arms`
what a level's mask is trained with besides, to compare the ticket with.
"""

import functools
from collections.abc import Callable, Iterable

import numpy as np

from lth_tf.arms import ARMS, Arm, Draw
from lth_tf.arrays import Arrays
from lth_tf.errors import UserError
from lth_tf.lottery.masking import make_mask_schedule
from lth_tf.lottery.network import Network
from lth_tf.lottery.ranking import Ranking, Take
from lth_tf.lottery.rewinding import Earlier, rewinding_for
from lth_tf.lottery.search import early_masks
from lth_tf.runs.experiment import DENSE, DRAWN_EARLY, Training
from lth_tf.runs.store import Store
from lth_tf.streams import Streams
from lth_tf.training.initial_state import InitialState
from lth_tf.training.invariants import check_pruned

Masks = dict[str, np.ndarray]


def train_levels(
    trainings: Iterable[Training],
    network: Network,
    store: Store,
    take: Take,
    train: Callable[[Training, InitialState], None],
) -> None:
    """Trains, prunes, rewinds and trains again.

    Args:
        trainings: what to train; what one needs is complete when its turn comes.
        network: the experiment's network.
        store: has what finished trainings have left.
        take: returns the examples at some rows of the data set, for criteria that ask for them.
        train: trains from a state, and leaves in the store what later trainings need.

    Raises:
        UserError: if a file that is needed is damaged.
    """
    for training in trainings:
        masks = prune(training, network, store, take)
        state = rewind(training, masks, network, store)
        train(training, state)


def prune(training: Training, network: Network, store: Store, take: Take) -> Masks:
    """Makes a training's masks: its level's, or what its arm makes of them.

    Args:
        training: the training.
        network: the experiment's network.
        store: has what finished trainings have left.
        take: returns the examples at some rows of the data set.

    Raises:
        UserError: if a file that is needed is damaged, or the arm's masks are not the level's in
            shape and number.
    """
    if training.level == 0 or network.experiment.prunes_while_training:
        ticket = make_mask_schedule(training, network).first_masks()
    elif network.experiment.is_transfer:
        ticket = network.fitted_ticket.masks
    else:
        ticket = _pruned(training, network, store, take)
    masks = arm_of(training).masks(ticket, draw_of(training, network, store))
    _check_as_many(training, ticket, masks)
    return masks


def rewind(training: Training, masks: Masks, network: Network, store: Store) -> InitialState:
    """Makes what a training starts from: its arm's weights, and what goes with them.

    Args:
        training: the training.
        masks: its masks.
        network: the experiment's network.
        store: has what finished trainings have left.

    Raises:
        UserError: if a file that is needed is damaged.
    """
    draw = draw_of(training, network, store)
    earlier = Earlier(training, network.experiment, store)
    rewinding = rewinding_for(training, network.experiment)

    def ticket() -> Arrays:
        if network.experiment.parent(training):
            return rewinding.weights(earlier, masks)
        theta_0 = network.theta_0(training.replicate, store)
        from_ticket = training.level and network.experiment.is_transfer
        return network.fitted_ticket.weights(theta_0) if from_ticket else theta_0

    return InitialState(
        iteration=rewinding.iteration,
        weights=arm_of(training).weights(ticket, masks, draw),
        masks=masks,
        schedule=rewinding.schedule(earlier),
        optimizer=rewinding.optimizer(earlier),
    )


def _pruned(training: Training, network: Network, store: Store, take: Take) -> Masks:
    parent = network.experiment.parent(training)
    before = store.read_masks(parent) if parent else network.dense_masks()
    _check_same_kernels(before, network, store)
    if network.experiment.strategy in DRAWN_EARLY:
        masks = early_masks(training, network, store)
    else:
        rounds = training.level - (parent.level if parent else 0)
        inverted = arm_of(training).inverts_criterion
        masks = Ranking(training, network, store, take, inverted).prune(before, rounds)
    planned = network.experiment.plans_counts
    check_pruned(before, masks, network.remaining[training.level] if planned else None)
    return masks


def arm_of(training: Training) -> Arm:
    """Returns a training's arm; the dense network's has no name, and is as `Arm` stands."""
    return Arm() if training.arm == DENSE else ARMS[training.kind]()


def draw_of(training: Training, network: Network, store: Store | None = None) -> Draw:
    """Returns where a training's arm takes its randomness from.

    Args:
        training: the training.
        network: the experiment's network.
        store: has what finished trainings have left; None has theta_0 drawn.
    """
    streams = Streams(network.experiment.seed, training.replicate)
    theta_0 = functools.partial(network.theta_0, training.replicate, store)
    return Draw(streams, training.level, training.draw, network.initial_weights, theta_0)


def _check_same_kernels(masks: Masks, network: Network, store: Store) -> None:
    """Checks that a run's masks are of the kernels that are pruned now."""
    if masks.keys() != (names := network.dense_masks().keys()):
        others = ", ".join(sorted(masks.keys() ^ names))
        raise UserError(
            f"{store.folder}: cannot be continued: its masks were made by an earlier version, "
            f"which did not prune the same kernels ({others}); give this run another --name"
        )


def _check_as_many(training: Training, ticket: Masks, masks: Masks) -> None:
    """Checks that an arm's masks are the level's in shape and number, as its density says."""
    found, wanted = ({n: (m.shape, m.dtype) for n, m in a.items()} for a in (masks, ticket))
    kept, expected = (sum(np.count_nonzero(m) for m in each.values()) for each in (masks, ticket))
    if found != wanted or kept != expected:
        raise UserError(
            f"--arms={training.kind}: its masks must be boolean arrays of the ticket's kernels and "
            f"shapes, and keep {expected:,} weights at level {training.level}; they keep {kept:,}"
        )
