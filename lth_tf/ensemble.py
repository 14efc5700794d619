"""python -m lth_tf.ensemble: how good tickets are together."""

if __name__ == "__main__":  # before what takes long to import
    from lth_tf.terminal import end_quietly

    end_quietly()

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from lth_tf import commandline
from lth_tf.errors import UserError
from lth_tf.terminal import Terminal

USAGE = """\
Lets the tickets of a level vote on the test set: those of different initial weights, those of one,
and dense networks.

  python -m lth_tf.ensemble runs/NAME --level=7
  python -m lth_tf.ensemble runs/NAME runs/SMALL_DENSE --level=7 --saved_model=five_tickets

The first run has the tickets. Of the others the dense networks are compared with them.
"""


def define_flags(values: flags.FlagValues) -> commandline.FlagGroups:
    """Defines this binary's flags; returns their names by group."""
    common: dict[str, Any] = {"flag_values": values}
    flags.DEFINE_integer(
        "level", None, "Level of the tickets, 1 or higher.", lower_bound=1, upper_bound=999_999,
        **common,
    )  # fmt: skip
    flags.DEFINE_list(
        "levels", [], "Levels of the first replicate's tickets that vote as those of one θ0. "
        "Default: those nearest to --level.", **common,
    )  # fmt: skip
    flags.DEFINE_string(
        "out", None, "Folder to write. Default: studies/ensemble/ inside the first run directory, "
        "where the run's report finds it.", **common,
    )  # fmt: skip
    flags.DEFINE_string(
        "saved_model", None, "Folder to write the tickets of different θ0 to, as one SavedModel "
        "that returns mean probabilities; must not exist.", **common,
    )  # fmt: skip
    commandline.define_named_functions(values)
    flags.DEFINE_string(
        "data_dir", None, "TFDS's folder. Default: $TFDS_DATA_DIR, or ~/tensorflow_datasets.",
        **common,
    )  # fmt: skip
    return {
        "Members": ["level", "levels", "model", "dataset", "data_dir"],
        "Files": ["out", "saved_model"],
    }


def run(values: flags.FlagValues, terminal: Terminal, folders: Sequence[str]) -> None:
    """Measures the ensembles that the flags describe.

    Args:
        values: the parsed flags.
        terminal: the terminal.
        folders: the run directories; the first has the tickets.

    Raises:
        UserError: for a user's mistake, in one line.
    """
    if not folders:
        raise UserError("a run directory must be given, as in python -m lth_tf.ensemble runs/NAME")
    level, levels = values["level"].value, _levels(values["levels"].value)
    if level is None:
        raise UserError("--level: must be given; see --help")
    saved_model = values["saved_model"].value
    if saved_model and Path(saved_model).exists():
        raise UserError(f"--saved_model={saved_model}: exists already; choose another folder")
    from lth_tf.lottery.progress import make_console
    from lth_tf.workflows.vote import run_ensembles

    out = values["out"].value
    finding = run_ensembles(
        [Path(folder) for folder in folders],
        level,
        out and Path(out),
        make_console(),
        levels=levels,
        data_dir=values["data_dir"].value,
        saved_model=saved_model and Path(saved_model),
        command=commandline.command("lth_tf.ensemble", folders, values),
    )
    print(f"Files: {finding.folder / 'ensemble.md'}, ensemble.csv, ensemble.png, ensemble.svg")
    if saved_model:
        print(f"SavedModel: {saved_model}")


def _levels(texts: Sequence[str]) -> list[int]:
    if not all(text.isdecimal() and len(text) < 7 for text in texts):
        raise UserError(f"--levels={','.join(texts)}: must be whole numbers, as in 5,6,7")
    return sorted({int(text) for text in texts})


def main(argv: list[str] | None = None) -> int:
    """Runs the binary; returns its exit code."""
    return commandline.run(define_flags, run, USAGE, argv, takes_arguments=True)


if __name__ == "__main__":
    sys.exit(main())
