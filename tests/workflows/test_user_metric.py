"""A run that is judged by an error: everything that it shows names it and counts less as better."""

import re

import numpy as np
import pytest
import tf_keras as keras
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lth_tf.errors import UserError
from lth_tf.metric import Metric
from lth_tf.recipe import Recipe
from lth_tf.runs.experiment import Training
from lth_tf.runs.results import read_results_csv, results_csv
from lth_tf.runs.run import read_curve
from lth_tf.runs.store import Store
from lth_tf.workflows.find_tickets import find_tickets

ERROR = Metric.named("mean_absolute_error")


def network():
    model = keras.Sequential(
        [keras.layers.Dense(16, activation="relu", input_shape=(4,)), keras.layers.Dense(1)]
    )
    model.compile("adam", "mse", metrics=["mean_absolute_error"])
    return model


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(200, 4)).astype(np.float32)
    targets = inputs.sum(axis=1, keepdims=True)
    parts = [(inputs[rows], targets[rows]) for rows in np.split(np.arange(200), [120, 160])]
    recipe = Recipe(iterations=60, eval_every=20, batch_size=20, learning_rate=0.01)
    folder = tmp_path_factory.mktemp("error") / "run"
    return find_tickets(network, *parts, recipe, rounds=1, replicates=2, folder=folder)


@pytest.fixture(scope="module")
def errors(found):
    """Test errors at early stopping: arrays over replicates, by arm."""
    by_arm = found.results.groupby("arm")["test_mean_absolute_error_at_early_stop"]
    return {arm: values.to_numpy() for arm, values in by_arm}


def test_the_verdict_says_by_how_much_the_ticket_errs_less(found, errors):
    gain = (errors["dense"] - errors["ticket"]).mean()
    assert f"test mean absolute error better by {ERROR.difference(gain)} (" in found.verdict
    page = (found.folder / "report" / "report.md").read_text()
    assert "test mean absolute error at early stopping, dense minus ticket |" in page
    assert f" | {ERROR.difference(gain)} (" in page


def test_the_margin_is_a_hundredth_of_the_dense_networks_error(found, errors):
    margin = ERROR.short(0.01 * errors["dense"].mean())
    page = (found.folder / "report" / "report.md").read_text()
    assert f"a ticket may be {margin} of test mean absolute error worse at early stopping" in page


def test_the_report_names_the_metric_and_has_per_cents_of_other_things_only(found, errors):
    out = found.folder / "report"
    page = (out / "report.md").read_text()
    for text in (page, *(path.read_text() for path in out.glob("*.svg"))):
        assert "accuracy" not in text.lower() and "points" not in text
    assert ERROR.number(errors["dense"].mean()) in page
    densities = {f"{100 * density:.3g}%" for density in found.results["density"]}
    shares = {"95%", "10%", "25%", *densities}
    without_intervals = re.sub(r"\(\d+ to \d+%\)", "", page)  # of how many tickets are as good
    assert set(re.findall(r"\S+%", without_intervals)) <= shares
    error_figure = (out / "run-test_mean_absolute_error_at_early_stop.svg").read_text()
    assert ">Test mean absolute error at early stopping</text>" in error_figure
    curves = (out / "run-mean_absolute_error_over_iterations.svg").read_text()
    assert ">Validation mean absolute error</text>" in curves


def test_columns_have_its_name_and_files_of_before_are_read_too(found, errors):
    """Nothing that a spreadsheet opens says accuracy; what an earlier version wrote is the same."""
    store = Store(found.folder)
    dense = Training(0, 0, "dense")
    texts = {
        path: path.read_text()
        for path in (
            found.folder / "results.csv",
            store.metrics_path(dense),
            found.folder / "report" / "levels.csv",
        )
    }
    for text in texts.values():
        assert "mean_absolute_error" in text and "accuracy" not in text
    assert "test_mean_absolute_error_final" in found._repr_html_()
    assert found.plot("test_mean_absolute_error_final").axes
    curve = read_curve(store, dense, "validation_accuracy")
    rows = read_results_csv(found.folder / "results.csv", ERROR)
    assert [row.test_accuracy_at_early_stop for row in rows if row.arm == "dense"] == [
        *errors["dense"]
    ]
    old = found.folder / "old.csv"
    old.write_text(results_csv(rows))
    assert "test_accuracy_final" in old.read_text()
    assert read_results_csv(old, ERROR) == rows
    with pytest.raises(UserError, match=r"must be one of .*test_mean_absolute_error_final"):
        found.plot("test_mse_final")
    assert set(curve) == {0, 20, 40, 60}


def test_log_and_tensorboard_name_it_too(found, errors):
    log = (found.folder / "run.log").read_text()
    assert f"test mean absolute error {ERROR.text(errors['dense'][0])}  at end: " in log
    (events,) = found.folder.glob("replicate_00/level_00/dense/events.*")
    tags = EventAccumulator(str(events)).Reload().Tags()["tensors"]
    assert {"mean_absolute_error/validation", "mean_absolute_error/test"} <= set(tags)
    assert not [tag for tag in tags if "accuracy" in tag]
