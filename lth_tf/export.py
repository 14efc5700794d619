"""python -m lth_tf.export: writes a ticket of a run as a file that other programs read."""

if __name__ == "__main__":  # before what takes long to import
    from lth_tf.terminal import end_quietly

    end_quietly()

import re
import sys
from pathlib import Path
from typing import Any

from absl import flags

from lth_tf import commandline
from lth_tf.errors import UserError
from lth_tf.formats.formats import FORMATS
from lth_tf.formats.source import QUANTIZE
from lth_tf.terminal import Terminal

USAGE = """\
Exports the network of one training of a run, for use without this program.

  python -m lth_tf.export --run=runs/NAME --level=7 --out=ticket
  python -m lth_tf.export --run=runs/NAME --level=7 --format=saved_model,keras,tflite --verify \\
      --out=ticket

The folder has saved_model/, model.keras, model_keras3.keras, model.tflite or ticket.safetensors, as
asked for, and a README.md.
"""


def define_flags(values: flags.FlagValues) -> commandline.FlagGroups:
    """Defines this binary's flags; returns their names by group."""
    common: dict[str, Any] = {"flag_values": values}
    flags.DEFINE_string("run", None, "Run directory to export from.", **common)
    flags.DEFINE_integer(
        "replicate", 0, "Replicate of the network.", lower_bound=0, upper_bound=999_999, **common
    )
    flags.DEFINE_integer(
        "level",
        None,
        "Level of the network; 0 is the dense one.",
        lower_bound=0,
        upper_bound=999_999,
        **common,
    )
    flags.DEFINE_string(
        "arm", None, "Its arm, such as ticket or reinit_0. Default: ticket; dense at level 0.",
        **common,
    )  # fmt: skip
    flags.DEFINE_enum(
        "weights", "trained", ["trained", "initial"],
        "trained, or initial: those that the ticket is trained from, mask * theta_0 (or theta_k "
        "where the recipe rewinds to k).", **common,
    )  # fmt: skip
    flags.DEFINE_list("format", ["saved_model"], f"Any of {', '.join(FORMATS)}.", **common)
    flags.DEFINE_enum(
        "quantize", "none", QUANTIZE,
        "How TFLite stores weights: float32, float16, or int8 (activations are then quantized "
        "as it runs).", **common,
    )  # fmt: skip
    flags.DEFINE_bool(
        "structured", False, "Remove units that the mask has cut off: a smaller dense network with "
        "the same outputs.", **common,
    )  # fmt: skip
    flags.DEFINE_string("out", None, "Folder to write; must not exist.", **common)
    flags.DEFINE_bool(
        "verify", False, "Run each file on the test set in a new process, and compare with "
        "results.csv and the network's logits.", **common,
    )  # fmt: skip
    commandline.define_named_functions(values)
    flags.DEFINE_string(
        "data_dir", None, "TFDS's folder, for --verify. Default: $TFDS_DATA_DIR, or "
        "~/tensorflow_datasets.", **common,
    )  # fmt: skip
    flags.DEFINE_bool(
        "table",
        True,
        "Measure what sparsity buys: bytes, multiply-adds, latency; --notable leaves it out.",
        **common,
    )
    flags.DEFINE_integer(
        "threads",
        1,
        "Threads to measure latency with; 0 for all cores.",
        lower_bound=0,
        upper_bound=1_024,
        **common,
    )
    return {
        "Network": ["run", "replicate", "level", "arm", "weights", "model", "dataset"],
        "Files": ["format", "quantize", "structured", "out"],
        "Measurement": ["verify", "data_dir", "table", "threads"],
    }


def run(values: flags.FlagValues, terminal: Terminal) -> None:
    """Exports the network that the flags describe.

    Args:
        values: the parsed flags.
        terminal: the terminal.

    Raises:
        UserError: for a user's mistake, in one line.
    """
    for name in ("run", "level", "out"):
        if values[name].value is None:
            raise UserError(f"--{name}: must be given; see --help")
    from lth_tf.lottery.progress import make_console
    from lth_tf.runs.experiment import ARM_NAME, DENSE, TICKET, Training
    from lth_tf.runs.store import Store
    from lth_tf.training.distribution import leave_gpus
    from lth_tf.workflows.export_ticket import Export, require_new

    if not re.fullmatch(ARM_NAME, values["arm"].value or TICKET):
        raise UserError(f"--arm={values['arm'].value}: must be an arm's name, as in reinit_0")
    leave_gpus()  # GPUs round otherwise, and the new processes are kept off them as well
    level = values["level"].value
    arm = values["arm"].value or (TICKET if level else DENSE)
    export = Export(
        store=Store(Path(values["run"].value)),
        training=Training(values["replicate"].value, level, arm),
        formats=values["format"].value,
        **{name: values[name].value for name in ("weights", "quantize", "structured")},
    )
    out = Path(values["out"].value)
    require_new(out)  # before the test set is run
    expected = export.expected(values["data_dir"].value) if values["verify"].value else None
    exported = export.write(
        out, expected, values["threads"].value if values["table"].value else None
    )
    print("\n".join([f"{out}: {exported.headline}", *exported.lines]))
    if exported.gains:
        make_console().print(exported.gains.shown())


def main(argv: list[str] | None = None) -> int:
    """Runs the binary; returns its exit code."""
    return commandline.run(define_flags, run, USAGE, argv)


if __name__ == "__main__":
    sys.exit(main())
