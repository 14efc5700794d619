"""Fitted ticket: a ticket's masks and weights as they fit the network of another task.

What the ticket has is taken over to the bit. What it has not is drawn: the weights that its masks
prune, which only a control with another mask trains, and an output layer for another number of
classes.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.errors import UserError
from lth_tf.formats.ticket import Ticket
from lth_tf.pruning.kernels import Kernel


@dataclasses.dataclass(frozen=True)
class FittedTicket:
    """A ticket in another task's network.

    Attributes:
        masks: boolean masks by kernel name; those of fresh output layers are all ones.
        fresh: output layers of another shape than the ticket's.
        notes: a line on each of them.
        kept: the ticket's weights by name, without those of fresh layers.
    """

    masks: Arrays
    fresh: tuple[str, ...]
    notes: tuple[str, ...]
    kept: Arrays

    def weights(self, initial: Mapping[str, np.ndarray]) -> Arrays:
        """Returns the ticket's weights where it has them, initial ones elsewhere.

        Args:
            initial: freshly drawn weights of the network by name.
        """
        found = dict(initial)
        for name, kept in self.kept.items():
            mask = self.masks.get(name, True)
            found[name] = np.where(mask, kept.astype(initial[name].dtype), initial[name])
        return found


def fit_ticket(
    ticket: Ticket, kernels: Sequence[Kernel], initial: Mapping[str, np.ndarray]
) -> FittedTicket:
    """Fits a ticket to a network.

    Args:
        ticket: the ticket.
        kernels: the network's kernels.
        initial: its weights by name, whatever their values.

    Raises:
        UserError: if it does not fit, in more than the number of its outputs; names the weight.
    """
    _check_names(ticket, kernels, initial)
    outputs = {_layer(kernel.name) for kernel in kernels if kernel.kind == "output"}
    fresh = []
    for name, weight in initial.items():
        there, here = ticket.weights[name].shape, weight.shape
        if there == here:
            continue
        if _layer(name) not in outputs or there[:-1] != here[:-1]:
            raise UserError(
                f"{name}: must have shape {there} as in the ticket, found {here} in the network "
                "of the new task; only the number of classes may be another"
            )
        fresh.append(_layer(name))
    fresh = list(dict.fromkeys(fresh))
    masks = {}
    for kernel in kernels:
        mask = ticket.masks.get(kernel.name)
        dense = mask is None or _layer(kernel.name) in fresh
        masks[kernel.name] = np.ones(kernel.shape, bool) if dense else mask
    return FittedTicket(
        masks=masks,
        fresh=tuple(fresh),
        notes=tuple(_note(layer, ticket, initial) for layer in fresh),
        kept={name: a for name, a in ticket.weights.items() if _layer(name) not in fresh},
    )


def _layer(name: str) -> str:
    return name.rsplit("/", 1)[0]


def _note(layer: str, ticket: Ticket, initial: Mapping[str, np.ndarray]) -> str:
    name = f"{layer}/kernel"
    there, here = (arrays[name].shape[-1] for arrays in (ticket.weights, initial))
    return f"The layer {layer} is fresh and dense: it has {here} outputs, the ticket's has {there}."


def _check_names(
    ticket: Ticket, kernels: Sequence[Kernel], initial: Mapping[str, np.ndarray]
) -> None:
    for name in initial:
        if name not in ticket.weights:
            raise UserError(f"{name}: the network has this weight, the ticket has not")
    for name in ticket.weights:
        if name not in initial:
            raise UserError(f"{name}: the ticket has this weight, the network has not")
    known = {kernel.name for kernel in kernels}
    for name in ticket.masks:
        if name not in known:
            raise UserError(f"{name}: the ticket has a mask for it, but it is no kernel")
