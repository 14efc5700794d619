"""A tiny data set and networks, and trainings of them, on two logical CPUs."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from lth_tf import models
from lth_tf.data import ImageData
from lth_tf.models import layers
from lth_tf.pruning.kernels import named_weights
from lth_tf.recipe import Recipe
from lth_tf.streams import Streams
from lth_tf.training.initial_state import InitialState
from lth_tf.training.mask_schedules import MASK_SCHEDULES, MaskPlan
from lth_tf.training.order import Order
from lth_tf.training.trainer import Trainer, build_model

# Before anything runs on TensorFlow: afterwards it refuses.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

TRAIN, VALIDATION, TEST = 160, 50, 70
RECIPE = Recipe(
    model="tiny",
    dataset="tiny",
    validation_size=VALIDATION,
    augment="none",
    iterations=30,
    batch_size=8,
    optimizer="sgd",
    learning_rate=0.1,
    prune_conv=0.3,
    prune_dense=0.3,
    prune_output=0.3,
    eval_every=10,
)


def network(convolutional, normalised):
    """A builder of networks with every kind of layer, or without some."""

    def build(image_shape, classes, init, dropout=0.0, width=1.0, scaling=layers.UNIT):
        images = keras.Input(image_shape, name="images")
        x = layers.scale(images, scaling)
        if convolutional:
            x = keras.layers.Conv2D(
                4, 3, use_bias=False, kernel_initializer=init("conv"), name="conv"
            )(x)
            x = layers.batch_norm_relu(x, "conv") if normalised else keras.layers.ReLU()(x)
            x = keras.layers.MaxPooling2D(name="pool")(x)
        x = keras.layers.Flatten(name="flatten")(x)
        x = layers.hidden(x, 12, "dense1", init, dropout)
        x = layers.hidden(x, 12, "dense2", init, dropout)
        return keras.Model(images, layers.output(x, classes, init), name="tiny")

    return build


STREAMS = Streams(seed=3, replicate=1)
NETWORKS = {
    "tiny": network(convolutional=True, normalised=True),
    "not_normalised": network(convolutional=True, normalised=False),
    "dense": network(convolutional=False, normalised=False),
}


@dataclasses.dataclass
class Setting:
    """A recipe on the tiny data, and what one training of it takes."""

    recipe: Recipe
    data: ImageData
    streams: Streams = STREAMS

    @property
    def split(self):
        """Rows of the training and of the validation examples."""
        rows = np.random.default_rng(0).permutation(TRAIN)
        return np.sort(rows[VALIDATION:]), np.sort(rows[:VALIDATION])

    @property
    def order(self):
        """The order of round 0."""
        return Order(
            rows=self.split[0],
            batch_size=self.recipe.batch_size,
            epoch_generator=lambda epoch: self.streams.generator("order", 0, epoch),
            augment_key=self.streams.key("augment", 0),
            dropout_key=self.streams.key("dropout", 0),
        )

    @property
    def held_out(self):
        """The validation examples: images and labels."""
        return self.data.train_images[self.split[1]], self.data.train_labels[self.split[1]]

    @property
    def trained_on(self):
        """The training examples: images and labels."""
        return self.data.train_images[self.split[0]], self.data.train_labels[self.split[0]]

    @functools.cached_property
    def weights(self):
        """The initial weights by name, which nobody may change."""
        found = {name: w.numpy().copy() for name, w in named_weights(self.build(seed=5)).items()}
        for array in found.values():
            array.setflags(write=False)
        return found

    @property
    def masks(self):
        """Random masks of three quarters of each kernel."""
        rng = np.random.default_rng(1)
        found = {name: w.shape for name, w in self.weights.items() if name.endswith("/kernel")}
        return {name: rng.random(shape) < 0.75 for name, shape in found.items()}

    def trainer(self, strategy=None, xla="off"):
        """Makes a trainer, on one device if no strategy is given."""
        strategy = strategy or tf.distribute.get_strategy()
        return Trainer(self.recipe, self.build, self.data, strategy, xla)

    def build(self, seed):
        """Builds the plain network."""
        return build_model(self.recipe, self.data.info, seed)

    def train(self, trainer, **given):
        """Trains; what is given replaces what this setting has."""
        arguments = {
            "initial": self.initial(),
            "order": self.order,
            "schedule": self.schedule("fixed"),
            "validation_rows": self.split[1],
            "training_rows": self.split[0],
        }
        return trainer.train(**{**arguments, **given})

    def schedule(self, name, left=None):
        """Makes a mask schedule that leaves half of each kernel, if nothing else is given."""
        shapes = {kernel: mask.shape for kernel, mask in self.masks.items()}
        halves = {(kernel,): mask.size // 2 for kernel, mask in self.masks.items()}
        generator = functools.partial(self.streams.generator, "mask_schedule", 1)
        plan = MaskPlan(self.recipe.iterations, shapes, left or halves, generator)
        return MASK_SCHEDULES[name](plan)

    def initial(self, iteration=0, **given):
        """What a training starts from: this setting's weights and masks, if no others are given."""
        named = {"weights": self.weights, "masks": self.masks, "schedule": iteration}
        return InitialState(iteration, **{**named, **given})


@pytest.fixture(scope="session")
def data():
    """Three classes that differ in one quarter's brightness, under noise."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 3, TRAIN + TEST).astype(np.int32)
    images = rng.integers(0, 180, (TRAIN + TEST, 8, 8, 2))
    for image, label in zip(images, labels, strict=True):
        image[4 * (label // 2) :, 4 * (label % 2) :] += 40
    images = images.clip(0, 255).astype(np.uint8)
    return ImageData(
        "tiny", images[:TRAIN], labels[:TRAIN], images[TRAIN:], labels[TRAIN:], classes=3
    )


@pytest.fixture
def make(data, monkeypatch):
    """Makes settings: the tiny recipe with some fields changed."""
    for name, network in NETWORKS.items():
        monkeypatch.setitem(models.NETWORKS._entries, name, network)
    return lambda **fields: Setting(RECIPE.override(**fields), data)


@pytest.fixture
def assert_same_bits():
    """Compares dicts of arrays to the bit."""

    def check(first, second):
        assert first.keys() == second.keys()
        for name, array in first.items():
            assert array.dtype == second[name].dtype, name
            assert array.tobytes() == second[name].tobytes(), name

    return check


@pytest.fixture
def partly(monkeypatch):
    """The name of a network with a layer that its loss does not depend on, "unused"."""

    def build(image_shape, classes, init, *_):
        images = keras.Input(image_shape, name="images")
        x = keras.layers.Flatten(name="flatten")(layers.scale(images))
        unused = keras.layers.Dense(classes, name="unused", kernel_initializer=init("unused"))(x)
        outputs = layers.output(x, classes, init) + tf.stop_gradient(unused)
        return keras.Model(images, outputs, name="partly")

    monkeypatch.setitem(models.NETWORKS._entries, "partly", build)
    return "partly"


@pytest.fixture(scope="session")
def two_devices():
    """A strategy over two logical CPUs; TensorFlow mixes up the sums of two such strategies."""
    return tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
