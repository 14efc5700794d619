"""Preview: what an experiment would do, for --dry_run."""

import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lth_tf.formats.ticket import Ticket
from lth_tf.lottery.inputs import Inputs
from lth_tf.lottery.network import Network
from lth_tf.lottery.rewinding import rewinding_for
from lth_tf.paper.recipes import RECIPES, paper_recipe
from lth_tf.recipe import Recipe
from lth_tf.runs.experiment import Experiment, Training, make_plan
from lth_tf.runs.store import Store
from lth_tf.workflows.check_network import check_network
from lth_tf.workflows.cost import cost_of_training


def print_preview(
    experiment: Experiment, folder: Path, data_dir: str | None, console: Console, inputs: Inputs
) -> None:
    """Prints an experiment's recipe, its plan with densities, and what it will take.

    Args:
        experiment: the experiment.
        folder: its run directory; trainings that are finished there are marked.
        data_dir: TFDS's folder, its own default if None.
        console: where to print.
        inputs: what the experiment has besides its recipe.

    Raises:
        UserError: if the recipe does not fit the data set or the network.
    """
    recipe = experiment.recipe
    info = inputs.info(recipe, data_dir)
    network = Network.of(experiment, info, inputs)
    network.check()
    notes = check_network(network, inputs.data) if inputs.data else []
    store = Store(folder)
    plan = make_plan(experiment)
    done = {training for training in plan if store.is_done(training)}
    console.print(_recipe_table(recipe.to_json(), *_compared(recipe, inputs.ticket)))
    console.print(_plan_table(network, experiment))
    console.print(network.coverage.text, style="yellow" if network.coverage.is_little else None)
    for line in (*notes, *(network.fitted_ticket.notes if inputs.ticket else ())):
        console.print(line)
    expected = cost_of_training(
        network, [store.result(training) for training in plan if training in done]
    )
    left = len(plan) - len(done)
    console.print(
        f"{folder}: {len(plan)} trainings, {left} of them to run, "
        f"{recipe.iterations:,} iterations each\n"
        f"about {datetime.timedelta(seconds=round(expected.seconds * left))} in all, by "
        f"{expected.source}; {expected.bytes * left / 1e6:,.0f} MB on disk",
        soft_wrap=True,
    )


def _compared(recipe: Recipe, ticket: Ticket | None) -> tuple[dict[str, Any], str]:
    """Returns the recipe that this one is shown beside, and what it is."""
    if ticket:
        return ticket.recipe.to_json(), "the ticket's"
    whose = "paper" if recipe.model in RECIPES else "default"
    return paper_recipe(recipe.model).to_json(), whose


def _recipe_table(recipe: dict[str, Any], other: dict[str, Any], whose: str) -> Table:
    table = Table(title="recipe", title_justify="left", header_style="bold")
    for title in ("field", "value", whose):
        table.add_column(title)
    for name, value in recipe.items():
        changed = value != other[name]
        table.add_row(name, _text(value), _text(other[name]), style="yellow" if changed else None)
    return table


def _plan_table(network: Network, experiment: Experiment) -> Table:
    table = Table(title="plan, for each replicate", title_justify="left", header_style="bold")
    coverage = network.coverage
    titles = ["level", "arm", "density", "remaining", "iterations"]
    if not coverage.is_whole:
        titles.append("of all kernels")
    for title in titles:
        table.add_column(title, justify="left" if title == "arm" else "right")
    for level in experiment.levels:
        for arm in experiment.arms_of(level):
            first = rewinding_for(Training(0, level, arm), experiment).iteration
            of_all = coverage.density_of_all(network.density(level))
            table.add_row(
                str(level),
                arm,
                f"{network.density(level):.2%}",
                f"{network.remaining[level]:,}",
                f"{first:,} to {experiment.recipe.iterations:,}",
                *([] if coverage.is_whole else [f"{of_all:.2%}"]),
            )
    return table


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join("=".join(map(str, v)) if isinstance(v, list) else str(v) for v in value)
    return str(value)
