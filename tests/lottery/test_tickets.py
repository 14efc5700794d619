"""The ticket of any finished training holds what its run directory says of it."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from lth_tf.errors import UserError
from lth_tf.lottery.tickets import ticket
from lth_tf.runs.experiment import Training
from lth_tf.runs.store import Store


@pytest.fixture(scope="module")
def kept(run, tmp_path_factory):
    """The run directory of an experiment with a control, whose tickets keep their weights."""
    runs_dir = tmp_path_factory.mktemp("kept")
    flags = ("--name=e", "--rounds=2", "--rewind=lr", "--iterations=40")
    flags += ("--arms=ticket,reinit,random_mask",)
    assert run(runs_dir, *flags) == 0
    return runs_dir / "e"


@pytest.mark.parametrize("run_of", ["reference", "rewound", "kept"])
def test_every_finished_training_has_its_masks_weights_and_metadata(request, run_of):
    folder = request.getfixturevalue(run_of)
    store, experiment = Store(folder), json.loads((folder / "experiment.json").read_text())
    known = {name: experiment[name] for name in ("recipe", "data", "strategy", "seed")}
    for training in store.finished():
        found, there = ticket(store, training), folder / training.path
        assert found.trained.keys() == load_file(there / "weights.safetensors").keys()
        for name, array in load_file(there / "weights.safetensors").items():
            assert np.array_equal(found.trained[name], array)
        result = json.loads((there / "result.json").read_text())
        remaining = {name: int(mask.sum()) for name, mask in found.masks.items()}
        assert remaining == {name: left for name, (left, _) in result["layers"].items()}
        metadata = found.metadata
        assert {name: metadata[name] for name in known} == known
        for name in ("replicate", "level", "arm", "density", "remaining"):
            assert metadata[name] == result[name]
        assert metadata["metrics"].items() <= result.items()
        assert "test_accuracy_final" in metadata["metrics"]
        assert metadata["versions"] == experiment["starts"][-1]["versions"]
    assert len(store.finished()) == {"reference": 6, "rewound": 2, "kept": 7}[run_of]


@pytest.mark.parametrize(
    ("run_of", "level", "arm", "iteration", "source"),
    [
        ("reference", 0, "dense", 0, "level_00/dense/initial"),
        ("reference", 2, "ticket", 0, "level_00/dense/initial"),
        ("rewound", 0, "dense", 0, "level_00/dense/initial"),
        ("rewound", 1, "ticket", 20, "level_00/dense/rewind"),
        ("kept", 2, "ticket", 40, "level_01/ticket/weights"),
        ("kept", 1, "random_mask_0", 40, "level_00/dense/weights"),
        ("kept", 2, "random_mask_0", 40, None),
        ("kept", 2, "reinit_0", 0, None),
    ],
)
def test_the_weights_are_of_the_iteration_that_is_told(
    request, run_of, level, arm, iteration, source
):
    folder = request.getfixturevalue(run_of)
    found = ticket(Store(folder), Training(0, level, arm))
    assert found.metadata["iteration"] == iteration
    named = source or "level_00/dense/initial"
    theta = load_file(folder / "replicate_00" / f"{named}.safetensors")
    same = [np.array_equal(found.weights[n], theta[n] * m) for n, m in found.masks.items()]
    assert same == [source is not None] * 3


def test_a_controls_mask_keeps_no_weights_that_were_zeroed(kept):
    """But those that the dense network ended with, before they were pruned."""
    store, random = Store(kept), Training(0, 2, "random_mask_0")
    parent, dense = Training(0, 1, "ticket"), random.dense
    found, known = ticket(store, random), store.read_masks(parent)
    for name, mask in found.masks.items():
        both, lost = mask & known[name], mask & ~known[name]
        assert both.any() and lost.any()
        for chosen, source in ((both, parent), (lost, dense)):
            there = store.read_arrays(source, "weights")[name]
            np.testing.assert_array_equal(found.weights[name][chosen], there[chosen])
        assert np.count_nonzero(found.weights[name]) == np.count_nonzero(mask)


def test_a_training_that_is_not_finished_has_no_ticket(reference):
    with pytest.raises(UserError, match="replicate_00/level_07/ticket finished"):
        ticket(Store(reference), Training(0, 7, "ticket"))
