"""Criteria score as their papers say, by hand; what costs something is asked for only if wanted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lth_tf.errors import UserError
from lth_tf.pruning.criteria import CRITERIA, Context

INITIAL = [0.5, -1.0, 2.0, -3.0, 0.0]
FINAL = [-1.5, -0.5, 2.5, 1.0, 0.25]
BY_HAND = {
    "magnitude": [1.5, 0.5, 2.5, 1.0, 0.25],
    "small_final": [-1.5, -0.5, -2.5, -1.0, -0.25],
    "large_init": [0.5, 1.0, 2.0, 3.0, 0.0],
    "small_init": [-0.5, -1.0, -2.0, -3.0, 0.0],
    # Ranks of |initial|: 1 2 3 4 0, of |final|: 3 1 4 2 0; from above, 3 2 1 0 4 and 1 3 0 2 4.
    "large_init_large_final": [1, 1, 3, 2, 0],
    "small_init_small_final": [1, 2, 0, 0, 4],
    "magnitude_increase": [1.0, -0.5, 0.5, -2.0, 0.25],
    "movement": [2.0, 0.5, 0.5, 4.0, 0.25],
    "same_sign": [0.0, 0.5, 2.5, 0.0, 0.0],
    "different_sign": [1.5, 0.0, 0.0, 1.0, 0.0],
    "random": np.random.default_rng(5).random(5).tolist(),
}
OF_INITIAL = {"large_init", "small_init", "random"}
OF_DERIVATIVES = ("snip", "grasp", "synflow")  # see test_pruning_at_init


def context(initial, final, masks=None, groups=None, **suppliers):
    arrays = {name: np.array(values) for name, values in initial.items()}
    return Context(
        initial=arrays,
        trained=final and {name: np.array(values) for name, values in final.items()},
        masks=masks or {name: np.ones(array.shape, bool) for name, array in arrays.items()},
        groups=groups or [(name,) for name in initial],
        **suppliers,
    )


def test_every_criterion_is_listed_once_with_a_help():
    assert list(CRITERIA) == [*BY_HAND, *OF_DERIVATIVES]
    steps = {name: found.steps for name, found in CRITERIA.items() if found.steps > 1}
    assert all(criterion.help for criterion in CRITERIA.values()) and steps == {"synflow": 100}
    untrained = {name for name, found in CRITERIA.items() if not found.needs_training}
    assert untrained == {*OF_INITIAL, *OF_DERIVATIVES}


@pytest.mark.parametrize("name", BY_HAND)
def test_scores_by_hand(name):
    final = None if name in OF_INITIAL else {"a": FINAL}
    make = {"make_generator": lambda: np.random.default_rng(5)}
    scores = CRITERIA[name]().scores(context({"a": INITIAL}, final, **make))
    assert scores["a"].tolist() == BY_HAND[name]


@pytest.mark.parametrize("name", ["large_init_large_final", "small_init_small_final"])
@given(st.integers(2, 60), st.integers(0, 2**32 - 1), st.data())
def test_both_terms_reach_the_cut_at_the_same_percentile(name, size, seed, data):
    rng = np.random.default_rng(seed)
    initial, final = rng.normal(size=size), 10 * rng.normal(size=size)
    scores = CRITERIA[name]().scores(context({"a": initial}, {"a": final}))["a"]
    rank = data.draw(st.integers(1, size - 1))
    small = name.startswith("small")
    first, last = (-abs(w) if small else abs(w) for w in (initial, final))
    cuts = np.sort(first)[rank - 1], np.sort(last)[rank - 1]
    kept = np.minimum(cuts[0] / cuts[1] * abs(final), abs(initial)) > cuts[0]
    if small:
        kept = np.maximum(cuts[0] / cuts[1] * abs(final), abs(initial)) < -cuts[0]
    # Those at the cut itself are not kept, whatever the division has rounded.
    kept &= (first != cuts[0]) & (last != cuts[1])
    np.testing.assert_array_equal(scores >= rank, kept)


def test_percentiles_are_among_what_remains_and_is_ranked_together():
    initial, final = {"a": [1.0, 2, 3], "b": [10.0, 20]}, {"a": [3.0, 0, 1], "b": [2.0, 9]}
    masks = {"a": np.array([True, False, True]), "b": np.ones(2, bool)}
    rank = CRITERIA["large_init_large_final"]().scores
    alone = rank(context(initial, final, masks))
    assert alone["a"][masks["a"]].tolist() == [0, 0] and alone["b"].tolist() == [0, 1]
    # |initial| of those that remain ranks a: 0, 1 and b: 2, 3; |final| a: 2, 0 and b: 1, 3.
    together = rank(context(initial, final, masks, [("a", "b")]))
    assert together["a"][masks["a"]].tolist() == [0, 0] and together["b"].tolist() == [1, 3]


def test_what_costs_something_is_computed_when_asked_for_and_once():
    asked = []

    def supply(name):
        def supplier(*vectors, **how):
            asked.append((name, *vectors, *how.values()))
            return name

        return supplier

    found = context(
        {"a": [1.0]},
        {"a": [2.0]},
        make_generator=supply("generator"),
        take_examples=supply("examples"),
        differentiate=supply("gradients"),
        multiply_hessian=supply("product"),
    )
    assert found.weights["a"].tolist() == [2.0] and asked == []
    for _ in range(2):
        assert (found.generator, found.examples, found.gradients()) == (
            "generator", "examples", "gradients",
        )  # fmt: skip
    assert asked == [("generator",), ("examples",), ("gradients", 1.0, False)]
    found.gradients(temperature=200.0)
    found.hessian_product({"a": 3}, training=True)
    assert asked[3:] == [("gradients", 200.0, False), ("product", {"a": 3}, 1.0, True)]


def test_what_is_not_there_is_refused():
    bare = context({"a": [1.0]}, None)
    assert bare.weights["a"].tolist() == [1.0]
    with pytest.raises(UserError, match=r"^--criterion: asks for final weights.*needs_training"):
        bare.final  # noqa: B018
    with pytest.raises(UserError, match=r"^--criterion: asks for what is not supplied"):
        bare.gradients()
