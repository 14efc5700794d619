"""Sharing the start of a training: the chief, who alone has the run directory, tells the others."""

from lth_tf.arrays import flatten, nest
from lth_tf.training.start import Start
from lth_tf.training.state import GROUPS, State
from lth_tf.training.team import Team

_OF_START = ("start", "masks", "slots")


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
        groups = {"start": start.weights, "masks": start.masks, "slots": start.optimizer or {}}
        groups |= state.arrays if state else {}
        record = [start.iteration, start.schedule, state and state.record()]
    arrays, (iteration, schedule, state_record) = team.share_arrays(flatten(groups), record)
    groups = nest(arrays, (*_OF_START, *GROUPS))
    weights, masks, slots = (groups.pop(name) for name in _OF_START)
    start = Start(iteration, weights, masks, schedule, slots or None)
    return start, state_record and State.of(state_record, groups)
