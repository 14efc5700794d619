"""Densities divide what remains exactly, level after level, and as their papers say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lth_tf.errors import UserError
from lth_tf.pruning import masks
from lth_tf.pruning.apportionment import apportion
from lth_tf.pruning.densities import DENSITIES, Density

LENET = {"dense1": (784, 300), "dense2": (300, 100), "output": (100, 10)}
SCOPES = ("layer", "global", "uniform", "erk")
shapes_of_kernels = st.dictionaries(
    st.sampled_from("abcdef"),
    st.lists(st.integers(1, 9), min_size=2, max_size=4).map(tuple),
    min_size=1,
)


def after(shapes, scope, share_removed):
    """What each kernel keeps after one round from the dense network."""
    dense = {name: np.ones(shape, bool) for name, shape in shapes.items()}
    return masks.counts_after(dense, dict.fromkeys(shapes, share_removed), scope)


def test_the_scopes_are_listed_in_order():
    assert tuple(DENSITIES) == SCOPES


@pytest.mark.parametrize(
    ("removed", "wanted"), [(0.9, (0.0796, 0.2302, 1.0)), (0.95, (0.0385, 0.1113, 0.9185))]
)
def test_erk_of_lenet_is_the_published(removed, wanted):
    counts = after(LENET, "erk", removed)
    assert sum(counts.values()) == 266_200 - round(removed * 266_200)
    for (name, shape), density in zip(LENET.items(), wanted, strict=True):
        # To the digits that are printed, and to a whole weight.
        size = math.prod(shape)
        assert counts[name,] == pytest.approx(density * size, abs=0.00005 * size + 0.5)


def test_erk_of_a_convolution_goes_by_all_its_axes():
    # 3 + 3 + 2 + 8 = 16 and 8 + 8 = 16: as many weights for either.
    counts = after({"conv": (3, 3, 2, 8), "dense": (8, 8)}, "erk", 0.5)
    assert counts == {("conv",): 52, ("dense",): 52}


def test_uniform_is_the_same_density_and_its_sum_exact():
    counts = after(LENET, "uniform", 0.2)
    assert list(counts.values()) == [188_160, 24_000, 800]
    assert after({"a": (1, 5), "b": (1, 5), "c": (1, 5)}, "uniform", 0.5) == {
        ("a",): 3, ("b",): 2, ("c",): 2,
    }  # fmt: skip


@given(shapes_of_kernels, st.sampled_from(SCOPES), st.floats(0.02, 0.95), st.data())
def test_planned_counts_are_what_pruning_leaves(shapes, scope, rate, data):
    never = data.draw(st.sets(st.sampled_from(sorted(shapes))))
    rates = {name: 0.0 if name in never else rate for name in shapes}
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    dense = current = {name: np.ones(shape, bool) for name, shape in shapes.items()}
    same = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    untouched = sum(math.prod(shapes[name]) for name in never)
    prunable = sum(map(math.prod, shapes.values())) - untouched
    planned = masks.remaining_by_round(shapes, rates, scope, 8)
    for round_, count in enumerate(planned):
        assert sum(mask.sum() for mask in current.values()) == count
        assert all(current[name].all() for name in never)
        if scope != "layer":  # the overall rate, whoever loses the weights
            assert count == untouched + prunable
            prunable -= round(rate * prunable)
        at_once = masks.prune_to(same, dense, masks.counts_after(dense, rates, scope, round_))
        assert sum(mask.sum() for mask in at_once.values()) == count
        scores = {name: rng.normal(size=shape) for name, shape in shapes.items()}
        following = masks.prune(scores, current, rates, scope)
        assert all((following[name] <= current[name]).all() for name in shapes)
        current = following


@given(shapes_of_kernels, st.sampled_from(SCOPES), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_levels_pruned_at_once_or_one_by_one_are_the_same(shapes, scope, rounds, seed):
    rng = np.random.default_rng(seed)
    rates = dict.fromkeys(shapes, 0.3)
    scores = {name: rng.integers(5, size=shape) / 2 for name, shape in shapes.items()}
    dense = one_by_one = {name: np.ones(shape, bool) for name, shape in shapes.items()}
    for _ in range(rounds):
        one_by_one = masks.prune(scores, one_by_one, rates, scope)
    at_once = masks.prune_to(scores, dense, masks.counts_after(dense, rates, scope, rounds))
    for name in shapes:
        np.testing.assert_array_equal(at_once[name], one_by_one[name])


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 40)), min_size=1, max_size=6), st.data()
)
def test_parts_are_in_proportion_within_a_weight_and_never_grow(kernels, data):
    shares = {i: share for i, (share, _) in enumerate(kernels)}
    limits = {i: limit for i, (_, limit) in enumerate(kernels)}
    total = data.draw(st.integers(0, sum(limits.values())))
    counts = apportion(shares, limits, total)
    assert sum(counts.values()) == total
    assert all(0 <= counts[i] <= limits[i] for i in limits)
    # No weight that has been given stands behind one that has not.
    last = max([(2 * counts[i] - 1) / shares[i] for i in limits if counts[i]], default=0)
    waiting = [(2 * counts[i] + 1) / shares[i] for i in limits if counts[i] < limits[i]]
    assert not waiting or last <= min(waiting) + 1e-12
    if total:
        fewer = apportion(shares, counts, total - 1)
        assert fewer == apportion(shares, limits, total - 1)
        assert all(fewer[i] <= counts[i] for i in limits)


@pytest.mark.parametrize("scope", ["global", "uniform", "erk"])
def test_two_rates_are_refused_but_layer_by_layer(scope):
    with pytest.raises(UserError, match=f"^--scope={scope}: must have one rate .* 0.1, 0.2;"):
        masks.remaining_by_round({"a": (5, 1), "b": (5, 1)}, {"a": 0.1, "b": 0.2}, scope, 1)


@pytest.mark.parametrize("scope", SCOPES)
def test_nothing_to_prune_is_nothing_pruned(scope):
    assert masks.remaining_by_round({"a": (5, 2)}, {"a": 0.0}, scope, 2) == [10, 10, 10]


def test_an_unknown_scope_is_refused():
    with pytest.raises(UserError, match=r"^--scope=unifrom: .*did you mean uniform\?$"):
        masks.remaining_by_round({"a": (5, 2)}, {"a": 0.2}, "unifrom", 1)


@pytest.mark.parametrize("kept", [{("a",): 11}, {("a",): -1}, {("b",): 3}])
def test_a_density_that_lets_weights_come_back_is_refused(monkeypatch, kept):
    class Growing(Density):
        name = "growing"

        def keep(self, shapes, rates, left):
            return kept

    monkeypatch.setitem(DENSITIES._entries, "growing", Growing)
    with pytest.raises(UserError, match=r"^--scope=growing: must keep 0 to 10 weights of a, but"):
        masks.remaining_by_round({"a": (5, 2)}, {"a": 0.2}, "growing", 1)
