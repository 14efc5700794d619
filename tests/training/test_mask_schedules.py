"""Masks change inside a training as their schedule says and promises, whatever interrupts it."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from lth_tf.errors import UserError
from lth_tf.pruning.kernels import named_weights
from lth_tf.training.checkpoint import Saving
from lth_tf.training.invariants import InvariantError, check_update
from lth_tf.training.mask_schedules import MASK_SCHEDULES, MaskPlan, Moment, Promise
from lth_tf.training.mask_updates import MaskUpdates
from lth_tf.training.process_group import ProcessGroup
from lth_tf.training.state import read_state

pytestmark = pytest.mark.long

NOISY = {"optimizer": "adam", "learning_rate": 0.02, "dropout": 0.4, "augment": "flip_crop"}
UPDATES = tuple(range(2, 23, 2))  # of 30 iterations: until three quarters, ten at least


def gradual(setting, left=None):
    """The arguments of a training that is pruned while it runs."""
    schedule = setting.schedule("gradual", left)
    return {"schedule": schedule, "initial": setting.initial(masks=schedule.first_masks())}


def dropping(name):
    """The arguments of a training by SET or RigL."""

    def arguments(setting):
        schedule = setting.schedule(name)
        return {"schedule": schedule, "initial": setting.initial(masks=schedule.first_masks())}

    arguments.__name__ = name
    return arguments


sparse_evolution, rigl = dropping("set"), dropping("rigl")


def share_left(t, goal, size):
    """Zhu & Gupta's formula, from dense at 0 on, until the last update."""
    final = 1 - goal / size
    return 1 - (final - final * (1 - t / UPDATES[-1]) ** 3)


def watched(schedule):
    """Keeps what each update saw and returned."""
    seen, update = {}, schedule.update

    def watch(moment):
        masks = update(moment)
        seen[moment.iteration] = moment, masks
        return masks

    schedule.update = watch
    return seen


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_gradual_pruning_follows_its_formula_to_exactly_the_plans_counts(make, scope):
    setting = make(**NOISY)
    sizes = {name: mask.size for name, mask in setting.masks.items()}
    names = list(sizes)
    left = (
        {tuple(names[:3]): 217} if scope == "global" else {(n,): s // 3 for n, s in sizes.items()}
    )
    arguments = gradual(setting, left)
    seen = watched(arguments["schedule"])
    outcome = setting.train(setting.trainer(), **arguments)
    assert tuple(seen) == UPDATES
    before = arguments["initial"].masks
    for iteration, (moment, masks) in seen.items():
        for group, goal in left.items():
            size = sum(sizes[name] for name in group)
            found = sum(masks[name].sum() for name in group)
            assert abs(found - size * share_left(iteration, goal, size)) <= 0.51
            scores = {name: np.abs(moment.weights[name]) for name in group}
            removed = [scores[name][before[name] & ~masks[name]] for name in group]
            kept = [scores[name][masks[name]] for name in group]
            assert np.concatenate(removed).max(initial=0) <= np.concatenate(kept).min()
        for name, mask in masks.items():
            assert not (mask & ~before[name]).any()
            assert name in sum(left, ()) or mask.all()
        before = masks
    for group, goal in left.items():
        assert sum(outcome.masks[name].sum() for name in group) == goal
    for name, mask in outcome.masks.items():
        np.testing.assert_array_equal(mask, before[name])
        np.testing.assert_array_equal(outcome.weights[name] != 0, mask)
    total = sum(sizes.values())
    densities = {0: 1.0, **{i: sum(m.sum() for m in seen[i][1].values()) / total for i in UPDATES}}
    assert {row.iteration: row.density for row in outcome.rows} == pytest.approx(
        {**densities, 30: densities[22]}
    )


def test_no_accuracy_of_a_denser_network_than_the_level_is_reported(make):
    setting = make(model="not_normalised", optimizer="adam", learning_rate=0.02, marks=(10, 23))
    arguments = gradual(setting, {("dense1/kernel",): 1})
    outcome = setting.train(setting.trainer(), **arguments)
    losses = {row.iteration: row.validation_loss for row in outcome.rows}
    assert min(losses, key=losses.get) < UPDATES[-1], "or this test tests nothing"
    settled = {i: loss for i, loss in losses.items() if i >= UPDATES[-1]}
    assert outcome.early_stop.iteration == min(settled, key=settled.get)
    tested = {row.iteration for row in outcome.rows if row.test_accuracy is not None}
    assert tested == {outcome.early_stop.iteration, 23, 30}


@pytest.mark.parametrize("arguments", [gradual, sparse_evolution, rigl])
def test_a_training_stopped_at_every_chunk_ends_in_the_same_bits(
    make, arguments, tmp_path, assert_same_bits
):
    """At every update among them."""
    setting = make(**NOISY, eval_every=5)
    trainer = setting.trainer()
    whole = setting.train(trainer, **arguments(setting))
    path, process_group = tmp_path / "checkpoint", ProcessGroup(tf.distribute.get_strategy())
    stops, outcome = [], None
    while outcome is None:
        saving = Saving(path, 0, lambda: True, process_group)
        try:
            outcome = setting.train(
                trainer, **arguments(setting), state=read_state(path), saving=saving
            )
        except KeyboardInterrupt:
            stops.append(read_state(path).iteration)
    assert stops == [row.iteration for row in whole.rows][1:-1]
    assert set(arguments(setting)["schedule"].updates) <= set(stops)
    for found, expected in ((outcome.weights, whole.weights), (outcome.masks, whole.masks)):
        assert_same_bits(found, expected)
    assert (outcome.rows, outcome.early_stop) == (whole.rows, whole.early_stop)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        # Dropped are the 0 and, of the two 1s, the earlier, which has the largest gradient.
        ("rigl", [0, 0, 1, 1, 1, 0, 1, 1]),
        # Drawn highest, of those without a weight by then, are the first and the dropped 0.
        ("set", [1, 0, 0, 1, 1, 1, 0, 1]),
    ],
)
def test_an_update_drops_the_smallest_and_grows_by_hand(name, kept):
    """Of five among eight weights: as many as the cosine says, then two."""
    weights = {"a/kernel": np.array([0, 0, -1, 2, 3, 0, 0, 1], np.float32)}
    masks = {"a/kernel": np.array([0, 0, 1, 1, 1, 1, 0, 1], bool)}
    gradients = {"a/kernel": np.array([0.1, 0.2, -5, 0, 9, 0.3, -0.4, 0], np.float32)}

    class Drawn:
        def random(self, shape):
            return np.array([0.9, 0.1, 0.2, 0.99, 0.99, 0.8, 0.3, 0.99])

    plan = MaskPlan(100, {"a/kernel": (8,)}, {("a/kernel",): 5}, np.random.default_rng)
    schedule = MASK_SCHEDULES[name](plan)
    for iteration, dropped in ((7, 1), (45, 0), (75, 0)):
        moment = Moment(iteration, weights, masks, lambda: gradients, Drawn())
        assert int(0.15 * (1 + math.cos(math.pi * iteration / 75)) * 5) == dropped
        new = schedule.update(moment)["a/kernel"]
        assert new.sum() == 5 and (masks["a/kernel"] & ~new).sum() <= dropped
    many = Moment(0, weights, masks, lambda: gradients, Drawn())
    schedule._share = lambda iteration: 0.4
    np.testing.assert_array_equal(schedule.update(many)["a/kernel"], np.array(kept, bool))


