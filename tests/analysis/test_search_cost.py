"""The figure of what searches cost: which levels of which runs it shows."""

import dataclasses
import types

from lth_tf.analysis.figures.points import SEARCH, SEARCH_WORK, WORK, Point
from lth_tf.analysis.figures.search_cost import (
    in_dense_trainings,
    panels_of,
    search_cost,
    search_costs,
)
from lth_tf.analysis.report.notes import search_note
from lth_tf.metric import Metric
from lth_tf.recipe import Recipe
from lth_tf.runs.experiment import Experiment
from lth_tf.runs.results import AT_EARLY_STOP, Result, read_results_csv, results_csv


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


def test_operations_are_drawn_in_per_cent_of_a_dense_training():
    def with_work(run, spent, of_dense):
        found = [dataclasses.replace(p, quantity=SEARCH_WORK) for p in points(run, spent)[::2]]
        dense = dataclasses.replace(found[0], arm="dense", quantity=WORK, mean=of_dense)
        return [*points(run, spent), *found, *([dense] if of_dense else [])]

    one, other = with_work("one", {0.2: 3e12}, 2e12), with_work("other", {0.21: 0.0}, 1e12)
    unknown = with_work("unknown", {0.21: 5e12}, None)
    every = in_dense_trainings([*one, *other, *unknown])
    panels = panels_of(every, AT_EARLY_STOP, SEARCH_WORK)
    costs = {run: cost.mean for run, (cost, _) in panels[0.21].items()}
    assert costs == {"one": 150, "other": 0}
    names = {name: name for name in ("one", "other", "unknown")}
    drawn = search_costs([*one, *other, *unknown], names, AT_EARLY_STOP, "x", Metric())
    assert [picture.name for picture in drawn] == [
        "compare-x-search_cost",
        "compare-x-search_cost_in_operations",
    ]
    assert all(picture.draw() for picture in drawn)


def test_results_of_before_the_column_are_read(tmp_path):
    def read(text):
        (tmp_path / "results.csv").write_text(text)
        return read_results_csv(tmp_path / "results.csv")

    result = Result(0, 1, "ticket", 0.8, 8, 100, 0.5, 0.9, 0.9, 200, 1.0, {}, {})
    result = dataclasses.replace(result, search_iterations=200)
    text = results_csv([result])
    assert read(text) == [result]
    columns = text.splitlines()[0].split(",").index(SEARCH)
    old = "\n".join(",".join(line.split(",")[:columns]) for line in text.splitlines())
    assert read(old) == [dataclasses.replace(result, search_iterations=None)]
    known = {name: value for name, value in vars(result).items() if name != SEARCH}
    assert Result.from_json(known).search_iterations is None


def test_the_report_says_when_masks_were_drawn_and_which_never_were():
    def note(*costs, strategy="early_bird"):
        results = [
            Result(number, level, "ticket", density, 8, 1, 0, 0, 0, 1000, 0, {}, {})
            for level, density in ((1, 0.5), (2, 0.04))
            for number in range(2)
        ]
        results = [
            dataclasses.replace(result, search_iterations=cost)
            for result, cost in zip(results, costs, strict=True)
        ]
        experiment = Experiment(recipe=Recipe(iterations=1000), rounds=2, strategy=strategy)
        return search_note(types.SimpleNamespace(experiment=experiment, results=results))

    text = note(400, 300, 200, 1000)
    assert "50% of the weights: at iteration 300 to 400 of 1,000, 600 to 700 saved. " in text
    assert (
        "4% of the weights: at iteration 200 of 1,000, 800 saved; never stable in 1 of 2 replicates"
    ) in text
    assert text.endswith("s of 4% of the weights and less never differ in more than 10%, so that "
                         "these were drawn as soon as there were five.")  # fmt: skip
    assert "50% of the weights: never stable in 2 of 2 replicates, so" in note(1000, 1000, 200, 200)
    assert note(400, 300, 200, 100, strategy="one_shot") == ""
