"""--strategy=early_bird_filters: whole filters, ranked by batch normalisation's scales."""

import numpy as np
import pytest
import tf_keras as keras

from lth_tf import Recipe, find_tickets
from lth_tf.errors import UserError
from lth_tf.runs.experiment import Training
from lth_tf.runs.store import Store

RECIPE = Recipe(iterations=36, batch_size=8, learning_rate=0.05, eval_every=12, prune_conv=0.25)


def network(normalised=True):
    """Two convolutions, with batch normalisation behind them or not."""
    model = keras.Sequential([keras.Input((6, 6, 1))])
    for name, filters in (("conv1", 6), ("conv2", 10)):
        model.add(keras.layers.Conv2D(filters, 3, use_bias=False, name=name))
        if normalised:
            model.add(keras.layers.BatchNormalization(name=f"{name}_bn"))
        model.add(keras.layers.ReLU())
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(2, activation="softmax", name="output"))
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def data():
    """Examples whose class is how bright they are."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 64)
    images = rng.normal(labels[:, None, None, None], 0.5, (64, 6, 6, 1)).astype(np.float32)
    return (images[:48], labels[:48]), (images[:16], labels[:16]), (images[48:], labels[48:])


def test_filters_are_pruned_by_their_scales_and_the_density_is_recorded(tmp_path):
    found = find_tickets(
        network,
        *data(),
        RECIPE,
        rounds=2,
        arms=("ticket", "shuffled_mask"),
        strategy="early_bird_filters",
        folder=tmp_path / "e",
        report=False,
    )
    assert found is not None
    store = Store(tmp_path / "e")
    weights = store.read_arrays(Training(0, 0, "dense"), "weights")
    for level, kept in ((1, 12), (2, 9)):
        training = Training(0, level, "ticket")
        masks, result = store.read_masks(training), store.result(training)
        assert masks["output/kernel"].all()
        filters = {n: masks[f"{n}/kernel"].any(axis=(0, 1, 2)) for n in ("conv1", "conv2")}
        for name, stays in filters.items():
            assert (masks[f"{name}/kernel"] == stays).all()
        stays = np.concatenate(list(filters.values()))
        assert stays.sum() == kept
        remaining = sum(mask.sum() for mask in masks.values())
        size = sum(mask.size for mask in masks.values())
        assert (result.remaining, result.density) == (remaining, remaining / size)
        assert store.result(Training(0, level, "shuffled_mask_0")).remaining == remaining
        if result.search_iterations == RECIPE.iterations:
            scales = np.abs(np.concatenate([weights[f"{n}_bn/gamma"] for n in filters]))
            assert scales[stays].min() >= scales[~stays].max()


def test_a_network_without_scales_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"^--strategy=early_bird_filters: must have a convolution"):
        find_tickets(
            lambda: network(normalised=False),
            *data(),
            RECIPE,
            rounds=1,
            strategy="early_bird_filters",
            folder=tmp_path / "e",
        )
