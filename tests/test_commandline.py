"""A binary keeps chatter off the terminal, tells mistakes in one line and puts everything back."""

import os
import signal
import sys

import pytest
from absl import flags

from lth_tf import commandline
from lth_tf.errors import UserError, users_code
from lth_tf.output import Stream

MANY = "lth_tf: Too many open files"
NO_MEMORY = f"lth_tf: {commandline._NO_MEMORY}\n"


def define(values):
    flags.DEFINE_integer("rounds", 10, "Pruned trainings.", flag_values=values)
    flags.DEFINE_integer("seed", 0, "Of all.", flag_values=values)
    flags.DEFINE_list("arms", ["ticket", "reinit"], "Arms.", flag_values=values)
    flags.DEFINE_bool("dry_run", False, "Print only.", flag_values=values)
    return {"Experiment": ["rounds", "seed", "arms"], "Run": ["dry_run"]}


def end(error):
    """A program that chatters on file descriptor 2, then ends with an error or without."""

    def main(values, terminal):
        os.write(2, b"chatter\n")
        print("result", values["rounds"].value)
        if error:
            raise error

    return main


def go(main, *argv):
    return commandline.run(define, main, "Usage.", ["program", *argv])


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (None, 0, ""),
        (UserError("--rounds=7: is odd"), 1, "lth_tf: --rounds=7: is odd\n"),
        (OSError(13, "Permission denied", "x"), 1, "lth_tf: x: Permission denied\n"),
        (OSError(24, "Too many open files"), 1, f"{MANY}: raise the limit, as by ulimit -n 4096\n"),
        (MemoryError(), 1, NO_MEMORY),
        (type("ResourceExhaustedError", (Exception,), {})("OOM"), 1, NO_MEMORY),
        (KeyboardInterrupt(), 130, "Stopped.\n"),
    ],
)
def test_the_terminal_shows_one_line_and_is_as_before(capfd, error, code, told):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    before = os.fstat(2)
    descriptors = len(os.listdir("/proc/self/fd"))
    assert go(end(error), "--rounds=7") == code
    assert capfd.readouterr() == ("result 7\n", told)
    os.write(2, b"back\n")
    assert capfd.readouterr().err == "back\n"
    assert os.path.samestat(os.fstat(2), before)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_choices_that_cannot_be_had_are_told_in_one_line(capfd):
    def broken(values):
        raise UserError("users: its entry point cannot be imported")

    assert commandline.run(broken, end(None), "Usage.", ["program"]) == 1
    assert capfd.readouterr() == ("", "lth_tf: users: its entry point cannot be imported\n")


def test_a_fault_of_ours_shows_its_traceback_and_asks_for_a_report(capfd):
    assert go(end(ZeroDivisionError("oops"))) == 1
    error = capfd.readouterr().err
    assert error.startswith("Traceback") and "ZeroDivisionError: oops" in error
    assert error.endswith("please report it\n") and "chatter" not in error


def test_a_fault_of_the_users_code_shows_its_traceback_here_and_in_the_log(
    capfd, tmp_path, monkeypatch
):
    monkeypatch.setattr(sys, "stderr", Stream(2, None))  # as outside of tests
    log = tmp_path / "run.log"

    def main(values, terminal):
        terminal.send_chatter_to(log)
        with users_code("--model=mine:network"):
            end(ZeroDivisionError("oops"))(values, terminal)

    assert go(main) == 1
    error = capfd.readouterr().err
    for text in (error, log.read_text()):
        assert "Traceback" in text and "ZeroDivisionError: oops\n" in text
    last = error.splitlines()[-1]
    assert last.startswith("lth_tf: --model=mine:network: its own code raised ZeroDivisionError:")
    assert error.count("Traceback") == 1


def test_a_kept_command_has_each_flag_once_by_its_name():
    values = flags.FlagValues()
    define(values)
    flags.DEFINE_string("criterion", None, "How.", flag_values=values)
    flags.DEFINE_alias("score", "criterion", flag_values=values)
    values(["program", "--score=random", "--seed=0"])
    kept = "python -m lth_tf.main 'a b' --criterion=random --seed=0"
    assert commandline.command("lth_tf.main", ["a b"], values) == kept
    assert commandline.command("lth_tf.report", ["a"]) == "python -m lth_tf.report a"


def test_chatter_goes_to_the_log_once_there_is_one(capfd, tmp_path):
    log = tmp_path / "run.log"

    def main(values, terminal):
        os.write(2, b"early\n")
        terminal.send_chatter_to(log)
        os.write(2, b"late\n")
        print("seen", file=terminal.errors)

    assert go(main) == 0
    assert log.read_text() == "early\nlate\n"
    assert capfd.readouterr().err == "seen\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_asks_a_heedful_program_and_stops_another_at_once(capfd, number):
    asked, wanted = [], 130 if number == signal.SIGINT else 143

    def heedful(values, terminal):
        asked.append(terminal.should_stop())
        os.kill(os.getpid(), number)
        asked.append(terminal.should_stop())
        if len(asked) == 2:
            raise KeyboardInterrupt

    def heedless(values, terminal):
        os.kill(os.getpid(), number)
        asked.append("went on")

    assert go(heedful) == wanted
    assert asked == [False, True]
    told = capfd.readouterr().err
    assert "Stopping at the next evaluation" in told
    assert told.endswith("Stopped. The same command continues it.\n")
    assert go(heedless) == wanted
    assert asked == [False, True]
    assert capfd.readouterr().err == "Stopped.\n"


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("stray", "stray: not understood"),
        ("--rounds=many", "--rounds=many"),
        ("--roundz=3", "Did you mean: rounds"),
        ("--flagfile=nowhere", "nowhere"),
        ("--flagfile=~nobody_of_that_name/x", "~nobody_of_that_name/x"),
        ("--dry_run=maybe", "--dry_run=maybe"),
    ],
)
def test_a_wrong_command_line_is_one_line(capfd, argument, told):
    assert go(pytest.fail, argument) == 1
    out, error = capfd.readouterr()
    assert out == "" and error.startswith("lth_tf: ") and error.count("\n") == 1
    assert told in error


def test_flag_files_count_as_flags(capfd, tmp_path):
    path = tmp_path / "a.flags"
    path.write_text("# a comment\n--rounds=3\n")
    assert go(end(None), f"--flagfile={path}") == 0
    assert capfd.readouterr().out == "result 3\n"


@pytest.mark.parametrize("argument", ["--help", "-h", "--helpfull"])
def test_help_has_groups_meanings_and_defaults(capfd, argument):
    assert go(pytest.fail, argument) == 0
    assert capfd.readouterr().out == (
        "Usage.\n\n"
        "Experiment:\n  --rounds=N\n      Pruned trainings. Default: 10.\n"
        "  --seed=N\n      Of all. Default: 0.\n"
        "  --arms=A,B,...\n      Arms. Default: ticket,reinit.\n\n"
        "Run:\n  --dry_run\n      Print only.\n\n"
        "Flags can also stand in a file, one a line: --flagfile=FILE.\n"
    )
