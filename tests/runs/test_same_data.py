"""A run directory is of one data set: a set of the same name and sizes may have other images."""

import dataclasses

import numpy as np
import pytest

from lth_tf.data import ImageData
from lth_tf.errors import UserError
from lth_tf.recipe import Recipe
from lth_tf.runs.experiment import Experiment, Training
from lth_tf.runs.store import Store


def images(seed):
    generator = np.random.default_rng(seed)
    parts = [
        part
        for count in (50, 20)
        for part in (
            generator.integers(0, 256, (count, 4, 4, 1), np.uint8),
            generator.integers(0, 3, count, np.int32),
        )
    ]
    return ImageData("digits", *parts, classes=3)


def known(data):
    return dataclasses.replace(data.info, sample=data.sample)


@pytest.fixture
def store(tmp_path):
    """A run directory with a training that can go on, on the images of seed 0."""
    store = Store(tmp_path)
    with store.lock():
        store.begin(Experiment(recipe=Recipe(), rounds=1), known(images(0)), {"time": ""})
        dense = store.clear(Training(0, 0, "dense"))
        (dense / "checkpoint.safetensors").touch()
        yield store


@pytest.mark.parametrize("name", ["train_images", "train_labels", "test_images", "test_labels"])
def test_other_images_or_labels_of_the_same_sizes_are_refused(store, name):
    store.begin(Experiment(recipe=Recipe(), rounds=2), known(images(0)), {"time": ""})
    others = dataclasses.replace(images(0), **{name: getattr(images(1), name)})
    assert others.info == images(0).info
    with pytest.raises(UserError, match=r"other images or labels there: is it in another --data_d"):
        store.begin(Experiment(recipe=Recipe(), rounds=1), known(others), {"time": ""})
    assert store.data().sample == images(0).sample


def test_a_run_of_before_samples_goes_on(tmp_path):
    store = Store(tmp_path)
    with store.lock():
        store.begin(Experiment(recipe=Recipe(), rounds=1), images(0).info, {"time": ""})
        (store.clear(Training(0, 0, "dense")) / "checkpoint.safetensors").touch()
        store.begin(Experiment(recipe=Recipe(), rounds=2), known(images(1)), {"time": ""})
    assert store.experiment().rounds == 2
