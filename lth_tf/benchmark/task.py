"""The task: what every contestant is given, so that all of them do the same work."""

import dataclasses
from functools import cached_property
from pathlib import Path

import numpy as np
import tensorflow as tf

from lth_tf import data
from lth_tf.data import ImageData, ImageInfo
from lth_tf.data.sources.tfds import cache
from lth_tf.machine import usable_cores
from lth_tf.paper.recipes import RECIPES
from lth_tf.recipe import Recipe
from lth_tf.streams import Streams
from lth_tf.training.order import Order

# At a second or a few for a measurement on two cores, validations aside.
ITERATIONS = {"lenet": 1000, "conv2": 20, "conv4": 10, "conv6": 10, "resnet18": 10, "vgg19": 5}
VALIDATION_BATCH = 500  # in which those validate that choose for themselves
_SYNTHETIC = "synthetic"
_TEST_SIZE = 1_000  # never evaluated in what is measured


@dataclasses.dataclass(frozen=True)
class Task:
    """A training to measure.

    Attributes:
        recipe: the network, its batch, optimizer, augmentation, weight decay and precision.
        data: the examples, in memory.
        data_dir: the folder that they can be loaded from, for those who load them themselves.
        iterations: iterations of one measurement.
        xla: "auto", "on" or "off", for this project's training.
    """

    recipe: Recipe
    data: ImageData
    data_dir: str | None
    iterations: int
    xla: str

    @property
    def chunk(self) -> int:
        """Iterations that this project's training runs at a time while it is measured."""
        return min(self.recipe.eval_every, self.iterations)

    @property
    def chunks(self) -> int:
        """Whole chunks in one measurement."""
        return self.iterations // self.chunk

    @property
    def warm_up(self) -> int:
        """Iterations before a measurement that are not counted."""
        return max(2, self.iterations // 10)

    @property
    def validation(self) -> tuple[np.ndarray, np.ndarray]:
        """The images and labels that are validated."""
        size = self.recipe.validation_size
        return self.data.train_images[-size:], self.data.train_labels[-size:]

    @cached_property
    def order(self) -> Order:
        """The batches, the same for every contestant."""
        streams = Streams(seed=0, replicate=0)
        return Order(
            rows=np.arange(len(self.data.train_labels) - self.recipe.validation_size),
            batch_size=self.recipe.batch_size,
            epoch_generator=lambda epoch: streams.generator("order", 0, epoch),
            augment_key=streams.key("augment", 0),
            dropout_key=streams.key("dropout", 0),
        )


def make_task(
    model: str,
    scratch: Path,
    *,
    precision: str = "float32",
    iterations: int | None = None,
    dataset: str | None = None,
    data_dir: str | None = None,
    xla: str = "auto",
) -> Task:
    """Makes the task of a network: the paper's recipe, on random images or a data set.

    Args:
        model: the network, one of the paper's `RECIPES`.
        scratch: an empty folder, for random images.
        precision: the recipe's precision.
        iterations: iterations of a measurement, a usual number for the network if None.
        dataset: a data set's name; None for random images of the recipe's shape and number.
        data_dir: TFDS's folder, its own default if None.
        xla: "auto", "on" or "off".

    Raises:
        UserError: if there is no such data set.
    """
    recipe = RECIPES[model]
    iterations = iterations or ITERATIONS[model]
    if dataset is None:
        info = data.info(recipe.dataset, data_dir)
        dataset, data_dir = _SYNTHETIC, str(scratch)
        _write_synthetic(info, scratch)
    # Images are only divided by 255: any scaling is one multiplication and addition.
    recipe = recipe.override(dataset=dataset, scaling="unit", **data.recipe_overrides(dataset))
    recipe = recipe.override(
        precision=precision,
        # Beyond what is measured: the end of a training, with its test, does not recur.
        iterations=max(recipe.iterations, iterations + 3 * recipe.eval_every),
        # Nothing to learn from random labels: small enough that no loss runs away.
        learning_rate=1e-4,
    )
    return Task(recipe, data.load(dataset, data_dir), data_dir, iterations, xla)


def threads() -> int:
    """Returns the number of threads that TensorFlow computes with."""
    chosen = tf.config.threading.get_intra_op_parallelism_threads()
    return chosen or usable_cores()


def _write_synthetic(info: ImageInfo, root: Path) -> None:
    """Leaves random images where `data.load` finds them, as a set that TFDS has prepared."""
    rng = np.random.default_rng(0)

    def examples(size: int) -> tuple[np.ndarray, np.ndarray]:
        images = rng.integers(0, 256, (size, *info.image_shape), np.uint8)
        return images, rng.integers(0, info.classes, size, np.int32)

    folder = root / _SYNTHETIC / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
    splits = *examples(info.train_size), *examples(_TEST_SIZE)
    cache.write(ImageData(_SYNTHETIC, *splits, classes=info.classes), str(folder))
