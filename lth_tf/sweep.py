"""python -m lth_tf.sweep: runs any number of experiments as one plan, or continues them."""

if __name__ == "__main__":  # before what takes long to import
    from lth_tf.terminal import end_quietly

    end_quietly()

import dataclasses
import itertools
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from lth_tf import commandline
from lth_tf import main as experiment
from lth_tf.errors import UserError, shortened
from lth_tf.recipe import Recipe
from lth_tf.terminal import Terminal

if TYPE_CHECKING:
    from lth_tf.workflows.run_experiments import Planned

USAGE = """\
Runs experiments as one plan: no core waits while any of them has a training that is ready.

  python -m lth_tf.sweep flags/paper/*.flags --jobs=auto
  python -m lth_tf.sweep --model=lenet --grid=learning_rate=0.0006,0.0012 --grid=optimizer=adam,sgd
  python -m lth_tf.sweep flags/paper/*.flags --dry_run --simulate=1,8,64,512 --tflops=10

Each file is an experiment, in the run directory that lth_tf.main --flagfile=FILE has. Flags beside
the files hold for all, before what the files say. Of jobs, cluster, gpu_share, threads,
distribution, dry_run, report and runs_dir there is one of each in a sweep; what a file says does
not count. The same command continues a sweep that was stopped.
"""

# The sweep's own, and those that hold for it as a whole.
_OF_SWEEP = ("grid", "out", "simulate", "tflops")
_OF_ALL = (
    *("jobs", "cluster", "gpu_share", "threads", "distribution"),
    *("dry_run", "report", "runs_dir"),
)
_OF_EACH = ("data_dir", "xla", "checkpoint_every")
_BESIDES_RECIPE = ("strategy", "seed")
_MOST = 10_000


def define_flags(values: flags.FlagValues) -> commandline.FlagGroups:
    """Defines this binary's flags, `lth_tf.main`'s among them; returns their names by group."""
    groups = experiment.define_flags(values)
    common: dict[str, Any] = {"flag_values": values}
    flags.DEFINE_multi_string(
        "grid", [], "A field of the recipe, the strategy or the seed, and its values, as in "
        "learning_rate=0.01,0.1; may be given several times: there is an experiment for each "
        "combination, named by its values.", **common,
    )  # fmt: skip
    flags.DEFINE_string(
        "out", None, "Folder of the index. Default: index/ in the folder of run directories.",
        **common,
    )  # fmt: skip
    flags.DEFINE_list(
        "simulate", [], "With --dry_run: how long it would take with so many trainings at the same "
        "time, as in 1,8,64.", **common,
    )  # fmt: skip
    flags.DEFINE_float(
        "tflops", None, "With --dry_run: take each training to have so many TFLOP/s, not what this "
        "machine has.", lower_bound=1e-3, upper_bound=1e6, **common,
    )  # fmt: skip
    return {"Sweep": [*_OF_SWEEP], **groups}


def run(values: flags.FlagValues, terminal: Terminal, files: Sequence[str]) -> None:
    """Runs the experiments that the flags and files describe.

    Args:
        values: the parsed flags.
        terminal: the terminal, which says when to stop, and whose chatter goes to the sweep's log.
        files: the flag files, an experiment each.

    Raises:
        UserError: for a user's mistake, in one line.
    """
    tflops = values["tflops"].value
    if tflops is not None and not math.isfinite(tflops):
        raise UserError(f"--tflops={tflops}: must be a number from 0.001 to 1,000,000")
    experiment.prepare_jobs(values)
    planned = planned_from_flags(values, files)
    from lth_tf.lottery.progress import make_console
    from lth_tf.workflows.sweep import preview_sweep, run_sweep

    if values["dry_run"].value:
        preview_sweep(planned, _workers(values), tflops, make_console())
        return
    for name in ("simulate", "tflops"):
        if values[name].value:
            raise UserError(f"--{name}: must be given with --dry_run")
    run_sweep(
        planned,
        Path(values["out"].value or Path(values["runs_dir"].value) / "index"),
        make_console(),
        terminal.should_stop,
        terminal.send_chatter_to,
        commandline.command("lth_tf.sweep", files, values),
    )


