"""An opened run's networks do what was measured of them when they were trained."""

import csv

import numpy as np
import pytest

import lth_tf
from lth_tf.errors import UserError
from lth_tf.runs.experiment import Training
from lth_tf.training import evaluation


@pytest.fixture(scope="module")
def opened(reference):
    """A run of two replicates."""
    return lth_tf.open_run(reference)


def test_losses_and_accuracies_are_those_of_the_training(opened, reference):
    for result in opened.results:
        training = Training(result.replicate, result.level, result.arm)
        *_, last = csv.DictReader((reference / training.path / "metrics.csv").open())
        validation = opened.evaluate(training, "validation")
        assert validation.loss == pytest.approx(float(last["validation_loss"]), rel=1e-5)
        assert validation.metric == float(last["validation_accuracy"])
        assert opened.evaluate(training).metric == result.test_accuracy_final
        assert opened.evaluate(training, "train").metric == result.train_accuracy_final


def test_weights_are_evaluated_on_the_replicates_examples(opened):
    training = Training(1, 2, "ticket")
    weights = opened.weights(training)
    theirs = opened.evaluate(weights, "validation", replicate=1)
    assert theirs == opened.evaluate(training, "validation")
    assert theirs != opened.evaluate(weights, "validation")  # of replicate 0
    assert opened.evaluate(weights) == opened.evaluate(training)
    inputs, targets = opened.examples("validation", 1)
    right = opened.logits(weights, inputs).argmax(-1) == targets
    assert right.mean() == pytest.approx(theirs.metric)
    train, _ = opened.examples("train", 1)
    assert len(train) + len(inputs) == opened.data.train_size


def test_logits_are_the_models_and_come_in_pieces(opened, monkeypatch):
    training, other = Training(0, 2, "ticket"), Training(1, 0, "dense")
    images, _ = opened.examples("test")
    model = opened.model(training)
    whole = opened.logits(training, images)
    assert np.array_equal(whole, model.predict(images, len(images), verbose=0))
    assert not np.allclose(whole, opened.logits(other, images))
    # As a function of inputs of another number, in pieces of seven.
    monkeypatch.setattr(evaluation, "_INPUTS", 7 * 784)
    monkeypatch.setattr(evaluation, "_LAYERS", 0)
    sizes = []
    piece = evaluation._piece
    monkeypatch.setattr(
        evaluation, "_piece", lambda i, rows: sizes.append(len(i[rows])) or piece(i, rows)
    )
    pieces = opened.logits(training, images[:20])
    assert sizes == [7, 7, 6]
    np.testing.assert_allclose(pieces, whole[:20], rtol=1e-4, atol=1e-5)


def test_what_is_not_there_is_told(opened):
    with pytest.raises(UserError, match="replicate_00/level_07/ticket finished"):
        opened.model(Training(0, 7, "ticket"))
    with pytest.raises(UserError, match="must be one of train, validation, test"):
        opened.examples("held_out")
