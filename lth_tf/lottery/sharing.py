"""Sharing what a training starts from: the chief has it, and sends it to the other workers."""

from lth_tf.arrays import flatten, nest
from lth_tf.training.initial_state import InitialState
from lth_tf.training.process_group import ProcessGroup
from lth_tf.training.state import ARRAY_GROUPS, State

_INITIAL = ("initial", "initial_masks", "slots")


def share(
    process_group: ProcessGroup, initial: InitialState | None, state: State | None
) -> tuple[InitialState, State | None]:
    """Returns what the chief starts from, and its state to go on from, on every worker.

    Args:
        process_group: the workers.
        initial: what the training starts from; only the chief need give it.
        state: the state of an interrupted training, likewise.
    """
    if process_group.size == 1:
        return initial, state
    groups, record = {}, None
    if initial:
        slots = initial.optimizer or {}
        of_initial = (initial.weights, initial.masks, slots)
        groups = dict(zip(_INITIAL, of_initial, strict=True))
        groups |= state.arrays if state else {}
        record = [initial.iteration, initial.schedule, state and state.record()]
    arrays, (iteration, schedule, state_record) = process_group.share_arrays(
        flatten(groups), record
    )
    groups = nest(arrays, (*_INITIAL, *ARRAY_GROUPS))
    weights, masks, slots = (groups.pop(name) for name in _INITIAL)
    initial = InitialState(iteration, weights, masks, schedule, slots or None)
    return initial, state_record and State.of(state_record, groups)
