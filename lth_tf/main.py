"""python -m lth_tf.main: runs an experiment, or continues it."""

if __name__ == "__main__":  # before what takes long to import
    from lth_tf.terminal import end_quietly

    end_quietly()

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from lth_tf import commandline
from lth_tf.arms import ARMS
from lth_tf.data.augmentations import AUGMENTATIONS
from lth_tf.data.sources.embedded import EMBEDDED
from lth_tf.errors import UserError
from lth_tf.lottery.rewinding import REWINDINGS
from lth_tf.lottery.schedulers.processes import import_ahead
from lth_tf.models import NETWORKS
from lth_tf.paper.recipes import paper_recipe
from lth_tf.pruning.criteria import CRITERIA
from lth_tf.pruning.densities import DENSITIES
from lth_tf.recipe import AUTO, IN_PYTHON, Recipe
from lth_tf.runs.experiment import (
    AT_INIT,
    EARLY_BIRD,
    EARLY_BIRD_FILTERS,
    ONE_SHOT,
    Experiment,
    strategies,
)
from lth_tf.terminal import Terminal
from lth_tf.training.mask_schedules import MASK_SCHEDULES

if TYPE_CHECKING:
    from lth_tf.formats.ticket import Ticket
    from lth_tf.runs.settings import Settings
    from lth_tf.workflows.run_experiments import Planned

USAGE = """\
Finds lottery tickets: trains a network, prunes its smallest weights, rewinds the rest, repeats.

  python -m lth_tf.main --flagfile=flags/quickstart.flags
  python -m lth_tf.main --model=resnet18 --rounds=20
  python -m lth_tf.main --from_ticket=ticket.safetensors --dataset=mnist

The same command continues a run that was stopped.
"""

_RECIPE_GROUP = "{} (default: the paper's recipe for the network)"


