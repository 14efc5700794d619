"""Standardised images: the constants are kept with the run and go with its ticket."""

import json

import numpy as np
import pytest

from lth_tf.data import load
from lth_tf.formats.ticket import Ticket
from lth_tf.lottery.tickets import ticket
from lth_tf.runs.experiment import Training
from lth_tf.runs.store import Store

FLAGS = ("--name=e", "--scaling=standardize", "--rounds=1", "--iterations=40")


@pytest.fixture(scope="module")
def standardized(run, tmp_path_factory):
    """The run directory of an experiment on standardised images."""
    runs_dir = tmp_path_factory.mktemp("standardized")
    assert run(runs_dir, *FLAGS) == 0
    return runs_dir / "e"


def test_the_run_and_its_ticket_keep_the_constants(standardized, tmp_path):
    images = load("mnist_5k").train_images / 255
    data = json.loads((standardized / "experiment.json").read_text())["data"]
    assert data["mean"] == [pytest.approx(images.mean(), abs=5e-5)]
    assert data["deviation"] == [pytest.approx(images.std(), abs=5e-5)]

    path = tmp_path / "ticket.safetensors"
    ticket(Store(standardized), Training(0, 1, "ticket")).save(path)
    scale = Ticket.load(path).model().get_layer("scale")
    inner = scale(load("mnist_5k").train_images).numpy()
    np.testing.assert_allclose([inner.mean(), inner.std()], [0, 1], atol=1e-3)


def test_another_scaling_is_another_experiment(standardized, run, capfd):
    assert run(standardized.parent, *FLAGS[:1], *FLAGS[2:]) == 1
    assert "scaling is standardize there, unit here" in capfd.readouterr().err