def planned_from_flags(values: flags.FlagValues, files: Sequence[str]) -> "list[Planned]":
    """Returns the experiments that the flags and files describe, and how they are run.

    Args:
        values: the parsed flags.
        files: the flag files.

    Raises:
        UserError: if a value is wrong, or two are the same run directory.
    """
    grid = _grid(values["grid"].value)
    size = math.prod(map(len, grid.values())) * max(1, len(files))
    if size > _MOST:
        raise UserError(f"--grid: must be at most {_MOST:,} experiments, not {size:,}")
    combinations = [
        tuple(zip(grid, each, strict=True)) for each in itertools.product(*grid.values())
    ]
    if not files and not values["grid"].value:
        raise UserError(
            "flag files or --grid must be given, as in python -m lth_tf.sweep flags/small/*.flags"
        )
    if len(files) > 1 and values["name"].present:
        raise UserError(
            f"--name={values['name'].value}: must be left out with several flag files, each of "
            "which has a name of its own"
        )
    if values["distribution"].value == "multi_worker":
        raise UserError("--distribution=multi_worker: must be left to lth_tf.main; see --cluster")
    beside_files = [
        flag.serialize()
        for flag in commandline.present_flags(values)
        if flag.name not in (*_OF_SWEEP, *_OF_ALL)
    ]
    planned = []
    for file in files or [None]:
        for combination in combinations:
            arguments = [f"--flagfile={file}"] if file else []
            changes = [f"--{name}={value}" for name, value in combination]
            each = _parsed([*arguments, *beside_files, *changes], file, values)
            suffix = _suffix(combination)
            title = f"{Path(file).stem}{suffix}" if file else suffix.removeprefix("-")
            found = experiment.planned_from_flags(each, title, suffix)
            how = {name: each[name].value for name in _OF_EACH}
            planned.append((found, how))
    _check_folders([each for each, _ in planned])
    width = sum(each.experiment.concurrency for each, _ in planned)
    settings, report = experiment.settings_from_flags(values, width), values["report"].value
    return [
        dataclasses.replace(each, settings=dataclasses.replace(settings, **how), report=report)
        for each, how in planned
    ]


def _parsed(
    arguments: Sequence[str], file: str | None, sweeps: flags.FlagValues
) -> flags.FlagValues:
    """Parses one experiment's flags as `lth_tf.main` does, but for those of the sweep."""
    where = f"{file}: " if file else ""
    values = flags.FlagValues()
    experiment.define_flags(values)
    rest = commandline.parse(values, ["lth_tf.sweep", *arguments], where)
    if rest:
        raise UserError(f"{where}{rest[0]}: not understood; flags are written --name=value")
    for name in _OF_ALL:
        values[name].value, values[name].present = sweeps[name].value, sweeps[name].present
    return values


def _grid(texts: Sequence[str]) -> dict[str, list[str]]:
    """Returns `field=a,b` as lists of values by field."""
    found: dict[str, list[str]] = {}
    fields = {f.name: f for f in dataclasses.fields(Recipe)}
    for text in texts:
        name, equals, value = text.partition("=")
        said = f"--grid={shortened(text, 100)}"
        if not equals:
            raise UserError(f"{said}: must be FIELD=VALUE,..., as in learning_rate=0.01,0.1")
        if name not in fields and name not in _BESIDES_RECIPE:
            raise UserError(f"{said}: {name} must be a field of the recipe, strategy or seed")
        if name in fields and fields[name].type not in (int, float, str):
            raise UserError(
                f"{said}: {name} has several values itself; give a flag file for each combination"
            )
        if name in found:
            raise UserError(f"{said}: {name} must be given once")
        values = value.split(",")
        if not all(values) or len(set(values)) < len(values):
            raise UserError(f"{said}: values must be there, and each once")
        found[name] = values
    return found


def _suffix(combination: Sequence[tuple[str, str]]) -> str:
    """Returns what a combination adds to a run directory's name."""
    text = "".join(f"-{name}={value}" for name, value in combination)
    return re.sub(r"[^\w.=-]+", "_", text, flags=re.ASCII)


def _check_folders(planned: "Sequence[Planned]") -> None:
    folders: set[Path] = set()
    for each in planned:
        if each.folder in folders:
            raise UserError(
                f"{each.folder}: is the run directory of two of these experiments; leave one out, "
                "or give it another --name in its flag file"
            )
        folders.add(each.folder)


def _workers(values: flags.FlagValues) -> list[int]:
    texts = values["simulate"].value
    # Python refuses to read thousands of digits.
    if not all(text.isdecimal() and len(text) < 8 and 1 <= int(text) <= 10**6 for text in texts):
        raise UserError(
            f"--simulate={','.join(texts)}: must be whole numbers from 1 to 1,000,000, as in 1,8,64"
        )
    return [int(text) for text in texts]


def main(argv: list[str] | None = None) -> int:
    """Runs the binary; returns its exit code."""
    return commandline.run(define_flags, run, USAGE, argv, takes_arguments=True)


if __name__ == "__main__":
    sys.exit(main())