def define_flags(values: flags.FlagValues) -> commandline.FlagGroups:
    """Defines this binary's flags; returns their names by group."""
    groups: commandline.FlagGroups = {}
    for field in dataclasses.fields(Recipe):
        _define_recipe_flag(values, field)
        title = _RECIPE_GROUP.format(field.metadata["group"].capitalize())
        names = groups.setdefault(title, [])
        names.append(field.name)
        for alias in commandline.FORMER_NAMES.get(field.name, ()):
            flags.DEFINE_alias(alias, field.name, flag_values=values)
            names.append(alias)
    values["rewind"].help += f" By name: {commandline.choices_text(REWINDINGS)}"
    values["dataset"].help += f" Embedded: {', '.join(EMBEDDED)}."
    values["augment"].help += f" One of {', '.join(AUGMENTATIONS)}, or your own."
    values["model"].help += f" One of {', '.join(NETWORKS)}, or your own."
    values["precision"].help += f" {AUTO}: the faster of the first two here, by a short trial."
    common: dict[str, Any] = {"flag_values": values}
    flags.DEFINE_enum(
        "strategy", "iterative", strategies(), _strategy_help(), **common,
    )  # fmt: skip
    flags.DEFINE_integer("rounds", 10, "Levels after the dense network.", **common)
    flags.DEFINE_list(
        "arms",
        ["ticket"],
        f"What each level's mask is trained with: {commandline.choices_text(ARMS)}",
        **common,
    )
    flags.DEFINE_integer("reinits", 1, "Draws of each control in each replicate.", **common)
    flags.DEFINE_integer("replicates", 1, "Repetitions with random streams of their own.", **common)
    flags.DEFINE_integer("seed", 0, "The seed that all randomness comes from.", **common)
    flags.DEFINE_bool(
        "higher_is_better", None, "Whether more of a metric of one's own is better; it must be "
        "said of one that is none of Keras's.", **common,
    )  # fmt: skip
    flags.DEFINE_string(
        "metric", None, "Metric of a model of one's own that tickets are judged by, by name. "
        "Default: the first that it is compiled with.", **common,
    )  # fmt: skip
    flags.DEFINE_string(
        "from_ticket", None, "Ticket file to train by its own recipe, but for the flags that are "
        "given, beside the dense network.", **common,
    )  # fmt: skip
    flags.DEFINE_string(
        "data_dir", None, "TFDS's folder. Default: $TFDS_DATA_DIR, or ~/tensorflow_datasets.",
        **common,
    )  # fmt: skip
    flags.DEFINE_string("runs_dir", "runs", "Folder of run directories.", **common)
    flags.DEFINE_string(
        "name", None, "Run directory's name. Default: made of the recipe and the seed.", **common
    )
    flags.DEFINE_enum(
        "distribution", "none", ["none", "mirrored", "multi_worker"], "Devices by tf.distribute.",
        **common,
    )  # fmt: skip
    flags.DEFINE_enum("xla", "auto", ["auto", "on", "off"], _XLA_HELP, **common)
    flags.DEFINE_string(
        "jobs", "1", "Trainings that run at the same time, in processes of their own, or auto.",
        **common,
    )  # fmt: skip
    flags.DEFINE_string(
        "cluster", None, "Ray cluster whose machines run the trainings, instead of --jobs: its "
        "address, as in host:6379, or auto for the one that this machine belongs to.", **common,
    )  # fmt: skip
    flags.DEFINE_float(
        "gpu_share", 1.0, "With --cluster, the share of a GPU that each training has where there "
        "are any, as in 0.25.", **common,
    )  # fmt: skip
    flags.DEFINE_integer(
        "threads", 0, "Threads of each process; 0 shares the cores out among the jobs, and is one "
        "thread with --cluster.", **common,
    )  # fmt: skip
    flags.DEFINE_float(
        "checkpoint_every", 180.0, "Seconds between checkpoints inside a training.",
        lower_bound=0, **common,
    )  # fmt: skip
    flags.DEFINE_bool("dry_run", False, "Print the plan and an estimate; run nothing.", **common)
    flags.DEFINE_bool("report", True, "Draw the report at the end.", **common)
    flags.DEFINE_bool(
        "export_saved_model", False, "Export the network of each training, controls' too, as a "
        "SavedModel.", **common,
    )  # fmt: skip
    judging = ("metric", "higher_is_better")
    groups["Experiment"] = ["from_ticket", "strategy", "rounds", *_EXPERIMENT, *judging]
    grouped = {name for names in groups.values() for name in names}
    groups["Run"] = [name for name in values if name not in grouped]
    return groups


_CHOICES = {"criterion": CRITERIA, "scope": DENSITIES}
_OF_CLUSTER = ("cluster", "gpu_share")
_EXPERIMENT = ("arms", "reinits", "replicates", "seed")
_XLA_HELP = (
    "Compile the training loop with XLA; auto does so on GPUs, and on CPUs for "
    "networks without convolutions."
)


def _strategy_help() -> str:
    """Returns the help of `--strategy`, that of the mask schedules among it."""
    known = {
        "iterative": "each level's ticket is pruned to the next",
        ONE_SHOT: "the dense network is pruned once to each level's density",
        AT_INIT: "the initial weights are pruned to each level's density before anything is "
        "trained, all kernels together unless --scope is given",
        EARLY_BIRD: "the dense network is pruned while it trains, as soon as masks hardly change "
        "from epoch to epoch (You et al. 2020)",
        EARLY_BIRD_FILTERS: "likewise, whole filters at a time, ranked by batch normalisation's "
        "scales",
    }
    known |= {n: MASK_SCHEDULES[n].help for n in strategies() if n in MASK_SCHEDULES}
    return "; ".join(f"{name}: {text}" for name, text in known.items()) + "."


def _define_recipe_flag(values: flags.FlagValues, field: dataclasses.Field) -> None:
    text = field.metadata["help"]
    if field.name == "model":
        flags.DEFINE_string("model", "lenet", text, flag_values=values)
        return
    if field.name in _CHOICES:
        choices = _CHOICES[field.name]
        flags.DEFINE_enum(field.name, None, list(choices), text, flag_values=values)
        values[field.name].help = f"{text} {commandline.choices_text(choices)}"
        return
    define = {int: flags.DEFINE_integer, float: flags.DEFINE_float, str: flags.DEFINE_string}
    make = define.get(field.type, flags.DEFINE_list)
    make(field.name, None, text, flag_values=values)


