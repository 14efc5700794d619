"""Early-bird masks, by hand, and through a training that is interrupted at every chunk."""

import numpy as np
import pytest
import tensorflow as tf

from lth_tf.pruning.masks import prune_to
from lth_tf.training.checkpoint import Saving
from lth_tf.training.early_bird import (
    EarlyBird,
    EarlyBirdSearch,
    MaskQueue,
    distance,
    drawn_at,
    drawn_masks,
)
from lth_tf.training.initial_state import Keep
from lth_tf.training.process_group import ProcessGroup
from lth_tf.training.state import read_state


def mask(*differing):
    """Twenty places in two kernels, each switched off at some."""
    flat = np.ones(20, bool)
    flat[list(differing)] = False
    return {"a/kernel": flat[:4].reshape(2, 2), "b/kernel": flat[4:]}


def test_distance_is_the_share_of_all_places():
    assert distance(mask(), mask(0)) == 0.05
    assert distance(mask(0, 19), mask(1, 19)) == 0.1
    assert distance(mask(0, 1), mask(2, 19)) == 0.2


@pytest.mark.parametrize(
    ("masks", "drawn"),
    [
        ([mask()] * 5, 40),  # as soon as there are five
        ([mask(0), mask(1), mask(0), mask(1), mask(1)], 40),  # a tenth is near enough
        # The first is too far from the last; the sixth pushes it out of the queue.
        ([mask(0, 1, 2), *[mask()] * 4, mask(3), mask(4)], 50),
        # Near those beside each, far from those before: it creeps, and is never stable.
        ([mask(i, i + 1) for i in range(12)], None),
    ],
)
def test_a_mask_is_drawn_when_the_newest_is_near_each_of_the_four_before(masks, drawn):
    queue = MaskQueue()
    for number, each in enumerate(masks):
        if queue.drawn_at is None:
            queue.add(10 * number, each)
            assert len(queue.masks) <= 5
            newest = each
    assert queue.drawn_at == drawn
    if drawn is None:
        queue.add(200, mask(7), is_last=True)
        assert queue.drawn_at == 200 and distance(queue.masks[0], mask(7)) == 0
    else:
        assert len(queue.masks) == 1 and distance(queue.masks[0], newest) == 0


def test_levels_are_drawn_each_by_itself_and_go_on_from_arrays():
    """Level 1 keeps what stays; level 2 follows the largest weight, which wanders."""
    early_bird = EarlyBird(
        {1: {("a", "b"): 4}, 2: {("a", "b"): 1}}, {"a": (2,), "b": (3,)}, tuple(range(7))
    )
    search = EarlyBirdSearch(early_bird, {})
    for iteration in range(7):
        weights = {"a": np.array([0.1, 2]), "b": np.array([-2.0, 2, 2])}
        weights["b"][iteration % 3] *= 2
        search.look(iteration, {**weights, "unpruned": np.ones(1)})
        search = EarlyBirdSearch(early_bird, search.arrays)
    arrays = search.arrays
    assert drawn_at(arrays, 1) == 4 and drawn_at(arrays, 2) == 6
    shapes = {"a": (2,), "b": (3,), "unpruned": (1,)}
    first, second = (drawn_masks(arrays, level, shapes) for level in (1, 2))
    assert [first[name].tolist() for name in shapes] == [[False, True], [True] * 3, [True]]
    assert [second[name].sum() for name in shapes] == [0, 1, 1] and second["b"][0]


def test_what_a_training_keeps_on_the_way_survives_interruptions(make, tmp_path, assert_same_bits):
    setting = make(optimizer="adam", learning_rate=0.02, dropout=0.4)
    trainer = setting.trainer()
    sizes = {name: each.size for name, each in setting.masks.items()}
    full = {name: np.ones_like(each) for name, each in setting.masks.items()}
    left = {level: {(n,): s // 2**level for n, s in sizes.items()} for level in (1, 4)}
    shapes = {name: each.shape for name, each in full.items()}
    early_bird = EarlyBird(left, shapes, (*range(0, 30, 4), 30))
    keep = Keep((7, 23), {"rewind": 7, "search": 23}, early_bird=early_bird)

    def train(**more):
        return setting.train(trainer, initial=setting.initial(masks=full), keep=keep, **more)

    whole = train()
    assert set(whole.kept) == {"rewind", "search", "early_bird"}
    path, process_group = tmp_path / "checkpoint", ProcessGroup(tf.distribute.get_strategy())
    outcome, stops = None, 0
    while outcome is None:
        saving = Saving(path, 0, lambda: True, process_group)
        try:
            outcome = train(state=read_state(path), saving=saving)
        except KeyboardInterrupt:
            stops += 1
    assert stops == len(whole.rows) - 2 and {r.iteration for r in whole.rows} >= {7, 23, 4, 28}
    for name, arrays in whole.kept.items():
        assert_same_bits(outcome.kept[name], arrays)
    assert_same_bits(outcome.weights, whole.weights)
    every = Keep(keep.evaluations, {str(i): i for i in range(1, 31)}, early_bird=early_bird)
    weights = setting.train(trainer, initial=setting.initial(masks=full), keep=every).kept
    arrays = whole.kept["early_bird"]
    for level, counts in left.items():
        scores = {name: np.abs(weights[str(drawn_at(arrays, level))][name]) for name in shapes}
        assert_same_bits(drawn_masks(arrays, level, shapes), prune_to(scores, full, counts))
    for name, iteration in keep.weights.items():
        assert_same_bits(whole.kept[name], weights[str(iteration)])
