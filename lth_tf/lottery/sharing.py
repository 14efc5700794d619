"""Sharing what a training starts from: the chief alone has it, and tells the other workers."""

from lth_tf.arrays import flatten, nest
from lth_tf.training.initial_state import InitialState
from lth_tf.training.state import GROUPS, State
from lth_tf.training.team import Team

_INITIAL = ("initial", "masks", "slots")


def share(
    team: Team, initial: InitialState | None, state: State | None
) -> tuple[InitialState, State | None]:
    """Returns what the chief starts from, and its state to go on from, on every worker of a team.

    Args:
        team: the workers.
        initial: what the training starts from; only the chief need give it.
        state: the state of an interrupted training, likewise.
    """
    if team.size == 1:
        return initial, state
    groups, record = {}, None
    if initial:
        slots = initial.optimizer or {}
        groups = {"initial": initial.weights, "masks": initial.masks, "slots": slots}
        groups |= state.arrays if state else {}
        record = [initial.iteration, initial.schedule, state and state.record()]
    arrays, (iteration, schedule, state_record) = team.share_arrays(flatten(groups), record)
    groups = nest(arrays, (*_INITIAL, *GROUPS))
    weights, masks, slots = (groups.pop(name) for name in _INITIAL)
    initial = InitialState(iteration, weights, masks, schedule, slots or None)
    return initial, state_record and State.of(state_record, groups)
