"""Prepares a task: chooses its recipe, and writes what the contestants read."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from lth_tf import data
from lth_tf.benchmark.layers import write_network
from lth_tf.benchmark.task import EXAMPLES, ITERATIONS, Task
from lth_tf.data import ImageData, ImageInfo
from lth_tf.data.sources.tfds import cache
from lth_tf.machine import usable_cores
from lth_tf.paper.recipes import RECIPES
from lth_tf.streams import Streams
from lth_tf.training.order import Order
from lth_tf.training.trainer import build_model

_SYNTHETIC = "synthetic"
_TEST_SIZE = 1_000  # never evaluated in what is measured


def make_task(
    model: str,
    folder: Path,
    *,
    precision: str = "float32",
    iterations: int | None = None,
    dataset: str | None = None,
    data_dir: str | None = None,
    xla: str = "auto",
    threads: int = 0,
    dropout: float = 0.0,
) -> Task:
    """Makes the task of a network: the paper's recipe, on random images or a data set.

    Args:
        model: the network, one of the paper's `RECIPES`.
        folder: an empty folder, for what the contestants read.
        precision: the recipe's precision.
        iterations: iterations of a measurement, a usual number for the network if None.
        dataset: a data set's name; None for random images of the recipe's shape and number.
        data_dir: TFDS's folder, its own default if None.
        xla: "auto", "on" or "off".
        threads: threads that each contestant computes with; 0 for as many as there are cores.
        dropout: the recipe's dropout rate.

    Raises:
        UserError: if there is no such data set.
    """
    recipe = RECIPES[model]
    iterations = iterations or ITERATIONS[model]
    if dataset is None:
        info = data.info(recipe.dataset, data_dir)
        dataset, data_dir = _SYNTHETIC, str(folder)
        _write_synthetic(info, folder)
    # Images are only divided by 255: any scaling is one multiplication and addition.
    recipe = recipe.override(dataset=dataset, scaling="unit", **data.recipe_overrides(dataset))
    recipe = recipe.override(
        precision=precision,
        dropout=dropout,
        # Beyond what is measured: the end of a training, with its test, does not recur.
        iterations=max(recipe.iterations, iterations + 3 * recipe.eval_every),
        # Nothing to learn from random labels: small enough that no loss runs away.
        learning_rate=1e-4,
    )
    examples = data.load(dataset, data_dir)
    task = Task(recipe, examples.info, data_dir, iterations, xla, threads or usable_cores(), folder)
    batches = order_of(task).batches(0, task.warm_up + iterations)
    arrays = {"images": examples.train_images, "labels": examples.train_labels, "batches": batches}
    save_file(arrays, folder / EXAMPLES)
    write_network(build_model(recipe, examples.info, seed=0), folder)
    return task


def order_of(task: Task) -> Order:
    """Returns the batches, the same for every contestant."""
    streams = Streams(seed=0, replicate=0)
    return Order(
        rows=np.arange(task.info.train_size - task.recipe.validation_size),
        batch_size=task.recipe.batch_size,
        epoch_generator=lambda epoch: streams.generator("order", 0, epoch),
        augment_key=streams.key("augment", 0),
        dropout_key=streams.key("dropout", 0),
    )


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
