"""The figure of what searches cost: which levels of which runs it shows."""

import dataclasses

from lth_tf.analysis.figures.points import SEARCH, Point
from lth_tf.analysis.figures.search_cost import panels_of, search_cost
from lth_tf.metric import Metric
from lth_tf.runs.results import AT_EARLY_STOP, Result, results_csv, results_of_csv


def points(run, costs):
    """A run's points: by density, what its tickets cost."""
    return [
        Point(run, level, density, "ticket", quantity, None, 1, value, value, value)
        for level, (density, cost) in enumerate(costs.items(), 1)
        for quantity, value in ((SEARCH, cost), (AT_EARLY_STOP, 1 - density / 10))
    ]


def shown(*of_runs):
    """Each panel's density, and each run's level and cost in it."""
    panels = panels_of([p for each in of_runs for p in each], AT_EARLY_STOP)
    return {
        density: {run: (cost.level, cost.mean, found.level) for run, (cost, found) in runs.items()}
        for density, runs in panels.items()
    }


def test_each_density_has_the_nearest_level_of_each_run_that_comes_near():
    iterative = points("iterative", {0.51: 300, 0.21: 700, 0.17: 800, 0.055: 1300, 0.021: 1800})
    rigl = points("rigl", {0.22: 0, 0.05: 0, 0.001: 0})
    early = points("early", {0.2: 90, 0.1: 80})
    assert shown(iterative, rigl, early) == {
        0.21: {"iterative": (2, 700, 2), "rigl": (1, 0, 1), "early": (1, 90, 1)},
        0.05: {"iterative": (4, 1300, 4), "rigl": (2, 0, 2)},
    }
    names = {name: name for name in ("iterative", "rigl", "early")}
    assert search_cost([*iterative, *rigl], names, AT_EARLY_STOP, "x", Metric()).draw()


def test_dense_runs_meet_at_the_sparsest_density_of_all():
    one, other = points("one", {0.8: 10, 0.64: 20, 0.51: 30}), points("other", {0.81: 5, 0.65: 6})
    assert shown(one, other) == {0.65: {"one": (2, 20, 2), "other": (2, 6, 2)}}
    assert shown(one) == {}
    unknown = [point for point in other if point.quantity != SEARCH]
    assert shown(one, unknown) == {}


def test_results_of_before_the_column_are_read():
    result = Result(0, 1, "ticket", 0.8, 8, 100, 0.5, 0.9, 0.9, 200, 1.0, {}, {})
    result = dataclasses.replace(result, search_iterations=200)
    text = results_csv([result])
    assert text.splitlines()[0].endswith(",search_iterations") and results_of_csv(text) == [result]
    old = "\n".join(line.rpartition(",")[0] for line in text.splitlines())
    assert results_of_csv(old) == [dataclasses.replace(result, search_iterations=None)]
    known = {name: value for name, value in vars(result).items() if name != SEARCH}
    assert Result.from_json(known).search_iterations is None
