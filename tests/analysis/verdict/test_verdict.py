"""The verdict, from results made by hand; the numbers are worked out in the comments.

`test_sequence.py` has which levels are tested and claimed.
"""

import dataclasses
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lth_tf.analysis.figures.points import level_points
from lth_tf.analysis.verdict.judging import judge
from lth_tf.analysis.verdict.sentence import verdict_sentence
from lth_tf.analysis.verdict.verdict import Margins, Outcome, margins_for
from lth_tf.errors import UserError
from lth_tf.metric import Metric
from lth_tf.runs.results import Result

MARGINS = Margins(accuracy=0.002, iterations=0.10)
DENSITIES = [1.0, 0.25, 0.2, 0.16, 0.128]
ACCURACY, ITERATION = "test accuracy at early stopping", "early-stopping iteration"
LAST = 5000
close = pytest.approx


def result(replicate, level, arm, accuracy, iteration=1000, at=None):
    return Result(
        replicate=replicate,
        level=level,
        arm=arm,
        density=DENSITIES[level],
        remaining=round(10_000 * DENSITIES[level]),
        early_stop_iteration=iteration,
        validation_loss_at_early_stop=0.3,
        test_accuracy_at_early_stop=accuracy,
        test_accuracy_final=0.5,  # never judged
        iterations=LAST,
        seconds=2.0,
        test_accuracy_at=at or {},
        layers={},
    )


def dense(count, accuracy=0.97, iteration=1000):
    return [result(r, 0, "dense", accuracy, iteration) for r in range(count)]


def tickets(level, changes, iterations=None, arm="ticket"):
    """Tickets that are as much more accurate than `dense`, one per replicate."""
    iterations = iterations or [1000] * len(changes)
    pairs = enumerate(zip(changes, iterations, strict=True))
    return [result(r, level, arm, 0.97 + change, j) for r, (change, j) in pairs]


def verdict(*results, margins=MARGINS, grid=100, marks=(), **how):
    together = [r for group in results for r in group]
    return judge(together, margins, grid, marks, **how)


def level(*results, **settings):
    """The verdict on the first level."""
    return verdict(*results, **settings).levels[0]


def outcomes(judged):
    return [endpoint.outcome for endpoint in judged.endpoints]


# Margins


@pytest.mark.parametrize(
    ("dataset", "accuracy"),
    [
        ("mnist", 0.002), ("mnist_5k", 0.002), ("fashion_mnist", 0.002), ("kmnist", 0.002),
        ("mnist:3.0.1", 0.002), ("cifar10", 0.005), ("cifar10:3.0.2", 0.005), ("my_mnist", 0.005),
    ],
)  # fmt: skip
def test_margins_by_data_set(dataset, accuracy):
    assert margins_for(dataset) == Margins(accuracy, 0.10)


@pytest.mark.parametrize("value", [-0.001, math.inf, math.nan])
@pytest.mark.parametrize("name", ["accuracy", "iterations"])
def test_a_margin_is_a_finite_number_from_0(name, value):
    with pytest.raises(UserError, match=f"margin of {name}"):
        Margins(**{"accuracy": 0.0, "iterations": 0.0, name: value})


# Levels


def test_five_replicates_that_are_superior():
    # j'/j: 1/4, 1/2, 1/2, 1/2, 1. log2: mean -1, variance (1+0+0+0+1)/4, error sqrt(0.5/5) =
    # 0.3162278, times 2.1318468 is 0.6741492: 2^-1.6741492 = 0.313349, 2^-0.3258508 = 0.797831.
    judged = level(
        dense(5, iteration=1024),
        tickets(1, [0.001, 0.002, 0.003, 0.004, 0.005], [256, 512, 512, 512, 1024]),
    )
    accuracy, iteration = judged.endpoints
    assert [accuracy.name, iteration.name] == [ACCURACY, ITERATION]
    assert [accuracy.is_ratio, iteration.is_ratio] == [False, True]
    assert accuracy.estimate.values == close((0.001, 0.002, 0.003, 0.004, 0.005))
    assert accuracy.estimate.mean == close(0.003)
    assert (accuracy.estimate.lower, accuracy.estimate.upper) == close((0.0014925567, 0.0045074433))
    assert iteration.estimate.values == close((0.25, 0.5, 0.5, 0.5, 1))
    assert iteration.estimate.mean == close(0.5)
    bounds = (iteration.estimate.lower, iteration.estimate.upper)
    assert bounds == close((0.313349, 0.797831), rel=1e-5)
    assert outcomes(judged) == ["superior", "superior"] and judged.outcome == "superior"
    assert (judged.level, judged.density, judged.replicates) == (1, 0.25, (0, 1, 2, 3, 4))
    assert judged.holding == 5 and judged.holding_interval == close((0.025**0.2, 1))


