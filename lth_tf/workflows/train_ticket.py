"""Transfer: an experiment that trains a ticket from a file on another task, or for longer."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lth_tf import data, models
from lth_tf.data import UserData
from lth_tf.errors import UserError
from lth_tf.formats.ticket import Ticket
from lth_tf.importing import allow, name_of
from lth_tf.lottery.inputs import Inputs, inputs_of, with_data
from lth_tf.models.user_model import ModelFunction
from lth_tf.recipe import IN_PYTHON, Recipe
from lth_tf.runs.experiment import TICKET, TRANSFER, Experiment
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store
from lth_tf.workflows.find_tickets import Found
from lth_tf.workflows.run_experiment import run_experiment

_OF_PRUNING = [
    *("rounds", "strategy"),
    *(f.name for f in dataclasses.fields(Recipe) if f.metadata["group"] == "pruning"),
]


def load_ticket(path: Path, run: Path | None = None) -> Ticket:
    """Reads a ticket's file, or, where that is gone, the copy in a run that was begun with it.

    Args:
        path: the file.
        run: the run directory, where it is known.

    Raises:
        UserError: if the file is missing or no ticket.
    """
    copy = Store(run).ticket_path if run else None
    if not path.exists():
        if copy and copy.exists():
            return Ticket.load(copy)
        raise UserError(
            f"--from_ticket={path}: there is no such file; a run that was begun with it has a "
            "copy, ticket.safetensors"
        )
    return Ticket.load(path)


def transfer(ticket: Ticket, changes: Mapping[str, Any], **how: Any) -> Experiment:
    """Returns the experiment that trains a ticket by its own recipe, but for some changes.

    Nothing is pruned or rewound: every training begins at iteration 0. Its level is the ticket's,
    or 1 where that is not known or 0. With the seed and replicate that the ticket was found with,
    the dense network starts from the weights that the ticket was cut out of.

    Args:
        ticket: the ticket.
        changes: fields of the recipe; a data set's own changes count where it is another.
        **how: replicates, seed, arms and reinits of the `Experiment`.

    Raises:
        UserError: if a field cannot be changed, or its value is wrong.
    """
    recipe = ticket.recipe
    for name in _OF_PRUNING:
        if name in changes:
            raise UserError(f"--{name}: must be left out with --from_ticket, which prunes nothing")
    name = changes.get("model", recipe.model)
    if name != recipe.model and {name, recipe.model} & models.NETWORKS.keys():
        raise UserError(f"--model={name}: must be {recipe.model}, the ticket's, or be left out")
    level = ticket.metadata.get("level")
    dataset = changes.get("dataset", recipe.dataset)
    overrides = data.recipe_overrides(dataset) if dataset != recipe.dataset else {}
    return Experiment(
        recipe=recipe.override(**{**overrides, **changes, "rewind": "0", "search_iterations": 0}),
        rounds=max(1, level) if isinstance(level, int) else 1,
        strategy=TRANSFER,
        ticket=ticket.checksum,
        **how,
    )


def train_ticket(
    ticket: Ticket | Path | str,
    model_fn: ModelFunction | None = None,
    train: Any = None,
    validation: Any = None,
    test: Any = None,
    *,
    replicates: int = 1,
    arms: Sequence[str] = (TICKET,),
    reinits: int = 1,
    seed: int = 0,
    higher_is_better: bool | None = None,
    metric: str | None = None,
    folder: Path | str | None = None,
    settings: Settings | None = None,
    report: bool = True,
    **changes: Any,
) -> Found:
    """Trains a ticket by its own recipe, but for some changes, beside the dense network.

    Args:
        ticket: the ticket, or its file.
        model_fn: makes the network, where the recipe's `model` does not find it; see
            `find_tickets`. Its weights have the ticket's names and shapes; the layers that give
            its outputs may have another number of them.
        train: the data, where the recipe's `dataset` does not find them; see `find_tickets`.
        validation: likewise.
        test: likewise.
        replicates: repetitions, each with an order of its own; the ticket is the same in all.
        arms: what the ticket's mask is trained with: "ticket", and controls such as "reinit".
        reinits: draws of each control.
        seed: the seed that all randomness comes from.
        higher_is_better: whether more of the model's metric is better; see `find_tickets`.
        metric: the name of the metric that it is judged by; see `find_tickets`.
        folder: the run directory; runs/NAME by default.
        settings: how to run: jobs, devices and so on.
        report: whether to draw the report at the end; see `find_tickets`.
        **changes: fields of the recipe, such as `dataset="mnist"` or `optimizer="sgd"`.

    Returns:
        The run directory, opened: level 0 is the dense network, the other level the ticket's.

    Raises:
        UserError: if the ticket does not fit, or as `find_tickets` does.
    """
    ticket = ticket if isinstance(ticket, Ticket) else Ticket.load(ticket)
    if model_fn:
        changes["model"] = name_of(model_fn)
    allow(*changes.values())
    user_data = None
    if train is not None:
        changes.setdefault("dataset", IN_PYTHON)
        user_data = UserData.of(train, validation, test)
    experiment = transfer(
        ticket, changes, replicates=replicates, arms=tuple(arms), reinits=reinits, seed=seed
    )
    found = Inputs(data=user_data) if user_data else inputs_of(experiment.recipe)
    inputs = Inputs(model_fn, found.data, ticket, higher_is_better, metric)
    experiment = with_data(experiment, inputs)
    folder = Path("runs") / experiment.name if folder is None else Path(folder)
    run_experiment(experiment, folder, settings, inputs=inputs, report=report)
    return Found(folder, model_fn, inputs.data)
