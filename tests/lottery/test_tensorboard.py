"""TensorBoard's own reader finds every training's scalars, histograms and hyperparameters."""

import json

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.util.tensor_util import make_ndarray

from lth_tf.lottery.tensorboard import TensorBoardLog
from lth_tf.metric import Metric
from lth_tf.paper.recipes import paper_recipe
from lth_tf.runs.experiment import DENSE, Experiment, Training
from lth_tf.training.measure import MetricsRow

LAYERS = ("dense1", "dense2", "output")


@pytest.fixture(scope="module", params=["level_00/dense", "level_01/ticket"])
def folder(request, rewound):
    return rewound / "replicate_00" / request.param


@pytest.fixture(scope="module")
def events(folder):
    return EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()


def scalars(events, tag):
    return {event.step: make_ndarray(event.tensor_proto).item() for event in events.Tensors(tag)}


def test_scalars_are_those_of_metrics_csv(events, folder):
    lines = (folder / "metrics.csv").read_text().splitlines()
    tags = {
        "train_loss": "loss/train",
        "validation_loss": "loss/validation",
        "validation_accuracy": "accuracy/validation",
        "test_accuracy": "accuracy/test",
        "train_accuracy": "accuracy/train",
    }
    assert lines[0].split(",")[1:] == list(tags)
    for place, tag in enumerate(tags.values(), 1):
        rows = (line.split(",") for line in lines[1:])
        wanted = {int(row[0]): float(row[place]) for row in rows if row[place]}
        assert scalars(events, tag) == pytest.approx(wanted, rel=1e-6)


def test_a_network_that_is_judged_by_its_loss_has_tags_beside_those_of_the_losses(tmp_path):
    experiment, training = Experiment(recipe=paper_recipe("lenet"), rounds=0), Training(0, 0, DENSE)
    with TensorBoardLog(tmp_path, experiment, training, Metric.named("loss")) as log:
        log.row(MetricsRow(10, 0.1, 0.2, 0.3, learning_rate=0.01))
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()
    wanted = {"loss/train": 0.1, "loss/validation": 0.2, "mean_loss/validation": 0.3}
    assert {tag: scalars(events, tag)[10] for tag in wanted} == pytest.approx(wanted)


def test_the_learning_rate_is_there_at_every_evaluation(events, folder):
    first = 20 if "level_01" in str(folder) else 0
    assert scalars(events, "learning_rate") == pytest.approx(
        dict.fromkeys(range(first, 201, 20), 0.01)
    )


def test_densities_and_surviving_weights_are_by_layer(events, folder):
    result = json.loads((folder / "result.json").read_text())
    first = 20 if result["level"] else 0
    assert scalars(events, "density/all") == pytest.approx(
        dict.fromkeys(range(first, 201, 20), result["density"])
    )
    for layer in LAYERS:
        left, size = result["layers"][f"{layer}/kernel"]
        assert scalars(events, f"density/{layer}") == pytest.approx({200: left / size})
        (event,) = events.Tensors(f"surviving_weights/{layer}")
        histogram = make_ndarray(event.tensor_proto)  # left edge, right edge, count
        assert event.step == 200
        assert np.isclose(histogram[:, 2].sum(), left)
        content = events.SummaryMetadata(f"surviving_weights/{layer}").plugin_data
        assert content.plugin_name == "histograms"


def test_hyperparameters_are_the_recipe(events, folder):
    content = events.PluginTagToContent("hparams")[metadata.SESSION_START_INFO_TAG]
    found = HParamsPluginData.FromString(content).session_start_info.hparams
    assert found["model"].string_value == "lenet"
    assert found["learning_rate"].number_value == 0.01
    assert found["rewind"].string_value == "20"
    assert found["level"].number_value == int(folder.parent.name[-2:])
    assert {"optimizer", "batch_size", "prune_dense", "seed", "replicate"} <= set(found)