def test_two_replicates_leave_wide_bounds():
    # a' - a: 0.002 -+ 6.3137515 * 0.001. j'/j = 0.5 and 0.8: ln -0.6931472 and -0.2231436, mean
    # -0.4581454, error 0.2350018, so -+ 1.4837432: 0.143433 and 2.78875.
    judged = level(dense(2), tickets(1, [0.001, 0.003], [500, 800]))
    accuracy, iteration = (endpoint.estimate for endpoint in judged.endpoints)
    assert (accuracy.lower, accuracy.upper) == close((-0.0043137515, 0.0083137515))
    assert iteration.mean == close(0.4**0.5)
    assert (iteration.lower, iteration.upper) == close((0.143433, 2.78875), rel=1e-5)
    assert judged.outcome == "inconclusive"
    assert judged.holding == 2


def test_one_replicate_is_not_enough():
    judged = level(dense(1), tickets(1, [0.01], [500]))
    assert outcomes(judged) == ["not enough replicates"] * 2
    assert judged.outcome == Outcome.NOT_ENOUGH and judged.tested == "claim"
    assert judged.endpoints[0].estimate.mean == close(0.01)
    assert judged.endpoints[1].estimate.mean == close(0.5)
    assert (judged.holding, judged.holding_interval) == (1, close((0.025, 1)))


@pytest.mark.parametrize(
    ("change", "iteration", "accuracy_is", "iteration_is", "level_is"),
    [
        (0.0, 1000, "superior", "superior", "superior"),  # ties in everything
        (0.0, 1001, "superior", "supported", "supported"),
        (-0.0001, 900, "supported", "superior", "supported"),
        (-0.0019, 1099, "supported", "supported", "supported"),
        (-0.002, 1000, "inconclusive", "superior", "inconclusive"),  # exactly at the margin
        (0.0, 1100, "superior", "inconclusive", "inconclusive"),  # exactly at the margin
        (-0.0021, 500, "refuted", "superior", "refuted"),
        (0.01, 1101, "superior", "refuted", "refuted"),
        (-0.002, 1101, "inconclusive", "refuted", "refuted"),
    ],
)
def test_equal_replicates(change, iteration, accuracy_is, iteration_is, level_is):
    """Their bounds are their mean, which shows where the outcomes begin."""
    judged = level(dense(3), tickets(1, [change] * 3, [iteration] * 3))
    for endpoint in judged.endpoints:
        found = endpoint.estimate
        assert found.lower == found.mean == found.upper
    assert outcomes(judged) == [accuracy_is, iteration_is]
    assert judged.outcome == level_is
    assert judged.holding == (3 if change >= 0 and iteration <= 1000 else 0)


def test_the_bounds_decide_and_not_the_means():
    # -3, -4, -5 points: deviation 1, error 1/sqrt(3) = 0.57735, times t(0.95, 2) = 2.9199856 is
    # 1.6858544. The upper bound is -2.3141456 points.
    results = dense(3), tickets(1, [-0.03, -0.04, -0.05])
    assert level(*results, margins=Margins(0.023, 0.1)).outcome == "refuted"
    assert level(*results, margins=Margins(0.024, 0.1)).outcome == "inconclusive"
    # The lower bound is -5.6858544 points.
    assert level(*results, margins=Margins(0.056, 0.1)).outcome == "inconclusive"
    assert level(*results, margins=Margins(0.057, 0.1)).outcome == "supported"


def test_the_bounds_of_iterations_decide():
    # j'/j = 1, 2, 4: log2 1 -+ 2.9199856/sqrt(3) = 1 -+ 1.6858544, so 0.62167 and 6.43464.
    results = dense(3), tickets(1, [0.0] * 3, [1000, 2000, 4000])
    assert level(*results, margins=Margins(0.002, 5.44)).outcome == "supported"
    assert level(*results, margins=Margins(0.002, 5.43)).outcome == "inconclusive"
    # j'/j = 2, 4, 8, twice as much: the lower bound is 1.24334.
    results = dense(3, iteration=500), tickets(1, [0.0] * 3, [1000, 2000, 4000])
    assert level(*results, margins=Margins(0.002, 0.24)).outcome == "refuted"
    assert level(*results, margins=Margins(0.002, 0.25)).outcome == "inconclusive"


