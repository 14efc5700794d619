"""Arms that change the kept weights: which values stay, in what places, with which signs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lth_tf.arms import ARMS, Draw
from lth_tf.runs.experiment import Training
from lth_tf.streams import Streams

SHAPES = {"dense1/kernel": (40, 30), "conv/kernel": (3, 3, 4, 50), "output/kernel": (10, 4)}
NEW = {
    "survivors_reinit", "noise_half", "noise_1", "noise_2", "noise_3", "reshuffled", "permuted",
    "constant", "reshuffled_same_sign", "permuted_same_sign", "constant_same_sign",
}  # fmt: skip


def theta_0(seed=0):
    """Initial weights of layers whose deviations differ, and a bias."""
    rng = np.random.default_rng(seed)
    kernels = {
        name: (0.1 * (i + 1) * rng.standard_normal(shape)).astype(np.float32)
        for i, (name, shape) in enumerate(SHAPES.items())
    }
    return {**kernels, "dense1/bias": np.linspace(0, 1, 30, dtype=np.float32)}


def masks_of(density, seed=1):
    """Masks that keep large weights more often, so that survivors are not like all weights."""
    rng = np.random.default_rng(seed)
    scores = {name: np.abs(theta_0()[name]) * rng.random(shape) for name, shape in SHAPES.items()}
    return {name: score >= np.quantile(score, 1 - density) for name, score in scores.items()}


MASKS = masks_of(0.3)


def draw_of(level=1, number=0, seed=0):
    return Draw(Streams(seed, 0), level, number, lambda key: theta_0(), theta_0)


def weights_of(arm, masks=MASKS, draw=None, ticket=theta_0):
    """What an arm makes of the ticket, which it must leave as it is."""
    start = ticket()
    before = {name: array.copy() for name, array in start.items()}
    weights = ARMS[arm]().weights(lambda: start, masks, draw or draw_of())
    for name, array in before.items():
        np.testing.assert_array_equal(start[name], array)
    return weights


def kept(weights, masks=MASKS):
    """Kernels' kept weights by name."""
    return {name: weights[name][mask] for name, mask in masks.items()}


@pytest.mark.parametrize("arm", sorted(NEW))
def test_only_kernels_change_and_masks_are_the_tickets(arm):
    weights, theta = weights_of(arm), theta_0()
    assert {n: (w.shape, w.dtype) for n, w in weights.items()} == {
        n: (w.shape, w.dtype) for n, w in theta.items()
    }
    np.testing.assert_array_equal(weights["dense1/bias"], theta["dense1/bias"])
    assert ARMS[arm]().masks(MASKS, draw_of()) is MASKS
    for name, values in kept(weights).items():
        assert (values != kept(theta)[name]).mean() > 0.4


@pytest.mark.parametrize("arm", sorted(NEW - {"constant_same_sign"}))
def test_draws_levels_and_seeds_differ_and_each_can_be_drawn_again(arm):
    draws = [draw_of(), draw_of(level=2), draw_of(number=1), draw_of(seed=1)]
    found = [weights_of(arm, draw=draw)["dense1/kernel"].tobytes() for draw in draws]
    assert len({*found}) == 4
    assert weights_of(arm, draw=draw_of())["dense1/kernel"].tobytes() == found[0]


@given(st.sampled_from(["reshuffled", "permuted", "constant"]), st.floats(0, 1), st.integers(0, 99))
def test_with_the_same_signs_only_signs_change(arm, density, seed):
    masks, draw = masks_of(density), draw_of(seed=seed)
    free, signed = (kept(weights_of(a, masks, draw), masks) for a in (arm, f"{arm}_same_sign"))
    theta = kept(theta_0(), masks)
    for name in masks:
        np.testing.assert_array_equal(np.abs(free[name]), np.abs(signed[name]))
        np.testing.assert_array_equal(np.sign(signed[name]), np.sign(theta[name]))


def test_without_the_same_signs_half_of_them_change():
    for arm in ("reshuffled", "permuted", "constant"):
        values = kept(weights_of(arm))["conv/kernel"]
        changed = np.sign(values) != np.sign(kept(theta_0())["conv/kernel"])
        assert changed.mean() == pytest.approx(0.5, abs=0.1)


def test_reshuffled_has_the_values_that_survive_and_permuted_those_of_the_layer():
    theta = theta_0()
    for name, values in kept(weights_of("reshuffled")).items():
        np.testing.assert_array_equal(np.sort(values), np.sort(kept(theta)[name]))
    for name, values in kept(weights_of("permuted")).items():
        assert len({*values}) == len(values) and {*values} <= {*theta[name].ravel()}
        share = np.isin(values, kept(theta)[name]).mean()
        assert share == pytest.approx(MASKS[name].mean(), abs=0.2)


def test_a_constant_is_the_deviation_of_its_layers_initial_weights():
    for name, values in kept(weights_of("constant")).items():
        assert {*np.abs(values)} == {theta_0()[name].std()}


def test_survivors_are_drawn_from_their_own_distribution_with_replacement():
    theta = theta_0()
    for name, values in kept(weights_of("survivors_reinit")).items():
        survivors = kept(theta)[name]
        assert {*values} <= {*survivors}
        if len(values) > 100:
            assert 0.5 < len({*values}) / len(values) < 0.75  # 1 - 1/e of them
            assert np.abs(values).mean() == pytest.approx(np.abs(survivors).mean(), rel=0.1)
            assert np.abs(values).mean() > 1.2 * np.abs(theta[name]).mean()


@pytest.mark.parametrize(
    ("arm", "factor"), [("noise_half", 0.5), ("noise_1", 1), ("noise_2", 2), ("noise_3", 3)]
)
def test_noise_is_gaussian_of_so_many_deviations_of_the_initial_weights(arm, factor):
    later = {name: 10 * array for name, array in theta_0().items()}  # theta_k, or as trained
    noisy, theta = weights_of(arm, ticket=lambda: later), theta_0()
    added = {name: noisy[name] - later[name] for name in MASKS}
    for name in ("dense1/kernel", "conv/kernel"):
        sigmas = added[name] / (factor * theta[name].std())
        assert abs(sigmas.mean()) < 0.1
        assert sigmas.std() == pytest.approx(1, abs=0.05)
        assert (np.abs(sigmas) < 1).mean() == pytest.approx(0.683, abs=0.04)
    one = weights_of("noise_1", ticket=lambda: later)["conv/kernel"] - later["conv/kernel"]
    np.testing.assert_allclose(added["conv/kernel"], factor * one, atol=1e-5)


def test_a_layer_that_keeps_nothing_and_one_that_keeps_all_are_no_trouble():
    masks = {name: np.full(shape, i > 0) for i, (name, shape) in enumerate(SHAPES.items())}
    for arm in NEW:
        assert all(np.isfinite(array).all() for array in weights_of(arm, masks).values())


def test_an_arms_number_is_not_taken_for_that_of_its_draw():
    training = Training(0, 1, "noise_1_2")
    assert (training.kind, training.draw) == ("noise_1", 2)
