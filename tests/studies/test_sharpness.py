"""The largest eigenvalues of a Hessian, of a linear network, whose Hessian is known."""

import dataclasses

import numpy as np
import pytest
import tf_keras as keras

import lth_tf
from lth_tf.errors import UserError
from lth_tf.lottery.opened_run import open_run
from lth_tf.runs.experiment import Training
from lth_tf.studies.rows import read_rows, rows_csv
from lth_tf.studies.sharpness import HessianSharpness

RECIPE = lth_tf.Recipe(
    iterations=30, eval_every=10, batch_size=10, learning_rate=0.01, prune_output=0.5
)
SCALES = np.array([4.0, 2.0, 1.0, 0.5])


def linear():
    """The sum of four weighted inputs, under squared loss: its Hessian is 2 X'X / n."""
    model = keras.Sequential([keras.layers.Dense(1, use_bias=False, input_shape=(4,), name="y")])
    model.compile(loss="mse", metrics=["mae"])
    return model


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(120, 4)) * SCALES
    sets = (slice(60), slice(60, 90), slice(90, None))
    data = [(inputs[s], inputs[s] @ np.ones((4, 1))) for s in sets]
    folder = tmp_path_factory.mktemp("linear") / "r"
    return lth_tf.find_tickets(linear, *data, RECIPE, rounds=1, folder=folder, report=False).open()


def by_hand(inputs, kept):
    inputs = inputs[:, kept]
    return np.linalg.eigvalsh(2 * inputs.T @ inputs / len(inputs))[::-1]


def test_eigenvalues_are_those_of_the_remaining_weights(opened):
    inputs, _ = opened.examples("train")
    ticket = Training(0, 1, "ticket")
    for training, remaining in ((ticket.dense, 4), (ticket, 2)):
        kept = opened.masks(training)["y/kernel"].ravel()
        assert kept.sum() == remaining
        found = opened.hessian_eigenvalues(training, count=4)
        np.testing.assert_allclose(found, by_hand(inputs, kept), rtol=1e-3)
    sample, _ = opened.examples("train", count=20)
    (found,) = opened.hessian_eigenvalues(ticket.dense, examples=20)
    np.testing.assert_allclose(found, by_hand(sample, np.ones(4, bool))[0], rtol=1e-3)


def test_the_study_asks_networks_of_the_levels(opened, reference, tmp_path):
    study = HessianSharpness(examples=20, count=2)
    rows = study.compute(opened)
    assert [(row.level, row.kind, row.density) for row in rows] == [
        (0, "dense", 1.0),
        (1, "ticket", 0.5),
    ]
    for row in rows:
        training = Training(0, row.level, row.arm)
        assert list(row.eigenvalues) == opened.hessian_eigenvalues(training, 2, 20)
        assert row.loss == opened.evaluate(training, "train", count=20).loss
    path = tmp_path / "rows.csv"
    path.write_text(rows_csv(rows))
    assert read_rows(path, study.row) == rows
    largest = [f"{row.eigenvalues[0]:.3g}" for row in rows]
    assert f"{largest[0]} of the dense network, {largest[1]} of the tickets" in study.sentence(rows)
    with pytest.raises(UserError, match=r"--levels=9: .* has only of 0, 1, 2"):
        HessianSharpness(levels=(9,)).compute(open_run(reference))


def test_other_arms_are_not_asked(opened):
    dense, ticket = opened.results
    other = dataclasses.replace(ticket, arm="random_mask_0")
    with pytest.raises(UserError, match=r"--levels=1: .* has only of 0"):
        HessianSharpness(levels=(1,)).compute(dataclasses.replace(opened, results=[dense, other]))
    lacks = HessianSharpness().lacks(dataclasses.replace(opened, results=[other]))
    assert lacks == "No dense network, ticket or reinit is finished."
