"""Background: a run's recipe and how it differs from the paper's, its hardware and its time."""

import dataclasses
import shlex
from typing import Any

from lth_tf.analysis.pages.table import Table
from lth_tf.paper.recipes import RECIPES, differences, plain
from lth_tf.recipe import Recipe
from lth_tf.runs.run import Run


def setting_of(run: Run) -> str:
    """Says in a line what was trained."""
    experiment, recipe = run.experiment, run.experiment.recipe
    count = experiment.replicates
    return ", ".join(
        (
            f"{recipe.model} on {recipe.dataset}",
            experiment.strategy.replace("_", "-"),
            f"{recipe.iterations:,} iterations",
            f"{count} replicate{'s' if count > 1 else ''}",
        )
    )


def recipe_table(run: Run) -> Table:
    """Returns the recipe beside the paper's for the network, or the ticket's, and other fields."""
    experiment, recipe = run.experiment, run.experiment.recipe
    whose = "the ticket" if run.ticket else "the paper"
    other = run.ticket.recipe if run.ticket else RECIPES.get(recipe.model)
    fields = [field.name for field in dataclasses.fields(Recipe)]
    differing = differences(recipe, other) if other else []
    rows = [
        [name, plain(getattr(recipe, name)), plain(getattr(other, name)) if other else ""]
        for name in fields
    ]
    for name in ("strategy", "rounds", "replicates", "arms", "reinits", "seed"):
        rows.append([name, plain(getattr(experiment, name)), ""])
    if other is None:
        note = "The paper has no recipe for this network."
    elif differing:
        changes = ", ".join(
            f"{name} ({plain(getattr(recipe, name))}, not {plain(getattr(other, name))})"
            for name in differing
        )
        note = f"It differs from {whose}'s in {changes}."
    else:
        note = f"It is {whose}'s."
    marked = [i for i, name in enumerate(fields) if name in differing]
    return Table("Recipe", ["field", "this run", whose], rows, note, marked)


def runtime_table(run: Run) -> Table:
    """Returns with which commands, on what, and for how long the run was trained."""
    seconds = sum(result.seconds for result in run.results)
    rows = [
        ["trainings", f"{len(run.results)} of {run.planned}"],
        ["time in trainings", _duration(seconds)],
    ]
    if run.results:
        rows.append(["time per training", _duration(seconds / len(run.results))])
    for number, start in enumerate(run.starts, 1):
        which = f", start {number}" if len(run.starts) > 1 else ""
        rows += [[f"{name}{which}", text] for name, text in _start_rows(start) if text]
    return Table("Hardware, time and command", ["", ""], rows)


def _start_rows(start: dict[str, Any]) -> list[tuple[str, str]]:
    settings, flags = start.get("settings", {}), start.get("flags", [])
    # Without flags it may have been a function in Python.
    command = shlex.join(["python", "-m", "lth_tf.main", *flags]) if flags else ""
    return [
        ("command", command),
        ("begun", str(start.get("time", ""))),
        ("hardware", _hardware(start.get("hardware", {}))),
        ("settings", ", ".join(f"{k} {v}" for k, v in settings.items() if v is not None)),
        ("versions", ", ".join(f"{k} {v}" for k, v in start.get("versions", {}).items())),
        ("git revision", start.get("git_revision") or ""),
    ]


def _hardware(hardware: dict[str, Any]) -> str:
    known = []
    if "processor" in hardware:
        known.append(str(hardware["processor"]))
    if "cores" in hardware:
        known.append(f"{hardware['cores']} cores")
    if "memory_gib" in hardware:
        known.append(f"{hardware['memory_gib']} GiB of memory")
    if "gpus" in hardware:
        known.append(", ".join(hardware["gpus"]) or "no GPU")
    return ", ".join(known)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