def test_holding_takes_both_in_the_same_replicate():
    # The first is as good in both, the second less accurate, the third later.
    judged = level(dense(3), tickets(1, [0.0, -0.001, 0.01], [1000, 900, 1100]))
    assert judged.holding == 1
    assert judged.holding_interval == close((1 - 0.975 ** (1 / 3), 0.9057007), rel=1e-5)


def test_each_replicate_is_compared_with_its_own_dense_network():
    networks = [result(0, 0, "dense", 0.90, 500), result(1, 0, "dense", 0.80, 2000)]
    found = [result(0, 1, "ticket", 0.91, 1000), result(1, 1, "ticket", 0.81, 4000)]
    accuracy, iteration = level(networks, found).endpoints
    assert accuracy.estimate.values == close((0.01, 0.01))
    assert iteration.estimate.values == close((2, 2))


def test_replicates_without_a_pair_are_left_out():
    networks = [result(r, 0, "dense", 0.97) for r in (0, 1, 3)]
    found = tickets(1, [0.01, 0.02, 0.5])  # replicates 0, 1 and 2
    judged = level(networks, found)
    assert judged.replicates == (0, 1)
    assert judged.endpoints[0].estimate.values == close((0.01, 0.02))
    assert judged.arms["ticket"].replicates == (0, 1, 2)
    assert judged.arms["dense"].replicates == (0, 1)
    assert verdict(networks, found).dense.replicates == (0, 1, 3)


def test_a_level_without_pairs_is_judged_all_the_same():
    judged = level(tickets(1, [0.01, 0.02]))
    assert (judged.replicates, judged.endpoints, judged.holding) == ((), (), 0)
    assert judged.outcome == "not enough replicates"
    assert judged.holding_interval == (0, 1)
    assert "dense" not in judged.arms
    assert verdict(tickets(1, [0.01])).dense is None


@pytest.mark.parametrize(("j", "ratio"), [(0, 1), (50, 1), (100, 1), (150, 1.5)])
def test_an_iteration_below_the_grid_counts_as_its_first(j, ratio):
    judged = level(dense(2, iteration=0), tickets(1, [0.0, 0.0], [j, j]), grid=100)
    assert judged.endpoints[1].estimate.values == close((ratio, ratio))
    assert judged.holding == (2 if ratio == 1 else 0)
    assert judged.arms["dense"].estimates[ITERATION].mean == 0


# Arms and lottery effects


def test_several_draws_of_a_control_are_averaged_in_each_replicate():
    # Replicate 0: reinits at 0.95 and 0.97, mean 0.96, the ticket 0.98: +0.02. ln j: 1000 and 4000
    # have the geometric mean 2000, the ticket 1000: 1/2. Replicate 1: 0.96, +0.04; 8000, 1/8.
    results = [
        *dense(2),
        result(0, 1, "ticket", 0.98, 1000), result(1, 1, "ticket", 1.0, 1000),
        result(0, 1, "reinit_0", 0.95, 1000), result(0, 1, "reinit_1", 0.97, 4000),
        result(1, 1, "reinit_0", 0.96, 8000),
    ]  # fmt: skip
    judged = level(results)
    accuracy, iteration = judged.effects
    assert (accuracy.control, accuracy.name) == ("reinit", ACCURACY)
    assert (iteration.control, iteration.name) == ("reinit", ITERATION)
    assert accuracy.estimate.values == close((0.02, 0.04))
    assert iteration.estimate.values == close((0.5, 0.125))
    assert iteration.estimate.mean == close(0.25)
    # Bounds 0.03 -+ 6.3137515 * 0.01, and 2^(-2 -+ 6.3137515): nothing is shown.
    assert accuracy.estimate.lower == close(-0.033137515)
    assert iteration.estimate.upper == close(2**4.3137515, rel=1e-6)
    assert not accuracy.shown and not iteration.shown
    # The arm itself has arithmetic means: 2500 and 8000.
    arm = judged.arms["reinit"]
    assert arm.estimates[ITERATION].values == close((2500, 8000))
    assert arm.estimates[ACCURACY].values == close((0.96, 0.96))


