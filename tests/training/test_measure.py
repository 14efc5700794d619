"""Each number of a training is what it says: early stopping, test accuracies, final weights."""

import numpy as np
import pytest
import tf_keras as keras

from lth_tf.pruning.kernels import named_weights
from lth_tf.training import evaluation
from lth_tf.training.arithmetic import layer_values
from lth_tf.training.evaluation import Evaluator, Sums, inference
from lth_tf.training.measure import DivergedError
from lth_tf.training.objective import CLASSIFICATION

# Overfits soon, so that the early-stopping iteration lies inside of the training.
SOON = {"model": "not_normalised", "optimizer": "adam", "learning_rate": 0.02}


def measure_by_hand(setting, weights, images, labels):
    """Mean loss and accuracy of a plain network with these weights."""
    model = setting.build(seed=0)
    for name, variable in named_weights(model).items():
        variable.assign(weights[name])
    logits = model(images).numpy().astype(np.float64)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]
    return losses.mean(), (logits.argmax(1) == labels).mean()


def test_early_stopping_and_test_accuracies(make):
    setting = make(**SOON, iterations=80, eval_every=10, marks=(12, 35))
    told = []
    trainer = setting.trainer()
    outcome = setting.train(trainer, on_row=lambda row: told.append(row.iteration))
    rows, early = outcome.rows, outcome.early_stop
    assert told == [row.iteration for row in rows] == [0, 10, 12, 20, 30, 35, 40, 50, 60, 70, 80]
    assert rows[0].train_loss is None and all(row.train_loss > 0 for row in rows[1:])

    losses = [row.validation_loss for row in rows]
    assert early is rows[int(np.argmin(losses))]
    assert 0 < early.iteration < 80 and early.iteration not in (12, 35)
    tested = {row.iteration: row.test_accuracy for row in rows if row.test_accuracy is not None}
    assert tested.keys() == {0, early.iteration, 12, 35, 80}

    test = setting.data.test_images, setting.data.test_labels
    trainer.recipe = setting.recipe.override(iterations=early.iteration)
    until_early = setting.train(trainer)
    for iteration, ended in ((early.iteration, until_early), (80, outcome)):
        row = next(row for row in rows if row.iteration == iteration)
        loss, accuracy = measure_by_hand(setting, ended.weights, *setting.held_out)
        assert row.validation_loss == pytest.approx(loss, rel=1e-5)
        assert row.validation_accuracy == pytest.approx(accuracy)
        assert tested[iteration] == pytest.approx(measure_by_hand(setting, ended.weights, *test)[1])
        assert tested[iteration] == ended.rows[-1].test_accuracy
        trained = measure_by_hand(setting, ended.weights, *setting.trained_on)[1]
        assert row.train_accuracy == pytest.approx(trained)
    assert sum(row.train_accuracy is not None for row in rows) == 2


def test_of_equal_losses_the_first_counts(make):
    """In steps that are too small to be seen, the network stays as it is."""
    setting = make(learning_rate=1e-30, model="not_normalised")
    outcome = setting.train(setting.trainer())
    assert len({row.validation_loss for row in outcome.rows}) == 1
    assert outcome.early_stop.iteration == 0
    tested = [row.test_accuracy for row in outcome.rows]
    assert tested == [tested[-1], None, None, tested[-1]]


def test_first_row_is_of_the_masked_start_and_last_of_the_final_weights(make):
    """Round after round, with the best weights put in for the test set in between, noise or not."""
    setting = make(optimizer="adam", learning_rate=0.05, dropout=0.4, augment="flip_crop")
    trainer = setting.trainer()
    stops = []
    for current in ({}, setting.masks, {}):
        outcome = setting.train(trainer, initial=setting.initial(masks=current))
        stops.append(outcome.early_stop.iteration)
        start = {name: w * current.get(name, 1) for name, w in setting.weights.items()}
        for row, weights in ((outcome.rows[0], start), (outcome.rows[-1], outcome.weights)):
            loss, _ = measure_by_hand(setting, weights, *setting.held_out)
            assert row.validation_loss == pytest.approx(loss, rel=1e-5)
            test = setting.data.test_images, setting.data.test_labels
            assert row.test_accuracy == pytest.approx(measure_by_hand(setting, weights, *test)[1])
        assert [row.learning_rate for row in outcome.rows] == [np.float32(0.05)] * 4
    assert min(stops) < 30


@pytest.mark.parametrize("size", [1, 999, 1_000, 1_001, 2_003])
def test_every_example_counts_once(make, size):
    setting = make(model="dense")
    rng = np.random.default_rng(size)
    images = rng.integers(0, 256, (size, 8, 8, 2), np.uint8)
    labels = rng.integers(0, 3, size)
    model = setting.build(seed=5)
    CLASSIFICATION.compile(model, keras.optimizers.SGD())
    evaluate = Evaluator(Sums(model, xla=False, metric="accuracy"), images, labels)
    expected = measure_by_hand(setting, setting.weights, images, labels)
    assert evaluate() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("replicas", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 3, 10, 64, 999])
def test_no_piece_is_much_larger_than_the_others(replicas, size):
    for count in range(replicas, 1_100):
        steps, share = evaluation._shares(count, replicas, size)
        rest = count - steps * share * replicas
        assert share <= max(2, -(-size // replicas))
        assert rest == 0 or replicas <= rest <= (share + 1) * replicas


def test_large_layers_bound_what_few_inputs_would_let_through(monkeypatch):
    model = keras.Sequential([keras.Input(1), keras.layers.RepeatVector(99)])
    monkeypatch.setattr(evaluation, "_MOST", 4 * layer_values(model))
    sizes = []
    piece = evaluation._piece
    monkeypatch.setattr(
        evaluation, "_piece", lambda i, rows: sizes.append(len(i[rows])) or piece(i, rows)
    )
    answer = inference(model)
    assert answer(np.ones((10, 1), np.float32)).shape == (10, 99, 1)
    assert answer(np.ones((0, 1), np.float32)).shape == (0, 99, 1)
    assert sizes == [4, 4, 2, 0]


def test_a_training_that_diverges_says_when_and_leaves_the_trainer_usable(make, assert_same_bits):
    calm = make(model="not_normalised")
    trainer = calm.trainer()
    before = calm.train(trainer)
    broken = {**calm.weights, "output/bias": np.full(3, np.inf, np.float32)}
    with pytest.raises(DivergedError, match=r"nan at iteration 0, before any training; .* initial"):
        calm.train(trainer, initial=calm.initial(weights=broken))
    wild = make(model="not_normalised", learning_rate=1e30)
    with pytest.raises(DivergedError, match=r"is (nan|not finite) at iteration .*learning_rate"):
        wild.train(wild.trainer())
    after = calm.train(trainer)
    assert_same_bits(before.weights, after.weights)
