"""python -m lth_tf.export: writes a ticket of a run as a file that other programs read."""

import sys
from pathlib import Path
from typing import Any

from absl import flags

from lth_tf import commandline
from lth_tf.errors import UserError
from lth_tf.terminal import Terminal

USAGE = """\
Exports the sparse network of one level of a run, for use without this program.

  python -m lth_tf.export --run=runs/NAME --level=7 --out=ticket
"""


def define_flags(values: flags.FlagValues) -> commandline.Groups:
    """Defines this binary's flags; returns their names by group."""
    common: dict[str, Any] = {"flag_values": values}
    flags.DEFINE_string("run", None, "Run directory to export from.", **common)
    flags.DEFINE_integer("replicate", 0, "Replicate of the ticket.", **common)
    flags.DEFINE_integer("level", None, "Level of the ticket; 0 is the dense network.", **common)
    flags.DEFINE_enum(
        "weights", "trained", ["trained", "initial"],
        "trained, or initial: those that the ticket is trained from, mask * theta_0 (or theta_k "
        "where the recipe rewinds to k).", **common,
    )  # fmt: skip
    flags.DEFINE_enum("format", "saved_model", ["saved_model"], "saved_model.", **common)
    flags.DEFINE_string("out", None, "Folder to write; must not exist.", **common)
    return {"Ticket": ["run", "replicate", "level", "weights"], "File": ["format", "out"]}


def run(values: flags.FlagValues, terminal: Terminal) -> None:
    """Exports the ticket that the flags describe.

    Raises:
        UserError: for a user's mistake, in one line.
    """
    for name in ("run", "level", "out"):
        if values[name].value is None:
            raise UserError(f"--{name}: must be given; see --help")
    out = Path(values["out"].value)
    if out.exists():
        raise UserError(f"--out={out}: exists already; choose another folder, or remove it")
    from lth_tf.experiment.network import Network
    from lth_tf.experiment.plan import DENSE, TICKET, Training
    from lth_tf.experiment.store import Store
    from lth_tf.experiment.tickets import initial_weights, trained_weights
    from lth_tf.formats.saved_model import export_saved_model, sizes

    level = values["level"].value
    training = Training(values["replicate"].value, level, TICKET if level else DENSE)
    store = Store(Path(values["run"].value))
    read = {"trained": trained_weights, "initial": initial_weights}[values["weights"].value]
    weights = read(store, training)
    network = Network(store.experiment(), store.data())
    export_saved_model(network.build(), weights, out)
    plain, compressed = sizes(out)
    result = store.result(training)
    print(f"{out}: level {level}, density {result.density:.2%}")
    print(f"{plain:,} bytes; {compressed:,} bytes as gzip")
    if values["weights"].value == "trained":
        print(f"test accuracy in results.csv: {result.test_accuracy_final:.2%}")


def main(argv: list[str] | None = None) -> int:
    """Runs the binary; returns its exit code."""
    return commandline.run(define_flags, run, USAGE, argv)


if __name__ == "__main__":
    sys.exit(main())