def test_an_effect_is_shown_if_its_bound_is_above_0():
    # Reinits 1, 2, 3 points below: 2 -+ 2.9199856/sqrt(3) = 0.3141456; as late: no effect at all.
    # Random masks 0, 2, 4 below: 2 - 2 * 1.6858544 < 0; twice as late each time.
    judged = level(
        dense(3),
        tickets(1, [0.0] * 3),
        tickets(1, [-0.01, -0.02, -0.03], arm="reinit_0"),
        tickets(1, [0.0, -0.02, -0.04], [2000] * 3, arm="random_mask_0"),
    )
    shown = {(effect.control, effect.name): effect.shown for effect in judged.effects}
    assert shown == {
        ("random_mask", ACCURACY): False,
        ("random_mask", ITERATION): True,
        ("reinit", ACCURACY): True,
        ("reinit", ITERATION): False,
    }
    reinit = next(effect for effect in judged.effects if effect.control == "reinit")
    assert reinit.estimate.lower == close(0.003141456)


def test_a_control_that_is_better_shows_no_effect():
    judged = level(
        dense(2), tickets(1, [0.0] * 2), tickets(1, [0.01] * 2, [500] * 2, arm="reinit_0")
    )
    assert [effect.shown for effect in judged.effects] == [False, False]
    assert judged.effects[1].estimate.mean == close(2)


def test_every_kind_of_control_stands_by_itself():
    kinds = ["random_mask", "random_mask_reinit", "reinit", "shuffled_mask"]
    controls = [tickets(1, [-0.1] * 2, arm=f"{kind}_0") for kind in kinds]
    judged = level(
        dense(2), tickets(1, [0.0] * 2), *controls, tickets(1, [-0.3] * 2, arm="reinit_11")
    )
    assert [effect.control for effect in judged.effects[::2]] == kinds
    assert judged.arms.keys() == {*kinds, "ticket", "dense"}
    means = {e.control: e.estimate.mean for e in judged.effects if e.name == ACCURACY}
    assert means == close({kind: 0.2 if kind == "reinit" else 0.1 for kind in kinds})


def test_effects_need_no_dense_network_but_a_pair():
    control = [result(r, 1, "reinit_0", 0.90) for r in (1, 2)]
    judged = level(tickets(1, [0.0, 0.0]), control)  # tickets of replicates 0 and 1
    assert [effect.replicates for effect in judged.effects] == [(1,), (1,)]
    assert judged.effects[0].estimate.values == close((0.07,))
    assert not judged.effects[0].shown
    alone = level(dense(2), tickets(1, [0.0, 0.0]), [result(5, 1, "reinit_0", 0.9)])
    assert alone.effects == () and alone.arms["reinit"].replicates == (5,)


def test_a_minimum_at_the_last_evaluation_is_counted_by_arm():
    # Of the reinits, both of replicate 1 and one of replicate 2 end so: two replicates.
    judged = level(
        [result(0, 0, "dense", 0.97), result(1, 0, "dense", 0.97, LAST),
         result(2, 0, "dense", 0.97, LAST - 1)],
        tickets(1, [0.0] * 3, [LAST, LAST, 1000]),
        tickets(1, [0.0] * 3, [1000, LAST, LAST], arm="reinit_0"),
        tickets(1, [0.0] * 3, [1000, LAST, 1000], arm="reinit_1"),
    )  # fmt: skip
    assert {kind: arm.censored for kind, arm in judged.arms.items()} == {
        "dense": 1,
        "ticket": 2,
        "reinit": 2,
    }


def test_a_level_without_tickets_is_not_judged():
    found = verdict(dense(2), tickets(1, [0.0] * 2, arm="reinit_0"), tickets(2, [0.0] * 2))
    assert [v.level for v in found.levels] == [2]


# Minima at the last evaluation


@pytest.mark.parametrize(
    ("tickets_at", "dense_at", "outcome", "censored"),
    [
        # j' is later than it seems: what passes is not known to, what is refuted is all the more.
        ([LAST] * 3, [6000] * 3, "inconclusive", True),
        ([LAST] * 3, [LAST] * 3, "inconclusive", True),
        ([LAST] * 3, [1000] * 3, "refuted", False),
        # j is later than it seems: what is refuted is not known to be, what passes does so all the
        # more.
        ([1000] * 3, [LAST] * 3, "superior", False),
        ([6000] * 3, [LAST] * 3, "inconclusive", True),
        # One that is known is enough for the bounds to speak.
        ([LAST, LAST, LAST - 1], [LAST] * 3, "supported", False),
    ],
)
def test_a_level_whose_every_minimum_is_at_the_end_does_not_pass(
    tickets_at, dense_at, outcome, censored
):
    networks = [result(r, 0, "dense", 0.97, j) for r, j in enumerate(dense_at)]
    accuracy, iteration = level(networks, tickets(1, [0.001] * 3, tickets_at)).endpoints
    assert (iteration.outcome, iteration.censored) == (outcome, censored)
    assert (accuracy.outcome, accuracy.censored) == ("superior", False)


