"""python -m lth_tf.bench: measures the speed of training beside Keras, PyTorch and JAX."""

if __name__ == "__main__":  # before what takes long to import
    from lth_tf.terminal import end_quietly

    end_quietly()

import functools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from absl import flags

from lth_tf import commandline
from lth_tf.benchmark.contest import NAMES, hold
from lth_tf.benchmark.host import ContestantError
from lth_tf.errors import UserError
from lth_tf.paper.recipes import RECIPES
from lth_tf.recipe import PRECISIONS
from lth_tf.terminal import Terminal

USAGE = """\
Measures training: Keras with tfmot's pruning, Keras, PyTorch and JAX where they are installed, and
lth_tf; each in a process of its own, in turn.

  python -m lth_tf.bench
  python -m lth_tf.bench --model=lenet,resnet18 --precision=mixed_bfloat16 --json

Nothing else should run on the machine meanwhile.
"""


def define_flags(values: flags.FlagValues) -> commandline.FlagGroups:
    """Defines this binary's flags; returns their names by group."""
    common: dict[str, Any] = {"flag_values": values}
    flags.DEFINE_list("model", None, "Networks, by name. Default: lenet.", **common)
    flags.DEFINE_enum(
        "precision", "float32", PRECISIONS, "Of all; PyTorch's by autocast.", **common
    )
    flags.DEFINE_string(
        "dataset", None, "Data set. Default: random images, as many and as large as the recipe's.",
        **common,
    )  # fmt: skip
    flags.DEFINE_string(
        "data_dir", None, "TFDS's folder. Default: $TFDS_DATA_DIR, or ~/tensorflow_datasets.",
        **common,
    )  # fmt: skip
    flags.DEFINE_integer(
        "iterations", None, "Iterations of one measurement. Default: a few seconds' worth.",
        lower_bound=1, upper_bound=10**7, **common,
    )  # fmt: skip
    flags.DEFINE_integer(
        "repetitions", 5, "Measurements of each.", lower_bound=1, upper_bound=1_000, **common
    )
    flags.DEFINE_enum(
        "xla", "auto", ["auto", "on", "off"], "Compile lth_tf's training with XLA.", **common
    )
    flags.DEFINE_integer(
        "threads", 0, "Threads of each; 0 for as many as there are cores.",
        lower_bound=0, upper_bound=1_024, **common,
    )  # fmt: skip
    flags.DEFINE_list(
        "contestants", [*NAMES], f"Which to measure beside lth_tf, of {', '.join(NAMES)}.", **common
    )
    flags.DEFINE_bool("json", False, "Print JSON instead of tables.", **common)
    return {
        "Training": ["model", "precision", "dataset", "data_dir", "xla"],
        "Measurement": ["contestants", "iterations", "repetitions", "threads", "json"],
    }


def run(values: flags.FlagValues, terminal: Terminal) -> None:
    """Measures what the flags describe.

    Args:
        values: the parsed flags.
        terminal: the terminal, which shows what is measured.

    Raises:
        UserError: for a user's mistake, in one line.
    """
    names = values["model"].value or ["lenet"]
    for model in names:
        if model not in RECIPES:
            raise UserError(
                f"--model={model}: must be one of {', '.join(RECIPES)}; a network of one's "
                "own cannot be measured"
            )
    contestants = values["contestants"].value
    for name in contestants:
        if name not in NAMES:
            raise UserError(f"--contestants={name}: must be one of {', '.join(NAMES)}")
    from rich.console import Console

    from lth_tf.benchmark.prepare import make_task
    from lth_tf.benchmark.report import contest_table, contests_json
    from lth_tf.lottery.progress import make_console

    contests = []
    settings = ("precision", "iterations", "dataset", "data_dir", "xla", "threads")
    with Console(file=terminal.errors).status("starting") as status:
        for model in names:
            with tempfile.TemporaryDirectory() as folder:
                present = {name: values[name].value for name in settings}
                task = make_task(model, Path(folder), **present)
                on_turn = functools.partial(_show, status, model)
                try:
                    contests.append(hold(task, values["repetitions"].value, on_turn, contestants))
                except ContestantError as error:
                    raise UserError(f"--model={model}: cannot be measured: {error}") from None
            if not values["json"].value:
                make_console().print(contest_table(contests[-1]))
    if values["json"].value:
        present = [values[name].serialize() for name in sorted(values) if values[name].present]
        print(json.dumps(contests_json(contests, present), indent=1))


def _show(status: Any, model: str, text: str) -> None:
    status.update(f"{model}, {text}")


def main(argv: list[str] | None = None) -> int:
    """Runs the binary; returns its exit code."""
    return commandline.run(define_flags, run, USAGE, argv)


if __name__ == "__main__":
    sys.exit(main())
