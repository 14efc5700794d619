"""What the binaries share: flags without global state, help in groups, errors in one line."""

import contextlib
import shlex
import sys
import textwrap
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from absl import flags

from lth_tf.errors import UserError, UsersCodeError
from lth_tf.terminal import Terminal

FlagGroups = dict[str, list[str]]

_KINDS = {
    "int": "N",
    "float": "X",
    "string": "TEXT",
    "string enum": "CHOICE",
    "comma separated list of strings": "A,B,...",
    "multi string": "TEXT",
}

# What absl adds to the help of a flag that may be given several times.
_REPEAT = ";\n    repeat this option to specify a list of values"


def run(
    define: Callable[[flags.FlagValues], FlagGroups],
    main: Callable[..., None],
    usage: str,
    argv: Sequence[str] | None = None,
    *,
    takes_arguments: bool = False,
) -> int:
    """Runs a binary: parses its flags, guards the terminal, shows a user's mistake in one line.

    Args:
        define: defines the flags; returns their names in groups, by the group's title.
        main: the program, given the parsed flags and the terminal.
        usage: what `--help` prints above the flags.
        argv: the command line, program name first; the process's own by default.
        takes_arguments: whether what is no flag is given to `main` as a list, not refused.

    Returns:
        The exit code: 0, 1 for an error, 130 if it was interrupted.
    """
    argv = sys.argv if argv is None else argv
    values = flags.FlagValues()
    try:
        groups = define(values)
    except UserError as error:  # a package that adds choices cannot be imported
        return _fail(sys.stderr, error)
    if any(arg.lstrip("-") in ("help", "helpfull", "helpshort", "h") for arg in argv[1:]):
        print(help_text(values, groups, usage))
        return 0
    try:
        rest = values(argv)[1:]
        if rest and not takes_arguments:
            raise UserError(f"{rest[0]}: not understood; flags are written --name=value")
    except (flags.Error, UserError) as error:
        return _fail(sys.stderr, error)
    try:
        with Terminal() as terminal:
            return _guarded(main, terminal, values, terminal, *([rest] if takes_arguments else []))
    except OSError as error:
        return _fail(sys.stderr, error)


def _guarded(main: Callable[..., None], terminal: Terminal, *arguments: Any) -> int:
    try:
        main(*arguments)
    except KeyboardInterrupt:
        goes_on = " The same command continues it." if terminal.can_continue else ""
        print(f"Stopped.{goes_on}", file=terminal.errors)
        return 130
    except UsersCodeError as error:
        with contextlib.suppress(OSError):  # the disk that has the log may be full
            traceback.print_exception(error.__cause__)
        return _fail(terminal.errors, error)
    except (UserError, OSError) as error:
        return _fail(terminal.errors, error)
    except Exception:
        with contextlib.suppress(OSError):  # the disk that has the log may be full
            traceback.print_exc()
        traceback.print_exc(file=terminal.errors)
        return _fail(terminal.errors, "this is a fault of lth_tf, not of yours; please report it")
    return 0


def help_text(values: flags.FlagValues, groups: FlagGroups, usage: str) -> str:
    """Returns the help: usage, then each group's flags with meaning and default.

    Args:
        values: the flags.
        groups: their names by group.
        usage: what stands above them.
    """
    lines = [usage.strip(), ""]
    for title, names in groups.items():
        lines.append(f"{title}:")
        for name in names:
            flag = values[name]
            kind = "" if flag.boolean else f"={_KINDS[flag.flag_type()]}"
            default = "" if flag.default in (None, False, []) else f" Default: {flag.default}."
            lines.append(f"  --{name}{kind}")
            lines.append(
                textwrap.indent(
                    textwrap.fill(flag.help.removesuffix(_REPEAT) + default, 90), " " * 6
                )
            )
        lines.append("")
    lines.append("Flags can also stand in a file, one a line: --flagfile=FILE.")
    return "\n".join(lines)


def command(module: str, arguments: Sequence[str], values: flags.FlagValues) -> str:
    """Returns the command line that a binary was called by, to be kept with what it wrote.

    Args:
        module: the binary, as in lth_tf.report.
        arguments: what was no flag.
        values: its flags.
    """
    present = [values[name].serialize() for name in sorted(values) if values[name].present]
    return shlex.join(["python", "-m", module, *arguments, *present])


def choices_text(choices: Mapping[str, Any]) -> str:
    """Returns what a registry's entries are, each with its name, for a flag's help."""
    text = "; ".join(f"{name}: {entry.help}" for name, entry in choices.items())
    return text.replace("`", "") + "."


def _fail(stream: IO[str], error: Any) -> int:
    print(f"lth_tf: {error}", file=stream, flush=True)
    return 1