def test_minima_of_replicates_without_a_pair_do_not_count():
    networks = dense(2, iteration=LAST)
    judged = level(networks, tickets(1, [0.0] * 3, [LAST, LAST, 1000]))
    assert judged.endpoints[1].censored and judged.outcome == "inconclusive"


def test_a_ticket_whose_minimum_is_at_the_end_is_not_known_to_be_as_early():
    judged = level(dense(3, iteration=LAST), tickets(1, [0.0] * 3, [LAST, LAST, LAST - 1]))
    assert judged.holding == 1


def test_an_effect_on_iterations_is_not_shown_where_no_ticket_reached_its_minimum():
    later = [result(r, 1, "reinit_0", 0.90, 6000 + r) for r in range(3)]
    for at, shown in (([LAST] * 3, False), ([LAST, LAST, LAST - 1], True)):
        accuracy, iteration = level(dense(3), tickets(1, [0.0] * 3, at), later).effects
        assert accuracy.shown and iteration.shown is shown


# Deep networks


def deep(replicate, number, arm, *accuracies):
    """Early stopping would refute each ticket: at 0.1, and last."""
    at = dict(zip((10_000, 20_000), accuracies, strict=True))
    early = (0.1, LAST) if number else (0.9, 100)
    return result(replicate, number, arm, *early, at=at)


def test_deep_networks_are_judged_at_the_marks():
    results = [
        deep(0, 0, "dense", 0.80, 0.90), deep(1, 0, "dense", 0.82, 0.92),
        deep(0, 1, "ticket", 0.81, 0.90), deep(1, 1, "ticket", 0.83, 0.92),
        deep(0, 2, "ticket", 0.81, 0.88), deep(1, 2, "ticket", 0.83, 0.90),
        deep(0, 1, "reinit_0", 0.71, 0.90), deep(1, 1, "reinit_0", 0.73, 0.92),
    ]  # fmt: skip
    found = verdict(results, margins=Margins(0.005, 0.1), marks=(10_000, 20_000))
    first, second = found.levels
    early, late = "test accuracy at iteration 10,000", "test accuracy at iteration 20,000"
    assert [endpoint.name for endpoint in first.endpoints] == [early, late]
    assert [endpoint.estimate.mean for endpoint in first.endpoints] == close([0.01, 0])
    assert first.outcome == "superior" and first.holding == 2
    # Better at the first mark, refuted at the second: all marks must pass.
    assert outcomes(second) == ["superior", "refuted"] and second.outcome == "refuted"
    assert second.holding == 0
    effects = [(effect.name, effect.estimate.mean, effect.shown) for effect in first.effects]
    assert effects == [(early, close(0.1), True), (late, 0, False)]
    assert first.arms["ticket"].censored == 0
    assert found.dense.estimates[late].values == (0.90, 0.92)
    assert verdict_sentence(found) == (
        "Winning tickets at 25% of the weights: test accuracy at iteration 10,000 +1.00 points (at "
        "least +1.00), test accuracy at iteration 20,000 +0.00 points (at least +0.00), "
        "2 replicates; against random reinit at 25%, test accuracy at iteration 10,000 +10.00 "
        "points (at least +10.00), test accuracy at iteration 20,000 +0.00 points (at least "
        "+0.00, not shown)."
    )
    # The last mark alone, and no marks at all.
    last = judge(results, Margins(0.03, 0.1), 100, marks=(20_000,))
    assert [v.outcome for v in last.levels] == ["superior", "supported"]
    said = verdict_sentence(last)
    assert "from 25% down to 20% of the weights, within margins of 3 points:" in said
    assert judge(results, MARGINS, 100).levels[0].outcome == "refuted"


def test_a_mark_that_was_not_recorded_is_named():
    results = [deep(0, 0, "dense", 0.8, 0.9), deep(0, 1, "ticket", 0.8, 0.9)]
    with pytest.raises(UserError, match=r"30000, has them at \[10000, 20000\]"):
        verdict(results, marks=(10_000, 30_000))


# Sentences


def sequence(*changes):
    """Levels of three equal replicates each, 0 points superior, -0.1 supported, -1 refuted."""
    return verdict(dense(3), *(tickets(n, [c] * 3) for n, c in enumerate(changes, 1)))