def averages_of(model, kernel):
    """The optimizer's averages of a kernel's gradients."""
    variables = model.trainable_variables
    place = [v.ref() for v in variables].index(named_weights(model)[kernel].ref())
    found = vars(getattr(model.optimizer, "inner_optimizer", model.optimizer))
    slots = [found.get(name, []) for name in ("momentums", "_momentums", "_velocities")]
    return [of_all[place].numpy() for of_all in slots if of_all]


@pytest.mark.parametrize(
    ("name", "optimizer", "averages", "precision"),
    [
        ("set", "adam", 2, "float32"),
        ("rigl", "momentum", 1, "float32"),
        ("rigl", "adam", 2, "mixed_float16"),
    ],
)
def test_grown_weights_and_their_averages_start_at_zero(
    make, monkeypatch, name, optimizer, averages, precision
):
    setting = make(optimizer=optimizer, learning_rate=0.02, iterations=13, precision=precision)
    update, grown_in_all = MaskUpdates.on_train_batch_end, dict.fromkeys(setting.masks, 0)

    def watch(self, batch, logs=None):
        before = self.masks
        update(self, batch, logs)
        for kernel, mask in self.masks.items():
            grown = mask & ~before[kernel]
            grown_in_all[kernel] += grown.sum()
            assert not named_weights(self.model)[kernel].numpy()[grown].any()
            found = averages_of(self.model, kernel)
            assert len(found) == averages
            for average in found:
                assert not average[grown].any() and average[mask & ~grown].any()

    monkeypatch.setattr(MaskUpdates, "on_train_batch_end", watch)
    setting.train(setting.trainer(), **dropping(name)(setting))
    assert all(grown_in_all.values())


