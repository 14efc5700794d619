"""What a person sees while an experiment runs: how far it is, how good, and how long it takes."""

import datetime
import io
import logging
import re

import pytest
from rich.console import Console

from lth_tf.lottery import progress
from lth_tf.metric import ACCURACY
from lth_tf.paper.recipes import paper_recipe
from lth_tf.runs.experiment import Experiment, make_plan
from lth_tf.runs.results import Result
from lth_tf.training.measure import MetricsRow


def listener_on(console):
    experiment = Experiment(recipe=paper_recipe("vgg19"), rounds=20, replicates=2)
    return progress.ProgressListener(console, experiment, make_plan(experiment)), experiment


def row(iteration, accuracy):
    return MetricsRow(iteration, 0.1, 0.2, accuracy, 0.1)


def test_an_80_column_terminal_has_room_for_everything():
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    listener, experiment = listener_on(console)
    training = make_plan(experiment)[-1]
    with listener:
        listener.started(training, 0.0115, 0)
        listener.measured(training, row(112_480, 0.9123))
        listener._bar.refresh()
    text = console.file.getvalue()
    assert "replicate 1 level 20  112,480/112,480  validation 91.2% " in text
    assert re.search(r"  2% (-:--:--|\d+:\d\d:\d\d)", text)
    assert "…" not in text


@pytest.mark.parametrize(("pause", "lines"), [(3600, 0), (0, 2)])
def test_a_file_gets_a_line_now_and_then_with_the_remaining_time(monkeypatch, caplog, pause, lines):
    monkeypatch.setattr(progress, "_HEARTBEAT", pause)
    caplog.set_level(logging.INFO)
    listener, experiment = listener_on(Console(file=io.StringIO()))
    training = make_plan(experiment)[0]
    with listener:
        listener.started(training, 1.0, 0)
        for iteration in (0, 56_240):
            listener.measured(training, row(iteration, 0.5))
    assert len(caplog.messages) == lines
    expected = (("0", "unknown time"), ("56,240", r"\d+:\d\d:\d\d"))
    for message, (iteration, left) in zip(caplog.messages, expected, strict=False):
        assert re.fullmatch(
            rf"replicate 0 level  0  dense   100.00%  iteration {iteration}/112,480  "
            rf"validation 50.0%  {left} left",
            message,
        )


def test_what_was_trained_before_an_interruption_took_no_time_now(monkeypatch, caplog):
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(progress, "_HEARTBEAT", 0)
    caplog.set_level(logging.INFO)
    experiment = Experiment(recipe=paper_recipe("lenet"), rounds=0)  # 50,000 iterations
    (training,) = make_plan(experiment)
    listener = progress.ProgressListener(Console(file=io.StringIO()), experiment, [training])
    listener.started(training, 1.0, 49_000)
    for iteration in (0, 25_000, 49_000, 49_500):
        listener.measured(training, row(iteration, 0.5))
    left = [message.split("validation 50.0%  ")[1] for message in caplog.messages]
    # Half of what was left to do has taken as long as the clock says, and so will the other half.
    began, now = listener._began, next(clock) - 10
    assert left[:3] == ["unknown time left"] * 3
    assert left[3] == f"{datetime.timedelta(seconds=now - began)} left"


def test_a_layer_that_has_no_weights_is_named(caplog):
    caplog.set_level(logging.INFO)
    listener, experiment = listener_on(Console(file=io.StringIO()))
    training = make_plan(experiment)[1]
    layers = {"a/kernel": (0, 8), "b/kernel": (2, 8), "c/kernel": (0, 4)}
    result = Result(0, 1, "ticket", 0.1, 2, 100, 0.5, 0.1, 0.1, 200, 1.0, {}, layers)
    with listener:
        listener.finished(training, result)
    assert caplog.messages[1:] == [
        "replicate 0 level  1  ticket   10.00%  layer collapse: no weight is left of a, c"
    ]


def test_several_experiments_have_a_row_each_while_they_run_and_one_together(caplog):
    caplog.set_level(logging.INFO)
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    experiment = Experiment(recipe=paper_recipe("lenet"), rounds=1)
    plan = make_plan(experiment)
    with progress.ProgressTable(console, 2 * len(plan)) as table:
        one, two = (table.listener(name, experiment, plan, ACCURACY) for name in ("one", "two"))
        one.started(plan[0], 1.0, 0)
        one.measured(plan[0], row(25_000, 0.9))
        drawn = "".join(map(str, visible(table)))
        assert "one  replicate 0 level 0  25,000/50,000  validation 90.0%" in drawn
        assert "all experiments  0/4 trainings" in drawn and "two" not in drawn
        for training in plan:
            result = Result(
                0, training.level, training.arm, 1.0, 9, 100, 0.5, 0.9, 0.9, 200, 1.0, {}, {}
            )
            one.finished(training, result)
        two.started(plan[0], 1.0, 0)
        drawn = "".join(map(str, visible(table)))
        assert "one" not in drawn and "two  replicate 0 level 0  compiling" in drawn
        assert "all experiments  2/4 trainings" in drawn
    assert caplog.messages[0].startswith("one  replicate 0 level  0  dense ")


def visible(table):
    return [task.description for task in table._bar.tasks if task.visible]