def test_the_sentence_of_winning_tickets():
    found = verdict(
        dense(5, iteration=1024),
        tickets(1, [0.001, 0.002, 0.003, 0.004, 0.005], [256, 512, 512, 512, 1024]),
    )
    assert verdict_sentence(found) == (
        "Winning tickets at 25% of the weights: test accuracy +0.30 points (at least +0.15), "
        "early stopping after 0.50 times the iterations (at most 0.80), 5 replicates."
    )


def test_the_sentence_names_the_effect_against_reinit_at_the_claims_sparsest_level_that_has_it():
    # Reinits 1, 2, 3 points below: at least 2 - 1.6858544 = 0.31. As late: no effect.
    reinits = tickets(2, [-0.01, -0.02, -0.03], arm="reinit_0")
    masks = tickets(3, [-0.5] * 3, arm="random_mask_0")
    found = verdict(dense(3), *(tickets(n, [0.0] * 3) for n in (1, 2, 3)), reinits, masks)
    assert verdict_sentence(found) == (
        "Winning tickets from 25% down to 16% of the weights: at 16%, test accuracy +0.00 points "
        "(at least +0.00), early stopping after 1.00 times the iterations (at most 1.00), 3 "
        "replicates; against random reinit at 20%, test accuracy +2.00 points (at least +0.31), "
        "early stopping after 1.00 times the iterations (at most 1.00, not shown)."
    )
    alone = verdict(dense(2), tickets(1, [0.0] * 2), tickets(1, [-0.01], arm="reinit_0"))
    assert "+1.00 points (one replicate, no bound)" in verdict_sentence(alone)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (verdict(), "No verdict: no ticket has been trained yet."),
        (verdict(dense(2)), "No verdict: no ticket has been trained yet."),
        (
            sequence(0.0, -0.001),
            "Winning tickets from 25% down to 20% of the weights, within margins of 0.2 points and "
            "10% of the iterations: at 20%, test accuracy -0.10 points (at least -0.10), early "
            "stopping after 1.00 times the iterations (at most 1.00), 3 replicates.",
        ),
        (
            sequence(-0.01, 0.0),
            "No winning ticket found: the first level with at most 25% of the weights, 25%, is "
            "refuted: test accuracy -1.00 points (-1.00 to -1.00), early stopping after 1.00 times "
            "the iterations (1.00 to 1.00), 3 replicates. The sequence of tests ends there. Each "
            "by itself, which claims less, 1 of 2 levels pass, the sparsest with 20% of the "
            "weights: test accuracy +0.00 points (at least +0.00), early stopping after 1.00 times "
            "the iterations (at most 1.00).",
        ),
        (  # bounds as in test_two_replicates_leave_wide_bounds
            verdict(dense(2), tickets(1, [0.001, 0.003], [500, 800])),
            "No winning ticket found: the first level with at most 25% of the weights, 25%, is "
            "inconclusive: test accuracy +0.20 points (-0.43 to +0.83), early stopping after 0.63 "
            "times the iterations (0.14 to 2.79), 2 replicates.",
        ),
        (  # of one replicate, the sparsest that does as well
            verdict(dense(1), *(tickets(n, [c], [700]) for n, c in enumerate((0, 0.002, -0.1), 1))),
            "Not enough replicates for a verdict, which takes at least 2: in the only one, the "
            "ticket with 20% of the weights has test accuracy +0.20 points, early stopping after "
            "0.70 times the iterations.",
        ),
        (
            verdict(dense(1), tickets(1, [0.001], [1001])),
            "Not enough replicates for a verdict, which takes at least 2: in the only one, no "
            "ticket does as well as the dense network.",
        ),
        (  # better where its loss was still falling: how early it is at its best is not known
            verdict(dense(1), tickets(1, [0.001], [LAST]), tickets(2, [-0.1], [900])),
            "Not enough replicates for a verdict, which takes at least 2: in the only one, no "
            "ticket is known to do as well as the dense network (lowest validation loss at the "
            "last evaluation: 1 of 2 tickets).",
        ),
        (
            verdict(tickets(1, [0.0] * 2)),
            "Not enough replicates for a verdict, which takes at least 2: none has both the dense "
            "network and the ticket of level 1.",
        ),
        (
            verdict(
                [*dense(1), result(1, 0, "dense", 0.97, LAST)],
                tickets(1, [-0.01] * 2, [LAST, LAST]),
            ),
            # ln j'/j is ln 5 and 0: mean ln sqrt(5), error ln(5)/2 = 0.804719, times 6.3137515.
            "No winning ticket found: the first level with at most 25% of the weights, 25%, is "
            "refuted: test accuracy -1.00 points (-1.00 to -1.00), early stopping after 2.24 times "
            f"the iterations ({5**-2.65687575:.2f} to {5**3.65687575:.2f}), 2 replicates (lowest "
            "validation loss at the last evaluation: 2 of 2 tickets, 1 of 2 dense networks).",
        ),
        (
            verdict(
                dense(3),
                *(tickets(n, [0.0] * 3) for n in (1, 2)),
                margins=Margins(0.002, 0.1, claim_density=0.19),
            ),
            "No level has at most 19% of the weights, where the claim of winning tickets begins "
            "(--claim_density), so that nothing is claimed. The sparsest, 20%, is by itself "
            "superior: test accuracy +0.00 points (at least +0.00), early stopping after 1.00 "
            "times the iterations (at most 1.00), 3 replicates.",
        ),
        (
            verdict(dense(1), tickets(1, [-0.1]), margins=Margins(0.002, 0.1, claim_density=0.19)),
            "No level has at most 19% of the weights, where the claim of winning tickets begins "
            "(--claim_density), so that nothing is claimed. Not enough replicates for a verdict, "
            "which takes at least 2: in the only one, no ticket does as well as the dense network.",
        ),
    ],
)
def test_sentences(found, sentence):
    assert verdict_sentence(found) == sentence


