"""What the binaries share: flags without global state, help in groups, errors in one line.

TensorFlow's libraries write their start-up chatter straight to file descriptor 2. A binary keeps
that off the terminal: it goes to a file, the run's log where there is one.
"""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import textwrap
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Any

from absl import flags

from lth_tf.errors import UserError

Groups = dict[str, list[str]]

_KINDS = {
    "int": "N",
    "float": "X",
    "string": "TEXT",
    "string enum": "CHOICE",
    "comma separated list of strings": "A,B,...",
}


class Chatter:
    """Keeps what libraries write to file descriptor 2 in a file.

    Attributes:
        terminal: the terminal's own error stream.
    """

    def __init__(self) -> None:
        sys.stderr.flush()
        self.terminal: IO[str] = os.fdopen(os.dup(2), "w", encoding="utf-8")
        self._file = tempfile.TemporaryFile("w+b")  # noqa: SIM115 (closed by `end`)
        os.dup2(self._file.fileno(), 2)

    def move_to(self, log: Path) -> None:
        """Sends what was written so far, and what will be, to the end of a log file."""
        sys.stderr.flush()
        self._file.seek(0)
        with open(log, "ab") as target:
            shutil.copyfileobj(self._file, target)
            os.dup2(target.fileno(), 2)

    def end(self) -> None:
        """Gives file descriptor 2 back to the terminal."""
        sys.stderr.flush()
        os.dup2(self.terminal.fileno(), 2)
        self._file.close()


def run(
    define: Callable[[flags.FlagValues], Groups],
    main: Callable[[flags.FlagValues, Chatter], None],
    usage: str,
    argv: Sequence[str] | None = None,
) -> int:
    """Runs a binary: parses its flags, hides chatter, tells a user's mistake in one line.

    Args:
        define: defines the flags; returns their names in groups, by the group's title.
        main: the program, given the parsed flags.
        usage: what `--help` prints above the flags.
        argv: the command line, program name first; the process's own by default.

    Returns:
        The exit code: 0, 1 for an error, 130 if it was interrupted.
    """
    argv = sys.argv if argv is None else argv
    values = flags.FlagValues()
    groups = define(values)
    if any(arg.lstrip("-") in ("help", "helpfull", "helpshort", "h") for arg in argv[1:]):
        print(help_text(values, groups, usage))
        return 0
    try:
        rest = values(argv)
        if rest[1:]:
            raise UserError(f"{rest[1]}: not understood; flags are written --name=value")
    except (flags.Error, UserError) as error:
        return _fail(sys.stderr, error)
    with _hidden_chatter() as chatter, _terminable():
        try:
            main(values, chatter)
        except KeyboardInterrupt:
            print("\nStopped. The same command continues it.", file=chatter.terminal)
            return 130
        except (UserError, OSError) as error:
            return _fail(chatter.terminal, error)
        except Exception:
            traceback.print_exc()
            traceback.print_exc(file=chatter.terminal)
            return _fail(
                chatter.terminal, "the above is a fault of lth_tf, not of yours; please report it"
            )
    return 0


def help_text(values: flags.FlagValues, groups: Groups, usage: str) -> str:
    """Returns the help: usage, then each group's flags with meaning and default."""
    lines = [usage.strip(), ""]
    for title, names in groups.items():
        lines.append(f"{title}:")
        for name in names:
            flag = values[name]
            kind = "" if flag.boolean else f"={_KINDS[flag.flag_type()]}"
            default = "" if flag.default in (None, False) else f" Default: {flag.default}."
            lines.append(f"  --{name}{kind}")
            lines.append(textwrap.indent(textwrap.fill(flag.help + default, 90), " " * 6))
        lines.append("")
    lines.append("Flags can also stand in a file, one a line: --flagfile=FILE.")
    return "\n".join(lines)


def _fail(stream: IO[str], error: Any) -> int:
    print(f"lth_tf: {error}", file=stream, flush=True)
    return 1


@contextlib.contextmanager
def _hidden_chatter() -> Iterator[Chatter]:
    chatter = Chatter()
    try:
        yield chatter
    finally:
        chatter.end()


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Treats SIGTERM, as a scheduler sends it, like Ctrl-C."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
