"""The benchmark measures every contestant, and torch's twin is the network that Keras trains."""

import json

import numpy as np
import pytest

from lth_tf import bench, models

CONTESTANTS = {"keras_tfmot", "keras", "torch", "lth_tf", "lth_tf_chunk"}


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed (extra bench)")


def test_json_has_every_contestant(capfd):
    argv = ["bench", "--model=lenet", "--iterations=20", "--repetitions=1", "--json"]
    assert bench.main(argv) == 0
    measured = json.loads(capfd.readouterr().out)
    (contest,) = measured["contests"]
    installed = measured["versions"]["torch"] is not None
    assert set(contest["contestants"]) == CONTESTANTS - (set() if installed else {"torch"})
    for found in contest["contestants"].values():
        assert len(found["repetitions"]) == 1
        assert found["milliseconds_per_iteration"] > 0
        assert found["ratio_to_lth_tf"] > 0
    assert contest["operations_per_iteration"] == 60 * (6 * 266_200 - 2 * 784 * 300)
    assert 0 < contest["chunk_share_of_rate"] < 1


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--model=lenet,lennet", "--model=lennet: must be one of"),
        ("--repetitions=0", "repetitions"),
        ("--dataset=no_such_set", "--dataset=no_such_set: there is no such data set"),
    ],
)
def test_a_mistake_is_told_in_one_line(capfd, flag, told):
    assert bench.main(["bench", flag]) == 1
    out, err = capfd.readouterr()
    assert not out
    assert told in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("name", models.NETWORKS)
def test_torch_twin_equals_keras(torch, name):
    shape = (28, 28, 1) if name == "lenet" else (32, 32, 3)
    assert_twins(torch, models.build(name, shape, 10, seed=0), shape)


@pytest.mark.parametrize("name", ["resnet18", "conv4"])
def test_torch_twin_pads_as_keras(torch, name):
    shape = (17, 38, 2)
    assert_twins(torch, models.build(name, shape, 10, seed=0), shape)


def assert_twins(torch, model, shape):
    """Compares a model with its twins, in inference and in training."""
    from lth_tf.benchmark.twin import Twin

    rng = np.random.default_rng(0)
    for variable in model.variables:
        if "kernel" not in variable.name:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    images = rng.integers(0, 256, (8, *shape), np.uint8)
    twins = [Twin(model, layout) for layout in (torch.contiguous_format, torch.channels_last)]
    for training in (False, True):
        expected = model(images, training=training).numpy()
        for twin in twins:
            found = twin.train(training)(torch.from_numpy(images)).detach().numpy()
            atol = 1e-3 * np.abs(expected).max()
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=atol)


def test_torch_twin_masks_kernels(torch):
    from lth_tf.benchmark.twin import Twin

    model = models.build("lenet", (28, 28, 1), 10, seed=0)
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 1), np.uint8)
    twin = Twin(model, torch.contiguous_format)
    twin.steps["dense2"].mask.zero_()
    model.get_layer("dense2").kernel.assign(np.zeros((300, 100)))
    found = twin(torch.from_numpy(images)).detach().numpy()
    np.testing.assert_allclose(found, model(images), atol=1e-5)
