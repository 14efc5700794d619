"""How far weights move, by hand and against a run's arrays."""

import dataclasses

import numpy as np
import pytest

from lth_tf.lottery.opened_run import open_run
from lth_tf.runs.experiment import Training
from lth_tf.runs.run import read_runs
from lth_tf.studies.movement import WeightMovement, away_from_zero
from lth_tf.studies.rows import read_rows, rows_csv


def test_movement_away_from_zero_by_hand():
    initial, final = np.array([[0.5, -0.5], [0.5, -0.5]]), np.array([[0.75, -0.75], [-0.5, 0.25]])
    np.testing.assert_array_equal(away_from_zero(initial, final), [[0.25, 0.25], [-1, -0.75]])


def test_rows_are_those_of_the_arrays(reference, tmp_path):
    study, run = WeightMovement(), open_run(reference)
    rows = study.compute(run)
    assert [(r.replicate, r.level) for r in rows[::3]] == [(r, n) for r in (0, 1) for n in range(3)]
    ticket = Training(1, 2, "ticket")
    theta, dense = run.initial_weights(ticket.dense), run.weights(ticket.dense)
    final, masks = run.weights(ticket), run.masks(ticket)
    for row in rows[-3:]:
        mask, start = masks[row.layer], np.float64(theta[row.layer])
        moved = dense[row.layer] - start
        away = moved * np.sign(start) > 0
        assert row.dense_kept == pytest.approx(np.abs(moved[mask]).mean(), rel=1e-5)
        assert row.dense_others == pytest.approx(np.abs(moved[~mask]).mean(), rel=1e-5)
        assert row.dense_kept_away == pytest.approx(away[mask].mean())
        assert row.dense_others_away == pytest.approx(away[~mask].mean())
        towards = moved * np.sign(start) < 0  # those that did not move at all are neither
        assert sum(row.histogram[:30]) == pytest.approx(towards[mask].sum(), abs=2)
        end = final[row.layer][mask]
        assert row.distance == pytest.approx(np.abs(end - start[mask]).mean(), rel=1e-5)
        assert row.sign_changes == pytest.approx((np.sign(end) != np.sign(start[mask])).mean())
    assert rows[0].dense_others is None and rows[0].dense_kept == rows[0].distance
    path = tmp_path / "rows.csv"
    path.write_text(rows_csv(rows))
    assert read_rows(path, study.row) == rows
    ratio = np.mean([r.dense_kept for r in rows if (r.level, r.layer) == (2, "dense1/kernel")])
    ratio /= np.mean([r.dense_others for r in rows if (r.level, r.layer) == (2, "dense1/kernel")])
    assert ratio > 1 and f"{ratio:.2f} in dense1" in study.sentence(rows)


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("transfer", "It needs tickets of the run's own dense networks"),
        ("set", "Weights that --strategy=set grows start at zero, not at θ0."),
        ("gradual", ""),
        ("edge_popup", ""),  # its masks grow too, but no weight moves
    ],
)
def test_strategies_whose_weights_do_not_start_at_the_runs_own_are_refused(
    reference, strategy, said
):
    (run,) = read_runs([reference])
    ticket = "0" if strategy == "transfer" else None
    other = dataclasses.replace(run.experiment, strategy=strategy, ticket=ticket)
    lacks = WeightMovement().lacks(dataclasses.replace(run, experiment=other))
    assert lacks.startswith(said) and bool(said) == bool(lacks)