def test_a_levels_density_is_the_mean_over_its_replicates():
    of_level = [
        dataclasses.replace(each, density=density)
        for each, density in zip(tickets(1, [0.0] * 3), (0.2, 0.2, 0.23), strict=True)
    ]
    assert verdict(dense(3), of_level).levels[0].density == close(0.21)
    assert level_points("r", of_level)[0].density == close(0.21)
    same = [dataclasses.replace(each, density=0.1 + 0.2) for each in of_level]
    assert verdict(dense(3), same).levels[0].density == 0.1 + 0.2


# Trained weights that are kept


def before(r):
    """The dense network's training and those of the levels between, of 5,000 iterations each."""
    return LAST * r.level if r.arm != "reinit_0" else 0


def test_iterations_of_networks_that_keep_their_weights_are_counted_in_total():
    # The second level's come after 5,000 + 5,000: (10,000 + 2,500) / 2,500 = 5 and 11,000 / 1,000.
    networks = [result(0, 0, "dense", 0.97, 2500), result(1, 0, "dense", 0.97, 1000)]
    found = verdict(
        networks,
        tickets(1, [0.01] * 2, [0, 0]),
        tickets(2, [0.01] * 2, [2500, 1000]),
        tickets(2, [0.0] * 2, [2500, 1000], arm="reinit_0"),
        earlier=before,
    )
    first, second = found.levels
    assert first.endpoints[1].estimate.values == close((2, 5))
    assert second.endpoints[1].estimate.values == close((5, 11))
    assert second.effects[1].estimate.values == close((5, 11))
    assert second.arms["ticket"].estimates[second.endpoints[1].name].values == (12_500, 11_000)
    assert second.holding == 0
    assert found.keeps_weights and found.subject == "pruned network"


def test_what_keeps_its_weights_is_compared_in_total_and_called_no_ticket():
    found = verdict(dense(2, iteration=2500), tickets(1, [-0.001] * 2, [2500] * 2), earlier=before)
    assert verdict_sentence(found) == (
        "Pruned networks that keep their trained weights are not shown to do as well as the dense "
        "network at equal total iterations: the first level with at most 25% of the weights, 25%, "
        "is refuted: test accuracy -0.10 points (-0.10 to -0.10), early stopping after 3.00 times "
        "the iterations, those of earlier trainings included (3.00 to 3.00), 2 replicates. In test "
        "accuracy alone, each by itself, which claims less, 1 of 1 levels pass, the sparsest with "
        "25% of the weights: test accuracy -0.10 points (at least -0.10)."
    )
    # As good at once, beside a dense network that took all of its own training but an evaluation.
    early = verdict(dense(2, iteration=LAST - 1), tickets(1, [0.0] * 2, [0, 0]), earlier=before)
    assert verdict_sentence(early).startswith(
        "Pruned networks that keep their trained weights do as well as the dense network at equal "
        "total iterations, at 25% of the weights, within margins of 0.2 points and 10% of the "
        "iterations: test accuracy +0.00 points (at least +0.00)"
    )


