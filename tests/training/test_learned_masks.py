"""Masks are learned and weights are not: supermasks and edge-popup, whatever interrupts them."""

import contextlib
import math

import numpy as np
import pytest
import tensorflow as tf

from lth_tf.errors import UserError
from lth_tf.pruning.kernels import named_weights
from lth_tf.pruning.masks import prune_to
from lth_tf.pruning.wrapper import get_masks
from lth_tf.training.checkpoint import Saving
from lth_tf.training.invariants import InvariantError
from lth_tf.training.mask_schedules import MASK_SCHEDULES
from lth_tf.training.mask_schedules.edge_popup import _largest
from lth_tf.training.measure import DivergedError, Measure
from lth_tf.training.process_group import ProcessGroup
from lth_tf.training.scores import Scores
from lth_tf.training.state import read_state

NAMES = ("supermask", "supermask_rescaled", "edge_popup")
NOISY = {"optimizer": "adam", "learning_rate": 1.0, "dropout": 0.4, "eval_every": 6}


def dense(setting):
    """The setting's initial state, all masks ones."""
    return setting.initial(masks={n: np.ones(m.shape, bool) for n, m in setting.masks.items()})


def arguments(setting, name):
    """The arguments of a training that learns its masks."""
    # Its training accuracy is measured on the validation examples: one set, measured twice.
    again = {"training_rows": setting.split[1]}
    return {"schedule": setting.schedule(name), "initial": dense(setting), **again}


@pytest.fixture(params=NAMES)
def name(request):
    """Each way to learn masks."""
    return request.param


def test_masks_are_learned_weights_stay_and_every_stop_goes_on_to_the_same_bits(
    make, name, tmp_path, assert_same_bits, monkeypatch
):
    monkeypatch.setattr(Measure, "_is_best", lambda self, row: row.iteration in (0, 12))
    setting = make(**NOISY)
    trainer = setting.trainer()
    whole = setting.train(trainer, **arguments(setting, name))
    path, process_group = tmp_path / "checkpoint", ProcessGroup(tf.distribute.get_strategy())
    outcome = None
    while outcome is None:
        saving = Saving(path, 0, lambda: True, process_group)
        with contextlib.suppress(KeyboardInterrupt):
            outcome = setting.train(
                trainer, **arguments(setting, name), state=read_state(path), saving=saving
            )
    assert_same_bits(outcome.weights, whole.weights)
    assert_same_bits(outcome.masks, whole.masks)
    assert_same_bits(outcome.kept["scores"], whole.kept["scores"])
    assert (outcome.rows, outcome.early_stop) == (whole.rows, whole.early_stop)
    # At the end the network of early stopping is put back, whose masks were others.
    assert whole.early_stop.iteration == 12
    assert whole.early_stop.train_accuracy == whole.early_stop.validation_accuracy
    theta = setting.weights
    for weight, found in whole.weights.items():
        if weight in whole.masks:
            mask = whole.masks[weight]
            factor = mask.size / mask.sum() if name == "supermask_rescaled" else 1
            np.testing.assert_allclose(found, np.where(mask, theta[weight] * factor, 0), rtol=1e-6)
            assert 0 < mask.sum() < mask.size
            if name == "edge_popup":
                assert mask.sum() == mask.size // 2
        elif "moving" not in weight:
            np.testing.assert_array_equal(found, theta[weight])
    total = sum(mask.size for mask in whole.masks.values())
    assert whole.rows[-1].density == sum(mask.sum() for mask in whole.masks.values()) / total
    first = setting.schedule(name).initial_scores()
    assert all((whole.kept["scores"][kernel] != first[kernel]).any() for kernel in first)
    # The optimizer has the scores' averages, and no weight's.
    sizes = {variable.shape for variable in trainer.model.optimizer.variables[2:]}
    assert sizes == {score.shape for score in first.values()}


