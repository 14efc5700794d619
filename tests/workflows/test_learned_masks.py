"""--strategy=supermask: each level is a training of the mask; what it finds is m * theta_0."""

import numpy as np
import pytest

from lth_tf.lottery import worker
from lth_tf.lottery.tickets import ticket
from lth_tf.recipe import Recipe
from lth_tf.runs.experiment import Training
from lth_tf.runs.store import Store

FLAGS = (
    *("--strategy=supermask", "--rounds=1", "--arms=ticket,constant_same_sign", "--name=e"),
    *("--mask_learning_rate=0.05", "--prune_dense=0.5", "--prune_output=0.5"),
)


def test_the_density_that_is_reached_is_recorded_and_the_result_is_m_theta_0(run, rows, tmp_path):
    assert run(tmp_path, *FLAGS) == 0
    store = Store(tmp_path / "e")
    theta = store.read_arrays(Training(0, 0, "dense"), "initial")
    found = {row["arm"]: row for row in rows(tmp_path / "e")}
    for arm in ("ticket", "constant_same_sign_0"):
        row, training = found[arm], Training(0, 1, arm)
        masks, weights = store.read_masks(training), store.read_arrays(training, "weights")
        kept = sum(mask.sum() for mask in masks.values())
        assert int(row["remaining"]) == kept != 266_200 // 2
        assert float(row["density"]) == kept / 266_200
        assert row["test_accuracy_untrained"] == row["test_accuracy_final"]
        assert float(row["test_accuracy_final"]) > 0.5
        assert store.read_arrays(training, "scores").keys() == masks.keys()
        for name, mask in masks.items():
            start = theta[name]
            if arm != "ticket":
                start = np.copysign(theta[name].std(), theta[name])
            np.testing.assert_array_equal(weights[name], np.where(mask, start, 0))
            exported = ticket(store, training)
            np.testing.assert_array_equal(exported.weights[name], weights[name])


def test_a_diverged_training_names_the_rate_that_it_had():
    recipe = Recipe(learning_rate=1e-3, mask_learning_rate=100)
    assert "--mask_learning_rate=100 is large" in worker._likely_cause(recipe, trains_weights=False)
    assert not worker._likely_cause(recipe, trains_weights=True)
    assert "--learning_rate=9 is large" in worker._likely_cause(Recipe(learning_rate=9), False)


@pytest.mark.parametrize("arm", ["random_mask", "inverted_mask"])
def test_arms_of_other_masks_are_refused(run, capfd, tmp_path, arm):
    flags = [flag for flag in FLAGS if not flag.startswith("--arms")]
    assert run(tmp_path, *flags, f"--arms=ticket,{arm}") == 1
    assert f"--arms={arm}: must be left out with --strategy=supermask" in capfd.readouterr().err
