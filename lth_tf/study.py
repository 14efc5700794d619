"""python -m lth_tf.study: questions asked of runs."""

if __name__ == "__main__":  # before what takes long to import
    from lth_tf.terminal import end_quietly

    end_quietly()

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from lth_tf import commandline
from lth_tf.errors import UserError
from lth_tf.studies import STUDIES
from lth_tf.terminal import Terminal

USAGE = """\
Asks studies of runs, finished or not. What is known of a run is kept in its studies/ folder, and
computed again only where the run has other results by now, or a setting differs.

  python -m lth_tf.study runs/NAME
  python -m lth_tf.study runs/NAME --studies=ensemble --set=ensemble.level=7
"""


def define_flags(values: flags.FlagValues) -> commandline.FlagGroups:
    """Defines this binary's flags; returns their names by group."""
    common: dict[str, Any] = {"flag_values": values}
    flags.DEFINE_list(
        "studies", [], "Studies to ask. Default: all that a run has what is needed for. "
        + commandline.choices_text(STUDIES), **common,
    )  # fmt: skip
    options = ", ".join(f"{name}.{o}" for name, study in STUDIES.items() for o in study.options())
    flags.DEFINE_multi_string(
        "set", [], "An option of a study; may be given several times. One that is not set is as "
        f"it was when the study was asked before. There are {options}.", **common,
    )  # fmt: skip
    flags.DEFINE_boolean("again", False, "Compute what is known, too.", **common)
    commandline.define_named_functions(values)
    flags.DEFINE_string(
        "data_dir", None, "TFDS's folder. Default: $TFDS_DATA_DIR, or ~/tensorflow_datasets.",
        **common,
    )  # fmt: skip
    return {"Studies": ["studies", "set", "again", "model", "dataset", "data_dir"]}


def run(values: flags.FlagValues, terminal: Terminal, folders: Sequence[str]) -> None:
    """Asks the studies that the flags name.

    Args:
        values: the parsed flags.
        terminal: the terminal.
        folders: the run directories.

    Raises:
        UserError: for a user's mistake, in one line.
    """
    if not folders:
        raise UserError("a run directory must be given, as in python -m lth_tf.study runs/NAME")
    studies, options = values["studies"].value, _options(values["set"].value)
    for name in (*studies, *options):
        STUDIES[name]  # refuses others before TensorFlow is imported
    from lth_tf.lottery.progress import make_console
    from lth_tf.workflows.study_runs import Question, study_runs

    question = Question(
        studies,
        options,
        values["again"].value,
        values["data_dir"].value,
        commandline.command("lth_tf.study", folders, values),
    )
    found = study_runs([Path(folder) for folder in folders], question, make_console())
    for finding in found:
        print(f"Files: {finding.folder / finding.study.name}.md")
    if found:
        print(f"In the run's report: {shlex.join(['python', '-m', 'lth_tf.report', *folders])}")


def _options(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Returns `study.option=value` as texts by study and option."""
    options: dict[str, dict[str, str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        study, dot, option = name.partition(".")
        if not (equals and dot):
            raise UserError(f"--set={text}: must be STUDY.OPTION=VALUE, as in ensemble.level=7")
        options.setdefault(study, {})[option] = value
    return options


def main(argv: list[str] | None = None) -> int:
    """Runs the binary; returns its exit code."""
    return commandline.run(define_flags, run, USAGE, argv, takes_arguments=True)


if __name__ == "__main__":
    sys.exit(main())