def test_a_scores_gradient_is_by_hand(make):
    """The gradient by the weight * theta * factor * slope, on one batch."""
    setting = make(model="dense", iterations=1, eval_every=1, learning_rate=1.0)
    theta = setting.weights
    rows = setting.order.batches(0, 1)[0]
    images, labels = setting.data.train_images[rows], setting.data.train_labels[rows]
    for name in NAMES[1:]:
        schedule = setting.schedule(name)
        trainer = setting.trainer()
        scores = trainer.model.scores_for(schedule)
        scores.begin(schedule, theta, schedule.initial_scores())
        scores.mask(tf.constant(0))
        masks = get_masks(trainer.model)
        outcome = setting.train(trainer, **arguments(setting, name))
        plain = setting.build(seed=0)
        variables = named_weights(plain)
        for weight, variable in variables.items():
            mask = masks.get(weight, np.array(True))
            factor = mask.size / mask.sum() if name == "supermask_rescaled" else 1
            variable.assign(np.where(mask, theta[weight] * np.float32(factor), 0))
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels, plain(images))
            )
        kernels = {kernel: variables[kernel] for kernel in masks}
        for kernel, gradient in tape.gradient(loss, kernels).items():
            mask, start = masks[kernel], schedule.initial_scores()[kernel]
            p = 1 / (1 + np.exp(-start))
            slope = np.sign(start) if name == "edge_popup" else p * (1 - p)
            factor = mask.size / mask.sum() if name == "supermask_rescaled" else 1
            expected = start - gradient * theta[kernel] * factor * slope
            found = outcome.kept["scores"][kernel]
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_scores_of_a_supermask_begin_at_the_levels_density_and_draws_follow_them(make):
    setting = make()
    left = {(kernel,): round(0.2 * mask.size) for kernel, mask in setting.masks.items()}
    schedule = setting.schedule("supermask", left)
    for kernel, score in schedule.initial_scores().items():
        share = left[(kernel,)] / score.size
        assert score == pytest.approx(math.log(share / (1 - share)), abs=1e-6)
    scores = Scores(schedule, setting.trainer().model)
    scores.begin(schedule, setting.weights, schedule.initial_scores())
    drawn = []
    for iteration in (0, 1, 0):
        scores.mask(tf.constant(iteration))
        drawn.append({n: v.numpy() != 0 for n, v in scores.kernels.items()})
    for kernel, mask in drawn[0].items():
        np.testing.assert_array_equal(mask, drawn[2][kernel])
    big = drawn[0]["dense1/kernel"]
    assert big.mean() == pytest.approx(0.2, abs=0.05)
    assert (big != drawn[1]["dense1/kernel"]).any()


@pytest.mark.parametrize("count", [0, 1, 7, 40, 99, 100])
def test_edge_popup_keeps_what_pruning_by_the_magnitude_keeps(count):
    """Ties and zeros among them."""
    values = np.random.default_rng(count).choice(np.float32([0, 0.1, -0.1, 2, -3e-30, 1e20]), 100)
    found = _largest(tf.constant(values), tf.constant(count)).numpy()
    expected = prune_to({"a": np.abs(values)}, {"a": np.ones(100, bool)}, {("a",): count})
    np.testing.assert_array_equal(found, expected["a"])


def test_a_weight_that_is_trained_or_a_count_that_is_missed_is_a_fault(make, monkeypatch):
    setting = make(iterations=2)
    with monkeypatch.context() as patched:
        any_number = MASK_SCHEDULES["supermask"].masks_of
        patched.setattr(MASK_SCHEDULES["edge_popup"], "masks_of", any_number)
        with pytest.raises(InvariantError, match="weights remain where the plan has"):
            setting.train(setting.trainer(), **arguments(setting, "edge_popup"))
    trainer = setting.trainer()
    step = type(trainer.model).train_step

    def nudged(self, data):
        logs = step(self, data)
        named_weights(self)["dense1/bias"].assign_add(tf.ones(12))
        return logs

    monkeypatch.setattr(type(trainer.model), "train_step", nudged)
    with pytest.raises(InvariantError, match=r"^dense1/bias: was trained where only masks are"):
        setting.train(trainer, **arguments(setting, "supermask"))


def test_what_the_loss_does_not_depend_on_has_no_mask_to_be_learned(make, partly):
    setting = make(model=partly, iterations=1, eval_every=1)
    told = r"^unused/kernel: must be something that the loss depends on .* --prune_layers=unused=0$"
    with pytest.raises(UserError, match=told):
        setting.train(setting.trainer(), **arguments(setting, "supermask"))


def test_a_loss_that_is_not_finite_is_put_down_to_the_rate_of_the_masks(make):
    setting = make(iterations=1, eval_every=1)
    trainer, given = setting.trainer(), arguments(setting, "supermask")

    def break_it(row):
        named_weights(trainer.model)["output/bias"].assign([math.nan] * 3)

    with pytest.raises(DivergedError, match=r"nan at iteration 1; .* \(--mask_learning_rate, "):
        setting.train(trainer, **given, on_row=break_it)


def test_what_does_not_suit_is_refused(make, name):
    schedule = MASK_SCHEDULES[name]
    for fields, told in (
        ({"rewind": "lr"}, "--rewind=lr: must be 0 with --strategy="),
        ({"criterion": "movement"}, "--criterion=movement: must be left out with --strategy="),
    ):
        with pytest.raises(UserError, match=f"^{told}{name}"):
            schedule.check(make(**fields).recipe)
