"""What the binaries share: flags without global state, help in groups, errors in one line."""

import contextlib
import itertools
import os
import re
import shlex
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from absl import flags

from lth_tf.errors import UserError, UsersCodeError, one_line, reason_of
from lth_tf.importing import allow
from lth_tf.output import guard_standard_streams
from lth_tf.reading import read_text
from lth_tf.terminal import Terminal, exit_code

FlagGroups = dict[str, list[str]]

_PLACEHOLDERS = {
    "int": "N",
    "float": "X",
    "string": "TEXT",
    "string enum": "CHOICE",
    "comma separated list of strings": "A,B,...",
    "multi string": "TEXT",
}

_FUNCTIONS = ("model", "dataset", "augment")  # flags that may name one
FORMER_NAMES = {"criterion": ("score",)}  # of flags, which are still taken
_MOST_FLAGS = 2**20  # bytes of a flag file
_NO_MEMORY = "not enough memory; --batch_size, --width, --jobs or a smaller data set take less"

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
        main: the program; it is called with the parsed flags and the terminal.
        usage: what `--help` prints above the flags.
        argv: the command line, program name first; the process's own by default.
        takes_arguments: whether `main` is called with what is no flag as well, a list; else that is
            refused.

    Returns:
        The exit code: 0, 1 for an error, 130 or 143 if it was stopped.
    """
    argv = sys.argv if argv is None else argv
    output = guard_standard_streams()
    # Figures are drawn into files, whatever a notebook or a desktop has set.
    os.environ["MPLBACKEND"] = "agg"
    if not os.environ.get("SOURCE_DATE_EPOCH", "0").isdecimal():
        del os.environ["SOURCE_DATE_EPOCH"]
    code = _run(define, main, usage, argv, takes_arguments)
    if output is None:
        return code
    with contextlib.suppress(OSError):
        output.flush()
    if output.error:
        reason = output.error.strerror
        _fail(sys.stderr, f"standard output: could not be written ({reason}); all else was done")
    return code or int(output.error is not None)


def _run(
    define: Callable[[flags.FlagValues], FlagGroups],
    main: Callable[..., None],
    usage: str,
    argv: Sequence[str],
    takes_arguments: bool,
) -> int:
    values = flags.FlagValues()
    try:
        groups = define(values)
    except UserError as error:  # a package that adds choices cannot be imported
        return _fail(sys.stderr, error)
    if any(arg.lstrip("-") in ("help", "helpfull", "helpshort", "h") for arg in argv[1:]):
        print(help_text(values, groups, usage))
        return 0
    try:
        rest = parse(values, argv)
    except UserError as error:
        return _fail(sys.stderr, error)
    if rest and not takes_arguments:
        return _fail(sys.stderr, f"{rest[0]}: not understood; flags are written --name=value")
    try:
        with Terminal() as terminal:
            return _guarded(main, terminal, values, terminal, *([rest] if takes_arguments else []))
    except OSError as error:
        return _fail(sys.stderr, _refused(error))


def parse(values: flags.FlagValues, argv: Sequence[str], where: str = "") -> list[str]:
    """Parses a command line, and lets the functions that it names be imported.

    Args:
        values: the flags.
        argv: the command line, program name first.
        where: what messages begin with.

    Returns:
        What is no flag.

    Raises:
        UserError: if it cannot be parsed.
    """
    try:
        _check_flag_files(argv[1:])
        rest = values(argv)[1:]
    except flags.IllegalFlagValueError as error:
        # As absl says it, but for a switch that is neither on nor off.
        switch = re.match(r"flag (--\w+)=(.*?): Non-boolean argument", str(error))
        said = switch and f"{switch[1]}={switch[2]}: must be true or false"
        raise UserError(f"{where}{said or error}") from None
    except flags.Error as error:
        raise UserError(f"{where}{error}") from None
    allow(*(values[name].value for name in _FUNCTIONS if name in values))
    return rest


def _guarded(main: Callable[..., None], terminal: Terminal, *arguments: Any) -> int:
    try:
        main(*arguments)
    except KeyboardInterrupt:
        return _stopped(terminal)
    except UsersCodeError as error:
        _show(error.__cause__, terminal)
        return _fail(terminal.errors, error)
    except (UserError, OSError) as error:
        said = _refused(error) if isinstance(error, OSError) else error
        return _stopped(terminal) if terminal.asked else _fail(terminal.errors, said)
    except MemoryError:
        return _fail(terminal.errors, _NO_MEMORY)
    except Exception as error:
        if terminal.asked:  # a library made something else of it
            return _stopped(terminal)
        if type(error).__name__ == "ResourceExhaustedError":  # TensorFlow's
            return _fail(terminal.errors, _NO_MEMORY)
        _show(error, terminal)
        return _fail(terminal.errors, "this is a fault of lth_tf, not of yours; please report it")
    return 0


def _show(error: BaseException | None, terminal: Terminal) -> None:
    """Writes an error's traceback to the log, if there is one, and to the terminal."""
    if error is None:  # one of another process, whose log has it
        return
    with contextlib.suppress(OSError):  # the disk that has the log may be full
        traceback.print_exception(error)
    traceback.print_exception(error, file=terminal.errors)


