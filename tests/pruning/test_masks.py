"""Masks remove exactly the right number of the right weights; densities are the paper's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lth_tf import models
from lth_tf.errors import UserError
from lth_tf.paper.recipes import paper_recipe
from lth_tf.pruning import kernels, masks

LENET_LADDER = [
    100, 80.04, 64.06, 51.28, 41.05, 32.87, 26.32, 21.07, 16.88, 13.52, 10.83,
    8.68, 6.95, 5.57, 4.47, 3.58, 2.87, 2.31, 1.85, 1.49, 1.19,
]  # fmt: skip
PRINTED = {
    "conv2": {11: 8.8, 14: 4.6},
    "conv4": {11: 11.1, 12: 9.2, 15: 5.4},
    "conv6": {7: 26.6, 10: 15.3},
    "resnet18": {4: 41.7, 6: 27.1, 7: 21.9, 10: 11.8},
    "vgg19": {12: 6.9, 15: 3.5, 19: 1.5},
}


def percent_by_round(name, rounds):
    image_shape = (28, 28, 1) if name == "lenet" else (32, 32, 3)
    recipe = paper_recipe(name)
    found = kernels.kernels(models.build(name, image_shape, 10, seed=0))
    sizes = {kernel.name: kernel.size for kernel in found}
    counts = masks.remaining_by_round(sizes, kernels.rates(found, recipe), recipe.scope, rounds)
    return [100 * count / counts[0] for count in counts]


def test_lenet_ladder():
    assert [round(p, 2) for p in percent_by_round("lenet", 20)] == LENET_LADDER


@pytest.mark.parametrize("name", PRINTED)
def test_printed_labels(name):
    densities = percent_by_round(name, 20)
    assert {level: round(densities[level], 1) for level in PRINTED[name]} == PRINTED[name]


scores_and_masks = st.integers(1, 200).flatmap(
    lambda size: st.tuples(
        hnp.arrays(np.float32, size, elements=st.sampled_from([-2.0, 0.0, 0.5, 0.5, 1.0, 3.0])),
        hnp.arrays(bool, size),
    )
)
rates_of_a_round = st.floats(0.01, 0.99)


@given(scores_and_masks, rates_of_a_round)
def test_a_round_removes_the_lowest_exactly(drawn, rate):
    scores, mask = drawn
    new = masks.prune({"a": scores}, {"a": mask}, {"a": rate}, "layer")["a"]
    ranked = sorted(np.flatnonzero(mask), key=lambda i: (scores[i], i))
    expected = mask.copy()
    expected[ranked[: round(rate * mask.sum())]] = False
    np.testing.assert_array_equal(new, expected)


@given(scores_and_masks, scores_and_masks, rates_of_a_round)
def test_global_scope_is_one_ranking_over_all_kernels(first, second, rate):
    scores = {"a": first[0], "b": second[0], "never": np.zeros(4, np.float32)}
    old = {"a": first[1], "b": second[1], "never": np.ones(4, bool)}
    rates = {"a": rate, "b": rate, "never": 0.0}
    new = masks.prune(scores, old, rates, "global")
    joined = masks.prune(
        {"all": np.concatenate([first[0], second[0]])},
        {"all": np.concatenate([first[1], second[1]])},
        {"all": rate},
        "layer",
    )["all"]
    np.testing.assert_array_equal(np.concatenate([new["a"], new["b"]]), joined)
    assert new["never"].all()


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 400), min_size=1),
    st.sampled_from(["layer", "global"]),
    st.integers(0, 2**32 - 1),
)
def test_planned_counts_are_what_pruning_leaves(sizes, scope, seed):
    rng = np.random.default_rng(seed)
    rates = dict.fromkeys(sizes, 0.2)
    current = {name: np.ones(size, bool) for name, size in sizes.items()}
    for planned in masks.remaining_by_round(sizes, rates, scope, 6):
        assert sum(mask.sum() for mask in current.values()) == planned
        scores = {name: np.abs(rng.normal(size=size)) for name, size in sizes.items()}
        following = masks.prune(scores, current, rates, scope)
        assert all((following[name] <= current[name]).all() for name in sizes)
        current = following


@given(hnp.arrays(bool, hnp.array_shapes(max_dims=4, max_side=7)))
def test_packing_loses_nothing(mask):
    np.testing.assert_array_equal(masks.unpack(masks.pack(mask), mask.shape), mask)


def test_scores_that_are_not_numbers_are_refused():
    with pytest.raises(UserError, match=r"dense1/kernel.*nan"):
        masks.prune(
            {"dense1/kernel": np.array([1, np.nan])},
            {"dense1/kernel": np.ones(2, bool)},
            {"dense1/kernel": 0.5},
            "layer",
        )


def test_global_scope_with_two_rates_is_refused():
    with pytest.raises(UserError, match="--scope=global"):
        masks.remaining_by_round({"a": 5, "b": 5}, {"a": 0.1, "b": 0.2}, "global", 1)
