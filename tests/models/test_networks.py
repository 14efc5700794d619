"""The six networks have the paper's kernels, to the weight."""

import numpy as np
import pytest

from lth_tf import models
from lth_tf.lottery.inputs import Inputs
from lth_tf.lottery.network import Network
from lth_tf.models.layers import Scaling
from lth_tf.paper.recipes import RECIPES, paper_recipe
from lth_tf.runs.experiment import Experiment

KERNELS = {
    "lenet": 266_200,
    "conv2": 4_300_992,
    "conv4": 2_425_024,
    "conv6": 2_261_184,
    "resnet18": 270_896,
    "vgg19": 20_024_000,
}


def kernels(model):
    return {v.name: v.numpy() for v in model.trainable_weights if "kernel" in v.name}


def test_each_network_has_its_recipe():
    assert models.NETWORKS.keys() == RECIPES.keys() == KERNELS.keys()
    assert all(recipe.model == name for name, recipe in RECIPES.items())


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_count(name):
    image_shape = (28, 28, 1) if name == "lenet" else (32, 32, 3)
    found = kernels(models.build(name, image_shape, 10, seed=0))
    assert sum(kernel.size for kernel in found.values()) == KERNELS[name]


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        ("lenet", 0.5, 784 * 150 + 150 * 50 + 50 * 10),
        ("lenet", 0.1234, 784 * 37 + 37 * 12 + 12 * 10),
        ("lenet", 1e-9, 784 + 1 + 10),
        ("lenet", 2, 784 * 600 + 600 * 200 + 200 * 10),
        ("conv2", 0.25, 9 * (3 * 16 + 16 * 16) + 16 * 16 * 16 * 64 + 64 * 64 + 64 * 10),
        ("conv4", 0.5, 9 * (3 * 32 + 32 * 32 + 32 * 64 + 64 * 64)
         + 8 * 8 * 64 * 128 + 128 * 128 + 128 * 10),
        ("conv6", 1e-9, 9 * (3 + 5) + 4 * 4 + 1 + 10),
        ("resnet18", 0.5, 9 * (3 * 8 + 6 * 8 * 8 + 8 * 16 + 5 * 16 * 16 + 16 * 32 + 5 * 32 * 32)
         + 8 * 16 + 16 * 32 + 32 * 10),
        ("resnet18", 1e-9, 9 * (3 + 6 + 6 + 6) + 2 + 10),
        ("vgg19", 1 / 64, 9 * (3 + 1 + 2 + 4 + 8 + 3 * 16 + 32 + 3 * 64 + 4 * 64) + 8 * 10),
    ],
)  # fmt: skip
def test_width_scales_all_layers_but_the_output(name, width, expected):
    image_shape = (28, 28, 1) if name == "lenet" else (32, 32, 3)
    model = models.build(name, image_shape, 10, seed=0, width=width)
    assert sum(kernel.size for kernel in kernels(model).values()) == expected
    assert model.output_shape == (None, 10)


@pytest.mark.parametrize("name", KERNELS)
def test_takes_any_image_shape_and_class_count(name):
    model = models.build(name, (17, 40, 2), 7, seed=0, dropout=0.5)
    images = np.zeros((3, 17, 40, 2), np.uint8)
    assert model(images).shape == (3, 7)


def test_seed_decides_the_weights_and_layers_of_one_shape_differ():
    first, same, other = (kernels(models.build("resnet18", (8, 8, 3), 10, s)) for s in (1, 1, 2))
    for name, kernel in first.items():
        np.testing.assert_array_equal(kernel, same[name])
        assert not np.array_equal(kernel, other[name])
    twins = [k for name, k in first.items() if name.startswith("stage1") and k.shape[2] == 16]
    assert len({kernel.tobytes() for kernel in twins}) == len(twins) == 6


@pytest.mark.parametrize("name", KERNELS)
def test_all_kernels_can_have_one_initial_deviation(name):
    image_shape = (28, 28, 1) if name == "lenet" else (32, 32, 3)
    width = 1 if name == "lenet" else 0.5
    model = models.build(name, image_shape, 10, seed=0, width=width, init_stddev=0.3)
    for kernel in kernels(model).values():
        error = 0.3 / np.sqrt(2 * kernel.size)
        assert kernel.std() == pytest.approx(0.3, abs=5 * error)
        beyond = (np.abs(kernel) > 0.6).mean()  # 4.6 % of a Gaussian's; none of a truncated one's
        assert beyond == pytest.approx(0.0455, abs=5 * np.sqrt(0.0455 / kernel.size))


def test_a_recipes_initial_deviation_is_its_networks():
    recipe = paper_recipe("lenet").override(dataset="mnist_5k", init_stddev=0.3)
    network = Network(Experiment(recipe=recipe, rounds=1), Inputs().info(recipe, None))
    assert network.initial_weights(1)["dense1/kernel"].std() == pytest.approx(0.3, rel=0.01)


def test_initial_weights_are_glorot_normal():
    kernel = kernels(models.build("lenet", (28, 28, 1), 10, seed=0))["dense1/kernel:0"]
    assert kernel.std() == pytest.approx(np.sqrt(2 / (784 + 300)), rel=0.01)
    assert kernel.mean() == pytest.approx(0, abs=1e-3)


def test_scaling_is_inside():
    model = models.build("lenet", (28, 28, 1), 10, seed=0)
    images = np.full((1, 28, 28, 1), 255, np.uint8)
    inner = model.get_layer("scale")(images)
    assert float(inner.numpy().max()) == 1.0


@pytest.mark.parametrize("name", KERNELS)
def test_standardized_images_have_mean_0_and_deviation_1_in_each_channel(name):
    images = np.random.default_rng(0).integers(0, [255, 80, 160], (50, 8, 8, 3)).astype(np.uint8)
    values = images.reshape(-1, 3) / 255
    scaling = Scaling(tuple(values.mean(0)), tuple(values.std(0)))
    model = models.build(name, (8, 8, 3), 10, seed=0, scaling=scaling)
    inner = model.get_layer("scale")(images).numpy().reshape(-1, 3)
    np.testing.assert_allclose(inner.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(inner.std(0), 1, rtol=1e-5)
