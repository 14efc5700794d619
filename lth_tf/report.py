"""python -m lth_tf.report: figures, tables and the verdict on runs."""

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
Reports on runs, finished or not: figures, tables, and whether there are winning tickets.

  python -m lth_tf.report runs/NAME
  python -m lth_tf.report runs/ITERATIVE runs/ONE_SHOT --out=comparison
"""


def define_flags(values: flags.FlagValues) -> commandline.FlagGroups:
    """Defines this binary's flags; returns their names by group."""
    common: dict[str, Any] = {"flag_values": values}
    flags.DEFINE_string(
        "out", None, "Folder to write. Default: report/ inside the first run directory.", **common
    )
    flags.DEFINE_float(
        "margin_accuracy", None, "Points of test accuracy by which a ticket may be worse and still "
        "pass. Default: 0.2 for data sets like MNIST, 0.5 for others. Of a network that is judged "
        "by another metric: so much of that; default: a hundredth of the dense networks'.",
        lower_bound=0, **common,
    )  # fmt: skip
    flags.DEFINE_float(
        "margin_iterations", None, "Per cent by which a ticket may stop later and still pass. "
        "Default: 10.", lower_bound=0, **common,
    )  # fmt: skip
    flags.DEFINE_float(
        "claim_density", None, "Most of the weights, as a share, that a ticket of the claim has: "
        "the tests begin with the first level that has at most so many. Default: 0.25.", **common,
    )  # fmt: skip
    return {
        "Files": ["out"],
        "Verdict": ["margin_accuracy", "margin_iterations", "claim_density"],
    }


def run(values: flags.FlagValues, terminal: Terminal, folders: Sequence[str]) -> None:
    """Writes the report that the flags describe.

    Args:
        values: the parsed flags.
        terminal: the terminal.
        folders: the run directories.

    Raises:
        UserError: for a user's mistake, in one line.
    """
    if not folders:
        raise UserError("a run directory must be given, as in python -m lth_tf.report runs/NAME")
    from lth_tf.analysis.report.report import Wanted, write_report

    for name, most in (("margin_accuracy", 1e9), ("margin_iterations", 1e6)):
        value = values[name].value
        if value is not None and not 0 <= value <= most:
            raise UserError(f"--{name}={value:g}: must be a number from 0 to {most:,.0f}")
    out = Path(values["out"].value or Path(folders[0]) / "report")
    sections = write_report(
        [Path(folder) for folder in folders],
        out,
        Wanted(
            values["margin_accuracy"].value,
            _share(values["margin_iterations"].value),
            values["claim_density"].value,
        ),
        commandline.command("lth_tf.report", folders, values),
    )
    for section in sections:
        if section.headline:
            print(f"{section.title}: {section.headline}")
    print(f"Report: {out / 'report.html'}")


def _share(hundredths: float | None) -> float | None:
    return None if hundredths is None else hundredths / 100


def main(argv: list[str] | None = None) -> int:
    """Runs the binary; returns its exit code."""
    return commandline.run(define_flags, run, USAGE, argv, takes_arguments=True)


if __name__ == "__main__":
    sys.exit(main())
