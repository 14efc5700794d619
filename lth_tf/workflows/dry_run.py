"""Preview: what experiments would do, for --dry_run."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lth_tf.formats.ticket import Ticket
from lth_tf.lottery.inputs import Inputs, inputs_of
from lth_tf.lottery.network import Network
from lth_tf.lottery.rewinding import rewinding_for
from lth_tf.paper.recipes import RECIPES, paper_recipe
from lth_tf.recipe import Recipe
from lth_tf.runs.experiment import Experiment, Training, make_plan
from lth_tf.runs.store import Store
from lth_tf.workflows.check_network import check_network
from lth_tf.workflows.cost import Speed, cost_of_training
from lth_tf.workflows.run_experiments import Planned
from lth_tf.workflows.simulation import critical_path, time_taken


@dataclasses.dataclass(frozen=True)
class Forecast:
    """What is left of an experiment, and what it will take.

    Attributes:
        network: its network.
        folder: its run directory.
        name: what it is called beside others.
        trainings: the number of all its trainings.
        seconds: of each that is left, in the plan's order.
        bytes: that those will leave on disk.
        source: where the times come from.
    """

    network: Network
    folder: Path
    name: str
    trainings: int
    seconds: Mapping[Training, float]
    bytes: int
    source: str

    @property
    def total(self) -> float:
        """The seconds of all that is left, one training after another."""
        return sum(self.seconds.values())

    @property
    def critical_path(self) -> float:
        """The seconds of its longest chain of trainings that need each other."""
        return critical_path(self.seconds, self.network.experiment.parent)


def forecast(planned: Planned, speed: Speed | None = None) -> Forecast:
    """Finds what is left of an experiment, and what it will take.

    Args:
        planned: the experiment.
        speed: how fast its trainings are; this machine's by default.

    Raises:
        UserError: if the recipe does not fit the data set or the network, or the folder has another
            experiment.
    """
    experiment, recipe = planned.experiment, planned.experiment.recipe
    inputs = planned.inputs or inputs_of(recipe)
    info = inputs.info(recipe, planned.settings.data_dir)
    network = Network.of(experiment, info, inputs)
    network.check()
    store = Store(planned.folder)
    store.check(experiment, info, network.described)
    plan = make_plan(experiment)
    shares = {
        training: 1 - rewinding_for(training, experiment).iteration / recipe.iterations
        for training in plan
    }
    done = sorted(training for training in plan if store.is_done(training))
    # What those would have taken from iteration 0.
    known = [store.result(training).seconds / shares[training] for training in done]
    cost = cost_of_training(network, known, speed)
    seconds = {t: share * cost.seconds for t, share in shares.items() if t not in done}
    size = cost.bytes * len(seconds)
    return Forecast(network, planned.folder, planned.name, len(plan), seconds, size, cost.source)


def print_preview(planned: Planned, console: Console) -> None:
    """Prints an experiment's recipe, its plan with densities, and what it will take.

    Args:
        planned: the experiment; trainings that are finished in its folder are known.
        console: where to print.

    Raises:
        UserError: see `forecast`.
    """
    recipe, inputs = planned.experiment.recipe, planned.inputs or Inputs()
    expected = forecast(planned)
    network = expected.network
    notes = check_network(network, inputs.data) if inputs.data else []
    console.print(_recipe_table(recipe.to_json(), *_compared(recipe, inputs.ticket)))
    console.print(_plan_table(network, planned.experiment))
    console.print(network.coverage.text, style="yellow" if network.coverage.is_little else None)
    for line in (*notes, *(network.fitted_ticket.notes if inputs.ticket else ())):
        console.print(line)
    console.print(
        f"{planned.folder}: {expected.trainings} trainings, {len(expected.seconds)} of them to "
        f"run, {recipe.iterations:,} iterations each\n"
        f"about {_time(expected.total)} in all, by {expected.source}; "
        f"{expected.bytes / 1e6:,.0f} MB on disk\n"
        f"at least {_time(expected.critical_path)} however many run at once: the longest chain of "
        "trainings that need each other",
        soft_wrap=True,
    )


@dataclasses.dataclass(frozen=True)
class Room:
    """Where a sweep could run.

    Attributes:
        trainings: how many of its trainings at the same time.
        machines: on how many machines; None where that is not known.
    """

    trainings: int
    machines: int | None = None


def print_sweep(forecasts: Sequence[Forecast], rooms: Sequence[Room], console: Console) -> None:
    """Prints what several experiments will take, together and each, and on how many workers.

    Args:
        forecasts: the experiments.
        rooms: where they could run.
        console: where to print.
    """
    console.print(_experiments_table(forecasts))
    seconds = {(f.folder, t): taken for f in forecasts for t, taken in f.seconds.items()}
    experiments = {f.folder: f.network.experiment for f in forecasts}

    def need(item: tuple[Path, Training]) -> tuple[Path, Training | None]:
        return item[0], experiments[item[0]].parent(item[1])

    total = sum(seconds.values())
    table = _new_table("simulated, from one queue")
    for title in ("trainings at once", "takes", "worker-hours", "busy", "machines", "node-hours"):
        table.add_column(title, justify="right")
    for room in rooms:
        taken = time_taken(seconds, need, room.trainings)
        hours = taken / 3600
        table.add_row(
            f"{room.trainings:,}",
            _time(taken),
            f"{hours * room.trainings:,.1f}",
            f"{total / (taken * room.trainings):.0%}" if taken else "",
            f"{room.machines:,}" if room.machines else "",
            f"{hours * room.machines:,.1f}" if room.machines else "",
        )
    console.print(table)
    for source in dict.fromkeys(f.source for f in forecasts if f.seconds):
        console.print(f"Times by {source}.", soft_wrap=True)


def _experiments_table(forecasts: Sequence[Forecast]) -> Table:
    table = _new_table("experiments")
    for title in ("experiment", "trainings", "to run", "in turn", "critical path", "GB"):
        table.add_column(title, justify="left" if title == "experiment" else "right")

    def add(name: str, each: Sequence[Forecast], critical: float, **how: Any) -> None:
        table.add_row(
            name,
            f"{sum(f.trainings for f in each):,}",
            f"{sum(len(f.seconds) for f in each):,}",
            _time(sum(f.total for f in each)),
            _time(critical),
            f"{sum(f.bytes for f in each) / 1e9:,.2f}",
            **how,
        )

    for each in forecasts:
        add(each.name, [each], each.critical_path)
    table.add_section()
    add("together", forecasts, max(f.critical_path for f in forecasts), style="bold")
    return table


def _new_table(title: str) -> Table:
    return Table(title=title, title_justify="left", header_style="bold")


def _time(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))


def _compared(recipe: Recipe, ticket: Ticket | None) -> tuple[dict[str, Any], str]:
    """Returns the recipe that this one is shown beside, and what it is."""
    if ticket:
        return ticket.recipe.to_json(), "the ticket's"
    whose = "paper" if recipe.model in RECIPES else "default"
    return paper_recipe(recipe.model).to_json(), whose


def _recipe_table(recipe: dict[str, Any], other: dict[str, Any], whose: str) -> Table:
    table = _new_table("recipe")
    for title in ("field", "value", whose):
        table.add_column(title)
    for name, value in recipe.items():
        changed = value != other[name]
        table.add_row(name, _text(value), _text(other[name]), style="yellow" if changed else None)
    return table


def _plan_table(network: Network, experiment: Experiment) -> Table:
    table = _new_table("plan, for each replicate")
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
