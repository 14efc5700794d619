"""The task: what every contestant is to train, so that all of them do the same work.

It is plain values and a folder of files, so that a process without TensorFlow can take it up.
"""

import dataclasses
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from lth_tf.benchmark.layers import Layer, read_network
from lth_tf.data import ImageInfo
from lth_tf.recipe import Recipe

# At a second or a few for a measurement on two cores, validations aside.
ITERATIONS = {"lenet": 1000, "conv2": 20, "conv4": 10, "conv6": 10, "resnet18": 10, "vgg19": 5}
VALIDATION_BATCH = 500  # in which those validate that choose for themselves
EXAMPLES = "examples.safetensors"


@dataclasses.dataclass(frozen=True)
class Task:
    """A training to measure.

    Attributes:
        recipe: the network, its batch, optimizer, augmentation, weight decay and precision.
        info: the data set's shape and size.
        data_dir: the folder that it can be loaded from.
        iterations: iterations of one measurement.
        xla: "auto", "on" or "off", for this project's training.
        threads: threads that each contestant computes with.
        folder: what is read from it are the examples, their batches and the network.
    """

    recipe: Recipe
    info: ImageInfo
    data_dir: str | None
    iterations: int
    xla: str
    threads: int
    folder: Path

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

    @cached_property
    def layers(self) -> list[Layer]:
        """The network, with its initial weights."""
        return read_network(self.folder)

    @property
    def convolutional(self) -> bool:
        """Whether the network has convolutions."""
        return any(layer.kind == "Conv2D" for layer in self.layers)

    @property
    def images(self) -> np.ndarray:
        """All training images, uint8 [n, height, width, channels]."""
        return self._examples["images"]

    @property
    def labels(self) -> np.ndarray:
        """Their labels, int32 [n]."""
        return self._examples["labels"]

    @property
    def validation(self) -> tuple[np.ndarray, np.ndarray]:
        """The images and labels that are validated."""
        size = self.recipe.validation_size
        return self.images[-size:], self.labels[-size:]

    @property
    def batches(self) -> np.ndarray:
        """The rows of each iteration of a warm-up and a measurement, int32 [n, batch]."""
        return self._examples["batches"]

    @cached_property
    def _examples(self) -> dict[str, np.ndarray]:
        return load_file(self.folder / EXAMPLES)