def _refused(error: OSError) -> str:
    """Says what the system refused, and of which file."""
    place = f"{os.fsdecode(error.filename)}: " if error.filename else ""
    return f"{place}{reason_of(error)}"


def _stopped(terminal: Terminal) -> int:
    goes_on = " The same command continues it." if terminal.can_continue else ""
    print(f"Stopped.{goes_on}", file=terminal.errors)
    return exit_code(terminal.asked or signal.SIGINT)


def _check_flag_files(arguments: Sequence[str], depth: int = 0) -> None:
    """Checks that flag files are texts, before absl opens them.

    Raises:
        UserError: if one is something else, or they name each other without end.
    """
    for argument, after in itertools.pairwise([*arguments, ""]):
        name, equals, value = argument.partition("=")
        if name not in ("--flagfile", "-flagfile"):
            continue
        path = Path(os.path.expanduser(value if equals else after))
        try:
            text = read_text(path, _MOST_FLAGS)
        except UserError as error:
            raise UserError(f"--flagfile={path}: {str(error).removeprefix(f'{path}: ')}") from None
        if "\0" in text:
            raise UserError(f"--flagfile={path}: must be UTF-8 text, but has zero bytes")
        if depth > 16:
            raise UserError(f"--flagfile={path}: flag files must not name each other in a circle")
        _check_flag_files([line.strip() for line in text.splitlines()], depth + 1)


def define_named_functions(values: flags.FlagValues) -> None:
    """Defines the flags by which a user names the functions that a run's files name.

    Args:
        values: where they are defined.
    """
    for name, what in (("model", "network"), ("dataset", "data")):
        flags.DEFINE_string(
            name,
            None,
            f"The run's {what}, where a user's function makes them, as in "
            f"package.module:function: what merely stands in a file is never imported.",
            flag_values=values,
        )


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
            value = "" if flag.boolean else f"={_PLACEHOLDERS[flag.flag_type()]}"
            text = flag.help.removesuffix(_REPEAT) + _default_text(flag.default)
            lines.append(f"  --{name}{value}")
            lines.append(textwrap.indent(textwrap.fill(text, 90), " " * 6))
        lines.append("")
    lines.append("Flags can also stand in a file, one a line: --flagfile=FILE.")
    return "\n".join(lines)


def _default_text(default: Any) -> str:
    if default is None or default is False or default == []:
        return ""
    text = ",".join(default) if isinstance(default, list) else default
    return f" Default: {text}."


def present_flags(values: flags.FlagValues) -> list[flags.Flag]:
    """Lists the flags that stand in a command line, none by its former name."""
    aliases = {alias for names in FORMER_NAMES.values() for alias in names}
    return [values[name] for name in sorted(values) if values[name].present and name not in aliases]


def command(module: str, arguments: Sequence[str], values: flags.FlagValues | None = None) -> str:
    """Returns the command line that a binary was called by, to be kept with what it wrote.

    Args:
        module: the binary, as in lth_tf.report.
        arguments: what was no flag.
        values: its flags, if there are any.
    """
    found = [] if values is None else present_flags(values)
    # A flag that was given several times is written so, a line each.
    texts = [
        f.serialize().split("\n") if isinstance(f, flags.MultiFlag) else [f.serialize()]
        for f in found
    ]
    present = [text for each in texts for text in each]
    return shlex.join(["python", "-m", module, *arguments, *present])


def choices_text(choices: Mapping[str, Any]) -> str:
    """Returns what a registry's entries are, each with its name, for a flag's help."""
    text = "; ".join(f"{name}: {entry.help}" for name, entry in choices.items())
    return text.replace("`", "") + "."


def _fail(stream: IO[str], error: Any) -> int:
    with contextlib.suppress(OSError):
        print(f"lth_tf: {one_line(str(error))}", file=stream, flush=True)
    return 1