def recipe_from_flags(values: flags.FlagValues) -> Recipe:
    """Returns the network's paper recipe with the data set's, strategy's and the flags' changes.

    Pruning at initialisation ranks all kernels together where no `--scope` is given.

    Rates of single layers come before the network's own, which still hold for other layers.

    Raises:
        UserError: if a value is wrong; the message names the flag.
    """
    from lth_tf import data

    name = values["model"].value
    recipe = paper_recipe(name)
    if recipe.dataset == IN_PYTHON and values["dataset"].value is None:
        raise UserError(f"--dataset: must be given with --model={name}; see --help")
    changes = _recipe_fields(values)
    if "prune_layers" in changes:
        changes["prune_layers"] += recipe.prune_layers
    overrides = data.recipe_overrides(changes.get("dataset", recipe.dataset))
    if values["strategy"].value == AT_INIT:
        overrides = {**overrides, "scope": "global"}
    return recipe.override(**{**overrides, **changes})


def _recipe_fields(values: flags.FlagValues) -> dict[str, Any]:
    """Returns the fields of the recipe that were given."""
    return {
        field.name: _parsed(field, values[field.name].value)
        for field in dataclasses.fields(Recipe)
        if values[field.name].present and not (field.name == "precision" and _tries(values))
    }


def _tries(values: flags.FlagValues) -> bool:
    """Says whether a trial is to choose the precision."""
    return values["precision"].value == AUTO


def _parsed(field: dataclasses.Field, value: Any) -> Any:
    if not isinstance(value, list):
        return value
    try:
        if field.name == "prune_layers":
            pairs = [part.rsplit("=", 1) for part in value]
            return tuple((pattern, float(rate)) for pattern, rate in pairs)
        return tuple(int(part) for part in value)
    except ValueError:
        form = "NAME=RATE,..." if field.name == "prune_layers" else "whole numbers, as in 100,200"
        raise UserError(f"--{field.name}={','.join(value)}: must be {form}") from None


def ticket_from_flags(values: flags.FlagValues) -> "Ticket | None":
    """Returns the ticket of `--from_ticket`; None if there is none.

    Raises:
        UserError: if the file is no ticket.
    """
    file, name = values["from_ticket"].value, values["name"].value
    if file is None:
        return None
    from lth_tf.workflows.train_ticket import load_ticket

    return load_ticket(Path(file), Path(values["runs_dir"].value) / name if name else None)


def experiment_from_flags(values: flags.FlagValues, ticket: "Ticket | None" = None) -> Experiment:
    """Returns the experiment that the flags describe.

    Args:
        values: the parsed flags.
        ticket: that of `--from_ticket`.

    Raises:
        UserError: if a value is wrong; the message names the flag.
    """
    how = {name: values[name].value for name in _EXPERIMENT}
    levels = {name: values[name] for name in ("rounds", "strategy")}
    if ticket is None:
        found = {name: flag.value for name, flag in levels.items()}
        return Experiment(recipe=recipe_from_flags(values), **how, **found)
    from lth_tf.workflows.train_ticket import transfer

    present = {name: flag.value for name, flag in levels.items() if flag.present}
    return transfer(ticket, {**_recipe_fields(values), **present}, **how)


