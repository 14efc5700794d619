"""Measures of ensembles against cases worked by hand, and what must hold of any."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lth_tf.analysis.ensembles import measures as ensembles

# Three members, four examples, two classes: probabilities of class 1.
OF_ONE = np.array([[0.9, 0.6, 0.3, 0.2], [0.8, 0.2, 0.4, 0.6], [0.4, 0.7, 0.2, 0.1]])
LABELS = np.array([1, 1, 0, 1])


def logits(of_one):
    """Logits of two classes with these probabilities of class 1, and an offset that is none."""
    return np.stack([np.log(1 - of_one), np.log(of_one)], -1) + 7.0


MEMBERS = ensembles.log_probabilities(logits(OF_ONE))
VOTE = ensembles.soft_vote(MEMBERS)
sizes = st.tuples(st.integers(1, 6), st.integers(1, 20), st.integers(2, 5))
members = sizes.flatmap(
    lambda shape: arrays.arrays(np.float32, shape, elements=st.floats(-2000, 2000, width=32))
)


def test_a_soft_vote_is_the_mean_of_the_probabilities():
    np.testing.assert_allclose(np.exp(MEMBERS)[..., 1], OF_ONE, rtol=1e-12)
    np.testing.assert_allclose(np.exp(VOTE)[:, 1], [0.7, 0.5, 0.3, 0.3], rtol=1e-12)


def test_measures_worked_by_hand():
    vote = np.log(np.array([[0.3, 0.7], [0.4, 0.6], [0.7, 0.3], [0.72, 0.28]]))
    np.testing.assert_array_equal(ensembles.correct(vote, LABELS), [True, True, True, False])
    likelihood = -(math.log(0.7) + math.log(0.6) + math.log(0.7) + math.log(0.28)) / 4
    assert ensembles.negative_log_likelihood(vote, LABELS) == pytest.approx(likelihood, rel=1e-12)
    # Of 15 bins, 0.7 twice and 0.72 share the eleventh, from 0.667 to 0.733.
    gaps = abs(1 - 0.6) + abs(2 - (0.7 + 0.7 + 0.72))
    assert ensembles.calibration_error(vote, LABELS) == pytest.approx(gaps / 4, rel=1e-12)
    # In ten bins, 0.72 is in one of its own.
    gaps = abs(1 - 0.6) + abs(2 - (0.7 + 0.7)) + 0.72
    assert ensembles.calibration_error(vote, LABELS, 10) == pytest.approx(gaps / 4, rel=1e-12)
    # Classes 1 1 0 0, 1 0 0 1 and 0 1 0 0: pairs differ on 2, 1 and 3 of four.
    assert ensembles.disagreement(MEMBERS) == pytest.approx((2 + 1 + 3) / 12, rel=1e-12)


@given(members, st.data())
def test_what_holds_of_every_ensemble(found, data):
    spoken = ensembles.log_probabilities(found)
    count, examples, classes = spoken.shape
    labels = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=examples,
                                         max_size=examples)))  # fmt: skip
    vote = ensembles.soft_vote(spoken)
    np.testing.assert_allclose(np.exp(vote).sum(-1), 1, rtol=1e-9)
    # Jensen: -log is convex.
    alone = [ensembles.negative_log_likelihood(member, labels) for member in spoken]
    likelihood = ensembles.negative_log_likelihood(vote, labels)
    assert math.isfinite(likelihood)
    assert likelihood <= sum(alone) / count + 1e-9 * (1 + max(alone))
    assert 0 <= ensembles.calibration_error(vote, labels) <= 1
    # The order of the members does not matter.
    order = data.draw(st.permutations(range(count)))
    np.testing.assert_allclose(ensembles.soft_vote(spoken[order]), vote, rtol=1e-9, atol=1e-9)
    assert ensembles.disagreement(spoken[order]) == pytest.approx(ensembles.disagreement(spoken))


@given(members, st.integers(2, 5))
def test_equal_members_are_as_one(found, count):
    one = ensembles.log_probabilities(found[0])
    same = np.stack([one] * count)
    np.testing.assert_allclose(ensembles.soft_vote(same), one, rtol=1e-12, atol=1e-12)
    assert ensembles.disagreement(same) == 0
    assert ensembles.disagreement(same[:1]) is None


def test_subsets_are_all_up_to_ten_members_and_then_a_draw():
    def of(members, size, seed=0):
        return ensembles.subsets(members, size, np.random.default_rng(seed))

    for size in range(1, 11):
        assert len(set(of(10, size))) == math.comb(10, size)
    drawn = of(20, 7)
    assert len(drawn) == 252
    assert all(len(set(subset)) == 7 and set(subset) <= set(range(20)) for subset in drawn)
    assert drawn == of(20, 7) != of(20, 7, seed=1)


@pytest.mark.parametrize("values", [[0, 1], [-1, -0.5, 0, 0, 0, 0, 0.5, 1 / 3]])
def test_the_bootstrap_is_that_of_scipy(values):
    sample = np.random.default_rng(3).choice(values, 400)
    found = ensembles.bootstrap(sample, np.random.default_rng(0))
    theirs = scipy.stats.bootstrap(
        (sample,), np.mean, n_resamples=9_999, method="percentile",
        random_state=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    # The ends of both are quantiles of 9,999 resamples: their own error is about a fiftieth of a
    # standard error of the mean, which six times covers.
    error = sample.std() / math.sqrt(len(sample))
    np.testing.assert_allclose(found, theirs, atol=6 * error / 50)


def test_the_bootstrap_of_a_sure_thing_has_no_width():
    assert ensembles.bootstrap(np.ones(9, bool), np.random.default_rng(0)) == (1, 1)
