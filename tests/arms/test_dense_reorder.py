"""The dense network in another order: from where tickets start, at level 0, and nowhere else."""

import numpy as np
import pytest

from lth_tf import report
from lth_tf.lottery.opened_run import open_run
from lth_tf.paper.recipes import paper_recipe
from lth_tf.runs.experiment import Experiment, Training, make_plan
from lth_tf.runs.store import Store
from lth_tf.studies.connectivity import OTHER_ORDER, Connectivity

COPY, DENSE = Training(0, 0, "dense_reorder_0"), Training(0, 0, "dense")


def test_it_is_planned_at_level_0_and_runs_without_it_are_as_they_were():
    def plan(*arms):
        recipe = paper_recipe("lenet")
        experiment = Experiment(recipe=recipe, rounds=1, arms=("ticket", *arms), reinits=2)
        return experiment, [(t.level, t.arm) for t in make_plan(experiment)]

    experiment, planned = plan("dense_reorder")
    assert planned == [(0, "dense"), (0, "dense_reorder_0"), (0, "dense_reorder_1"), (1, "ticket")]
    assert experiment.parent(COPY) == DENSE and experiment.parent(DENSE) is None
    _, planned = plan("reorder")
    assert planned == [(0, "dense"), (1, "ticket"), (1, "reorder_0"), (1, "reorder_1")]


@pytest.mark.parametrize(("rewind", "start"), [("0", "initial"), ("20", "rewind"), ("lr", None)])
def test_it_starts_where_tickets_do_and_ends_elsewhere(run, tmp_path, rewind, start):
    flags = ("--arms=ticket,dense_reorder", "--rounds=1", "--iterations=40", f"--rewind={rewind}")
    assert run(tmp_path, "--name=e", *flags) == 0
    folder = tmp_path / "e"
    store, opened = Store(folder), open_run(folder)
    found = opened.initial_weights(COPY)
    expected = store.read_arrays(DENSE, start or "initial")
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert store.result(COPY).iterations == 40 and store.result(COPY).density == 1
    ends = [opened.weights(training) for training in (DENSE, COPY)]
    assert all((ends[0][name] != ends[1][name]).any() for name in opened.masks(DENSE))
    assert all(mask.all() for mask in opened.masks(COPY).values())
    first, *_ = Connectivity(points=2).compute(opened)
    assert (first.level, first.other, first.arm) == (0, OTHER_ORDER, COPY.arm)
    assert report.main(["lth_tf.report", str(folder)]) == 0
    assert "| dense reorder |" in (folder / "report/report.md").read_text()