def settings_from_flags(values: flags.FlagValues, width: int) -> "Settings":
    """Returns how the flags say to run an experiment.

    Args:
        values: the parsed flags.
        width: trainings of it that can run at the same time.

    Raises:
        UserError: if a value is wrong; the message names the flag.
    """
    from lth_tf.runs.settings import Settings
    from lth_tf.training.distribution import auto_jobs

    jobs, cluster = values["jobs"].value, values["cluster"].value
    if cluster is not None and values["jobs"].present:
        raise UserError(
            f"--cluster={cluster}: must be left out with --jobs={jobs}; a cluster runs as many "
            "trainings as it has cores or GPUs for"
        )
    if jobs != "auto" and not (jobs.isdecimal() and len(jobs) < 10):
        raise UserError(f"--jobs={jobs}: must be auto or a whole number from 1 to 256")
    # A distributed training has all devices to itself.
    chains = width if values["distribution"].value == "none" else 1
    names = ("data_dir", "distribution", "xla", "checkpoint_every", "threads", *_OF_CLUSTER)
    return Settings(
        jobs=auto_jobs(chains) if jobs == "auto" else int(jobs),
        **{name: values[name].value for name in names},
    )


def planned_from_flags(values: flags.FlagValues, title: str = "", suffix: str = "") -> "Planned":
    """Returns the experiment that the flags describe, with its inputs and folder.

    Args:
        values: the parsed flags.
        title: what it is called beside others, where it has no name of its own.
        suffix: what its run directory's name ends with.

    Raises:
        UserError: if a value is wrong; the message names the flag.
    """
    name = values["name"].value
    if name is not None and (Path(name).name != name or name.startswith(".")):
        raise UserError(f"--name={name}: must be a plain name, without path parts")
    ticket = ticket_from_flags(values)
    experiment = experiment_from_flags(values, ticket)
    from lth_tf.lottery.inputs import inputs_of, with_data
    from lth_tf.workflows.run_experiments import Planned

    judging = (values[name].value for name in ("higher_is_better", "metric"))
    inputs = inputs_of(experiment.recipe, ticket, *judging)
    if values["validation_size"].value is None:
        experiment = with_data(experiment, inputs)

    def folder_of(experiment: Experiment) -> Path:
        return Path(values["runs_dir"].value) / f"{name or experiment.name}{suffix}"

    if _tries(values):
        from lth_tf.lottery.progress import make_console
        from lth_tf.workflows.choose_precision import choose_precision

        settings = settings_from_flags(values, experiment.concurrency)
        say = make_console().print
        tries = not values["dry_run"].value
        experiment = choose_precision(experiment, folder_of, settings, inputs, say, tries=tries)
    return Planned(
        experiment=experiment,
        folder=folder_of(experiment),
        inputs=inputs,
        export_saved_model=values["export_saved_model"].value,
        report=values["report"].value,
        flags=[flag.serialize() for flag in commandline.present_flags(values)],
        title="" if name else title,
    )


def prepare_jobs(values: flags.FlagValues) -> None:
    """Has TensorFlow imported ahead for jobs, if there will be any."""
    if values["jobs"].value != "1" and not values["dry_run"].value:
        import_ahead()


def run(values: flags.FlagValues, terminal: Terminal) -> None:
    """Runs the experiment that the flags describe.

    Args:
        values: the parsed flags.
        terminal: the terminal, which says when to stop, and whose chatter goes to the run's log.

    Raises:
        UserError: for a user's mistake, in one line.
    """
    prepare_jobs(values)
    planned = planned_from_flags(values)
    from lth_tf.lottery.progress import make_console

    console = make_console()
    if values["dry_run"].value:
        from lth_tf.workflows.dry_run import print_preview

        # Nothing else of how it would be run matters here.
        settings = dataclasses.replace(planned.settings, data_dir=values["data_dir"].value)
        print_preview(dataclasses.replace(planned, settings=settings), console)
        return
    from lth_tf.workflows.run_experiment import run_planned

    settings = settings_from_flags(values, planned.experiment.concurrency)
    run_planned(
        dataclasses.replace(planned, settings=settings),
        console,
        terminal.should_stop,
        terminal.send_chatter_to,
    )


def main(argv: list[str] | None = None) -> int:
    """Runs the binary; returns its exit code."""
    return commandline.run(define_flags, run, USAGE, argv)


if __name__ == "__main__":
    sys.exit(main())