def test_set_and_rigl_keep_their_counts_on_one_device_and_on_two(
    make, two_devices, assert_same_bits
):
    setting = make(optimizer="momentum", learning_rate=0.05, augment="flip_crop", dropout=0.4)
    trainers = setting.trainer(), setting.trainer(two_devices)
    for name in ("set", "rigl"):
        seen, ends = [], []
        for trainer in trainers:
            arguments = dropping(name)(setting)
            seen.append(watched(arguments["schedule"]))
            ends.append(setting.train(trainer, **arguments))
        assert_same_bits(ends[0].masks, ends[1].masks)
        first = arguments["initial"].masks
        for kernel, mask in ends[0].masks.items():
            assert mask.sum() == first[kernel].sum() == mask.size // 2
            assert (mask != first[kernel]).any()
            assert not ends[0].weights[kernel][~mask].any()
        keys = [m.generator.bit_generator.state["state"]["key"] for m, _ in seen[0].values()]
        assert len({key.tobytes() for key in keys}) == len(keys) == len(UPDATES)


def test_gradients_are_those_of_the_next_batch_and_leave_the_network_as_it_is(make):
    setting = make(iterations=10, weight_decay=0.1)
    trainer = setting.trainer()
    outcome = setting.train(trainer)
    model = trainer.model
    before = {name: v.numpy() for name, v in named_weights(model).items()}
    found = model.kernel_gradients(setting.order, 7)
    for name, variable in named_weights(model).items():
        np.testing.assert_array_equal(variable.numpy(), before[name])
    plain = setting.build(seed=0)
    variables = named_weights(plain)
    for name, variable in variables.items():
        variable.assign(outcome.weights[name])
    rows = setting.order.batches(7, 8)[0]
    with tf.GradientTape() as tape:
        logits = plain(setting.data.train_images[rows], training=True)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(setting.data.train_labels[rows], logits)
        )
    kernels = {name: variables[name] for name in setting.masks}
    for name, gradient in tape.gradient(loss, kernels).items():
        np.testing.assert_allclose(found[name], gradient, rtol=1e-4, atol=1e-6, err_msg=name)
        assert found[name][~setting.masks[name]].any()


def drop_one(mask):
    mask.flat[np.flatnonzero(mask)[-1]] = False


def grow_one(mask):
    mask.flat[np.flatnonzero(~mask)[0]] = True


@pytest.mark.parametrize(
    ("promise", "changes", "told"),
    [
        (Promise.UNCHANGED, [drop_one], "promise, that masks stay as they are"),
        (Promise.SHRINK, [drop_one, drop_one, grow_one], "promise, that masks only lose weights"),
        (Promise.KEEP_COUNT, [grow_one], "promise, that masks keep as many weights of each kernel"),
    ],
)
def test_an_update_is_held_to_its_schedules_promise(make, promise, changes, told):
    setting = make()

    class Breaking(MASK_SCHEDULES["set"]):
        """Changes one mask."""

        def update(self, moment: Moment):
            """Applies the changes."""
            masks = {name: mask.copy() for name, mask in moment.masks.items()}
            for change in changes:
                change(masks["dense2/kernel"])
            return masks

    Breaking.promise = promise
    arguments = {**rigl(setting), "schedule": Breaking(setting.schedule("fixed").plan)}
    with pytest.raises(InvariantError, match=f"^dense2/kernel: .*{told}"):
        setting.train(setting.trainer(), **arguments)


def test_an_update_must_return_boolean_masks():
    masks = {"dense2/kernel": np.ones((2, 3), bool)}
    for found, told in ((np.ones((2, 3)), r"float64 \(2, 3\)"), (np.ones(3, bool), r"bool \(3,\)")):
        with pytest.raises(InvariantError, match=rf"masks of shape \(2, 3\), found {told}"):
            check_update(Promise.FREE, masks, {"dense2/kernel": found})


def test_updates_suit_any_length_and_what_does_not_suit_is_refused(make):
    def updates(iterations):
        plan = make().schedule("fixed").plan
        plan = dataclasses.replace(plan, iterations=iterations)
        return MASK_SCHEDULES["gradual"](plan).updates

    assert updates(50_000) == tuple(range(100, 37_501, 100))
    assert updates(30) == UPDATES
    assert updates(2) == (1,)
    for fields, told in (
        ({"iterations": 1}, "--iterations=1: must be at least 2 with --strategy=gradual"),
        ({"rewind": "lr"}, "--rewind=lr: must be 0 with --strategy=gradual"),
        ({"rewind": 10}, "--rewind=10: must be 0 with --strategy=gradual"),
        (
            {"criterion": "movement"},
            "--criterion=movement: must be magnitude with --strategy=gradual",
        ),
    ):
        with pytest.raises(UserError, match=told):
            MASK_SCHEDULES["gradual"].check(make(**fields).recipe)
    for strategy in ("set", "rigl"):
        MASK_SCHEDULES[strategy].check(make(scope="erk").recipe)
        told = f"^--scope=global: must say with --strategy={strategy} how many weights each kernel"
        with pytest.raises(UserError, match=told):
            MASK_SCHEDULES[strategy].check(make(scope="global").recipe)
        with pytest.raises(UserError, match=r"^--criterion=movement: must be m"):
            MASK_SCHEDULES[strategy].check(make(criterion="movement").recipe)
