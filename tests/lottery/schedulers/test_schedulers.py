"""What any scheduler does: it trains each after what it needs, and stops where it is asked to."""

import concurrent.futures
import errno
import multiprocessing
import os
import threading
import time

import pytest

from lth_tf.errors import UserError
from lth_tf.lottery.inputs import Inputs
from lth_tf.lottery.network import Network
from lth_tf.lottery.schedulers import Queued
from lth_tf.lottery.schedulers.in_turn import InTurn
from lth_tf.lottery.schedulers.processes import Processes, _Jobs
from lth_tf.paper.recipes import paper_recipe
from lth_tf.runs.experiment import Experiment, make_plan
from lth_tf.runs.provenance import describe_start
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store

JOBS = {InTurn: 1, Processes: 2}


class Events:
    """A listener that keeps what it hears."""

    def __init__(self):
        self.heard = []

    def started(self, training, density, iteration):
        """A training starts."""
        self.heard.append((training, "started"))

    def measured(self, training, row):
        """A training was evaluated."""
        self.heard.append((training, row.iteration))

    def finished(self, training, result):
        """A training is complete."""
        self.heard.append((training, "finished"))


@pytest.fixture(params=JOBS, ids=lambda scheduler: scheduler.__name__)
def made(request, tmp_path):
    """Runs an experiment that has begun by a scheduler; its plan and its store."""
    recipe = paper_recipe("lenet").override(
        dataset="mnist_5k", validation_size=500, iterations=20, eval_every=10
    )
    experiment = Experiment(recipe=recipe, rounds=1, arms=("ticket", "reinit"))
    settings = Settings(jobs=JOBS[request.param], threads=0, xla="off")
    network = Network(experiment, Inputs().info(recipe, None))
    store = Store(tmp_path)
    store.begin(experiment, network.data, describe_start((), settings), network.described)
    plan, scheduler = make_plan(experiment), request.param(settings, tmp_path)

    def run(events, should_stop=lambda: False, pending=plan):
        return scheduler.run(
            [Queued(network, Inputs(), store, settings, pending, events)], should_stop
        )

    return run, plan, store


def test_it_trains_each_after_its_needs_and_tells_the_listener(made):
    run, plan, store = made
    events = Events()
    assert run(events) == {}
    assert all(store.is_done(training) for training in plan) and len(plan) == 3
    written = (store.folder / "results.csv").read_text().splitlines()
    assert len(written) == 1 + len(plan)
    for training in plan:
        heard = [what for who, what in events.heard if who == training]
        assert heard == ["started", 0, 10, 20, "finished"]
    dense, *others = plan
    for other in others:
        assert events.heard.index((dense, "finished")) < events.heard.index((other, "started"))


def test_it_stops_where_it_is_asked_to_and_keeps_the_state(made):
    run, plan, store = made
    events = Events()
    with pytest.raises(KeyboardInterrupt):
        run(events, lambda: (plan[0], "started") in events.heard)
    assert events.heard[0] == (plan[0], "started")
    assert not any(store.is_done(training) for training in plan[1:])


def test_inputs_that_other_processes_cannot_have_are_refused(monkeypatch):
    def locked():
        return lock

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    lock = threading.Lock()
    locked.__module__ = "__main__"  # as in a notebook
    told = r"--jobs: must be 1 where .* as a lock; define it in a module \(cannot pickle"
    with pytest.raises(UserError, match=told), Inputs(locked).saved():
        pass
    monkeypatch.setattr("joblib.dump", full)
    told = r"/inputs: could not be written \(No space left on device\)"
    with pytest.raises(UserError, match=told), Inputs(metric="mae").saved():
        pass


def test_who_asks_a_second_time_does_not_wait_for_the_jobs(tmp_path):
    jobs = _Jobs({}, 1, tmp_path, 0)
    context = multiprocessing.get_context("spawn")
    jobs._pools = [concurrent.futures.ProcessPoolExecutor(1, context)]
    future = jobs._pools[0].submit(time.sleep, 20)  # a job between two evaluations
    jobs._running[future] = None, None, 0
    asked = iter([True])

    def should_stop():
        for first in asked:
            return first
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jobs.run(should_stop)
    assert isinstance(future.exception(), concurrent.futures.process.BrokenProcessPool)


def test_nothing_to_do_is_done(made):
    assert made[0](Events(), pending=[]) == {}
    assert not list(made[2].folder.glob("replicate_*"))