@pytest.mark.parametrize("density", [0.25, 0.1])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("change", [0.01, -0.5])
@pytest.mark.parametrize("marks", [(), (1000,)])
@pytest.mark.parametrize("how", [{"earlier": before}, {"prunes_while_training": True}])
def test_no_sentence_calls_what_is_none_a_ticket(density, count, change, marks, how):
    at = {1000: 0.97 + change}
    networks = [result(r, 0, "dense", 0.97, at={1000: 0.97}) for r in range(count)]
    found = [result(r, 1, "ticket", 0.97 + change, at=at) for r in range(count)]
    margins = Margins(0.002, 0.1, claim_density=density)
    sentence = verdict_sentence(verdict(networks, found, margins=margins, marks=marks, **how))
    assert "ticket" not in sentence and "Winning" not in sentence
    if marks or "earlier" not in how:
        assert "total iterations" not in sentence
    if "earlier" not in how:
        assert "earlier trainings" not in sentence and "keep their trained" not in sentence


def test_judging_knows_no_tensorflow():
    code = (
        "import sys; import lth_tf.analysis.verdict.judging, lth_tf.analysis.verdict.sentence; "
        "sys.exit(bool({'tensorflow', 'tf_keras'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Properties


accuracies = st.integers(9000, 10_000).map(lambda correct: correct / 10_000)
iterations = st.integers(0, 50).map(lambda evaluation: 100 * evaluation)
measured = st.tuples(accuracies, iterations)


@given(st.data(), st.lists(st.tuples(*[measured] * 3), min_size=1, max_size=6))
def test_the_order_of_replicates_changes_nothing(data, replicates):
    arms = ("dense", "ticket", "reinit_0")

    def judged(values):
        results = [
            result(r, 0 if arm == "dense" else 1, arm, *value)
            for r, of_arms in enumerate(values)
            for arm, value in zip(arms, of_arms, strict=True)
        ]
        return level(data.draw(st.permutations(results)))

    found, permuted = judged(replicates), judged(data.draw(st.permutations(replicates)))
    assert facts(found) == facts(permuted)


def facts(judged):
    """All that does not list the replicates."""
    estimates = [
        *(endpoint.estimate for endpoint in judged.endpoints),
        *(effect.estimate for effect in judged.effects),
        *(found for arm in judged.arms.values() for found in arm.estimates.values()),
    ]
    return (
        [(e.mean, e.minimum, e.maximum, e.lower, e.upper) for e in estimates],
        [effect.shown for effect in judged.effects],
        [(kind, arm.censored) for kind, arm in judged.arms.items()],
        outcomes(judged), judged.outcome, judged.holding, judged.holding_interval,
    )  # fmt: skip


@given(st.lists(st.tuples(measured, measured), min_size=2, max_size=6), st.floats(0, 0.05))
def test_wider_margins_never_make_an_outcome_weaker(replicates, margin):
    results = [
        result(r, number, arm, *value)
        for r, pair in enumerate(replicates)
        for (number, arm), value in zip(((0, "dense"), (1, "ticket")), pair, strict=True)
    ]
    order = [Outcome.REFUTED, Outcome.INCONCLUSIVE, Outcome.SUPPORTED, Outcome.SUPERIOR]
    strict, wide = (
        order.index(level(results, margins=Margins(m, 10 * m)).outcome)
        for m in (margin, margin + 1)
    )
    assert strict <= wide


# Other metrics

ERROR = Metric.named("mean_squared_error")


@pytest.mark.parametrize("marks", [(), (1000,)])
@pytest.mark.parametrize(
    ("change", "outcome"),
    [(-0.010, "superior"), (0.0, "superior"), (0.001, "supported"), (0.010, "refuted")],
)
def test_an_error_is_better_the_lower_it_is(change, outcome, marks):
    def of(arm, level, error):
        return [result(r, level, arm, error, at=dict.fromkeys(marks, error)) for r in range(3)]

    arms = [*of("dense", 0, 0.5), *of("ticket", 1, 0.5 + change), *of("reinit_0", 1, 0.6)]
    judged = judge(arms, MARGINS, 100, marks, ERROR)
    first = judged.levels[0]
    assert first.outcome == outcome and first.holding == 3 * (change <= 0)
    assert first.endpoints[0].estimate.mean == close(-change)
    assert first.effects[0].shown and first.effects[0].estimate.mean == close(0.1 - change)
    assert first.arms["ticket"].estimates[first.endpoints[0].name].mean == close(0.5 + change)
    when = " at iteration 1,000" if marks else ""
    said = f"test mean squared error{when} better by {ERROR.difference(-change)} ("
    assert said in verdict_sentence(judged)
    assert "points" not in verdict_sentence(judged)
