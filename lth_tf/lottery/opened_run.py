"""An opened run: a run directory whose networks can be run."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf import data
from lth_tf.data import ImageData, UserData
from lth_tf.errors import UserError
from lth_tf.importing import names_function
from lth_tf.lottery import tickets
from lth_tf.lottery.network import Network
from lth_tf.pruning.derivatives import hessian_product
from lth_tf.pruning.kernels import kernels, snapshot
from lth_tf.pruning.lanczos import largest_eigenvalues
from lth_tf.runs.experiment import Training
from lth_tf.runs.run import Run, read_runs
from lth_tf.streams import Streams
from lth_tf.training.evaluation import Evaluator, Sums, inference
from lth_tf.training.normalization import has_statistics, recompute_statistics
from lth_tf.training.objective import objective_of
from lth_tf.training.rewind import set_weights

if TYPE_CHECKING:
    from lth_tf.models.user_model import ModelFunction

SPLITS = ("train", "validation", "test")
Weights = Mapping[str, np.ndarray]


class Evaluation(NamedTuple):
    """What was measured of a network.

    Attributes:
        loss: its mean loss over the examples, as in training.
        metric: its first metric: accuracy, a fraction, of the paper's networks.
    """

    loss: float
    metric: float


@dataclasses.dataclass(frozen=True)
class OpenedRun(Run):
    """A run directory, finished or not, whose networks can be run.

    Networks compute in float32, whatever precision they were trained in, and in pieces of bounded
    memory. All methods raise a `UserError` where a training is not finished, its files are damaged
    or were not published, or the data cannot be had.

    Attributes:
        model_fn: the function that makes the network, where the recipe's name does not find it.
        loaded: the data, where the recipe's name does not find them.
        data_dir: TFDS's folder; see `lth_tf.data.load`.
    """

    model_fn: "ModelFunction | None" = None
    loaded: UserData | None = None
    data_dir: str | None = None

    def weights(self, training: Training) -> dict[str, np.ndarray]:
        """Returns the weights that a training ended with, by name; pruned ones are zero."""
        return tickets.trained_weights(self.store, training)

    def initial_weights(self, training: Training) -> dict[str, np.ndarray]:
        """Returns the weights that a training started from, by name; pruned ones are zero."""
        return tickets.initial_weights(self.store, training, self.model_fn)

    def masks(self, training: Training) -> dict[str, np.ndarray]:
        """Returns a training's masks, boolean arrays by kernel name."""
        return self.store.read_masks(training)

    def model(self, network: Training | Weights) -> keras.Model:
        """Returns a new plain Keras model.

        Args:
            network: a training, whose trained weights it gets, or weights by name.
        """
        model = self._network.build()
        set_weights(model, self._weights_of(network))
        return model

    def logits(self, network: Training | Weights, inputs: Any) -> Any:
        """Returns a network's outputs.

        Args:
            network: a training, or weights by name.
            inputs: an array or structure of arrays, each [n, ...]; images are uint8, as the data
                set has them.

        Returns:
            float32 [n, classes] of the paper's networks; an array or structure of arrays of others.
        """
        model, outputs = self._inference
        set_weights(model, self._weights_of(network))
        return outputs(inputs)

    def evaluate(
        self,
        network: Training | Weights,
        split: str = "test",
        replicate: int | None = None,
        count: int = 0,
    ) -> Evaluation:
        """Returns a network's mean loss and metric on a split.

        Args:
            network: a training, or weights by name.
            split: "train", "validation" or "test".
            replicate: whose training and validation examples; by default the training's own, and
                of weights those of replicate 0.
            count: of a sample of so many examples; 0 for all. See `examples`.
        """
        if replicate is None:
            replicate = network.replicate if isinstance(network, Training) else 0
        weights = self._weights_of(network)
        evaluator = self._evaluator(split, replicate, count)
        set_weights(self._compiled, weights)
        return Evaluation(*evaluator())

    def examples(self, split: str, replicate: int = 0, count: int = 0) -> tuple[Any, Any]:
        """Returns the inputs and targets of a split, arrays or structures of arrays [n, ...].

        Args:
            split: "train", "validation" or "test".
            replicate: whose training and validation examples; all have the same test examples.
            count: the size of a sample of them, drawn at random and the same each time; 0, or at
                least as many as there are, for all of them.

        Raises:
            UserError: if there is no such split, or the data cannot be had.
        """
        if split not in SPLITS:
            raise UserError(f"split {split!r}: must be one of {', '.join(SPLITS)}")
        if split == "test":
            found, replicate = self._data.test, 0
            rows = np.arange(len(tf.nest.flatten(found)[0]))
        else:
            found, rows = self._data.examples, self._network.split(replicate)[SPLITS.index(split)]
        if 0 < count < len(rows):
            streams = Streams(self.experiment.seed, replicate)
            rows = np.sort(streams.generator(f"{split}_examples").permutation(rows)[:count])
        elif split == "test":
            return found
        return tf.nest.map_structure(lambda array: array[rows], found)

    def renormalized(
        self, network: Training | Weights, replicate: int = 0, count: int = 0
    ) -> dict[str, np.ndarray]:
        """Returns weights whose batch normalisation has statistics of the training examples.

        A network between two others has none of its own. Without batch normalisation the weights
        are what they were.

        Args:
            network: a training, or weights by name.
            replicate: whose training examples.
            count: of a sample of so many of them; 0 for all. See `examples`.
        """
        model = self._compiled
        set_weights(model, self._weights_of(network))
        if has_statistics(model):
            recompute_statistics(model, self.examples("train", replicate, count)[0])
        return snapshot(model)

    @property
    def normalizes(self) -> bool:
        """Whether its network has batch normalisation."""
        return has_statistics(self._compiled)

    def hessian_eigenvalues(
        self, training: Training, count: int = 1, examples: int = 0
    ) -> list[float]:
        """Returns the largest eigenvalues of the training loss's Hessian at a training's end.

        It is the Hessian with respect to the remaining kernel weights; biases and the parameters
        of batch normalisation stay as they are, and nothing is dropped out.

        Args:
            training: the training.
            count: how many eigenvalues, the largest first; fewer where there are fewer weights.
            examples: the size of a sample of its training examples; 0 for all.
        """
        masks = {name: mask for name, mask in self.masks(training).items() if mask.any()}
        ends = np.cumsum([np.count_nonzero(mask) for mask in masks.values()])
        model = self._compiled
        set_weights(model, self.weights(training))
        sample = self.examples("train", training.replicate, examples)

        def product(vector: np.ndarray) -> np.ndarray:
            parts = {name: np.zeros(mask.shape, np.float32) for name, mask in masks.items()}
            pieces = np.split(vector, ends[:-1])
            for (name, mask), piece in zip(masks.items(), pieces, strict=True):
                parts[name][mask] = piece
            found = hessian_product(
                model, sample, lambda y, outputs: model.compute_loss(None, y, outputs), parts
            )
            return np.concatenate([found[name][mask] for name, mask in masks.items()])

        streams = Streams(self.experiment.seed, training.replicate)
        start = streams.generator("eigenvalues").standard_normal(ends[-1])
        return largest_eigenvalues(product, start, count)

    def unit_axes(self) -> dict[str, tuple[int, int]]:
        """Returns, by kernel, the axis of its layer's units and that of the units before it."""
        return {kernel.name: kernel.axes for kernel in kernels(self._compiled)}

    @cached_property
    def _network(self) -> Network:
        return Network(self.experiment, self.data, self.model_fn)

    @cached_property
    def _data(self) -> ImageData | UserData:
        name = self.experiment.recipe.dataset
        is_known = not isinstance(self.data, data.UserDataInfo) or names_function(name)
        if self.loaded is None and not is_known:
            raise UserError(
                f"{self.store.folder}: was run on data passed in Python; open it with the same, "
                "lth_tf.open_run(folder, data=...)"
            )
        found = self.loaded or data.load(name, self.data_dir)
        sizes = found.info
        same = ("train_size", "test_size", "sha256")
        sample = getattr(self.data, "sample", None)  # runs of earlier versions do not say
        if any(getattr(sizes, f, None) != getattr(self.data, f, None) for f in same) or (
            sample and sample != found.sample
        ):
            raise UserError(
                f"{self.store.folder}: must be opened with the data that it was run on, "
                f"{self.data}; these are {sizes}"
            )
        return found

    @cached_property
    def _inference(self) -> tuple[keras.Model, Callable[[Any], Any]]:
        model = self._network.build()
        return model, inference(model)

    @cached_property
    def _compiled(self) -> keras.Model:
        model = self._network.build()
        objective_of(model).compile(model, keras.optimizers.SGD())
        return model

    @cached_property
    def _sums(self) -> Sums:
        return Sums(self._compiled, xla=False, metric=self.metric.name)

    @cached_property
    def _evaluators(self) -> dict[str, tuple[tuple[int, int], Evaluator]]:
        """By split, whose and how many examples are on the device, and what evaluates them."""
        return {}

    def _evaluator(self, split: str, replicate: int, count: int) -> Evaluator:
        wanted = (0 if split == "test" else replicate, count)
        there = self._evaluators.get(split)
        if there and there[0] == wanted:
            return there[1]
        evaluator = Evaluator(self._sums, *self.examples(split, replicate, count))
        self._evaluators[split] = wanted, evaluator
        return evaluator

    def _weights_of(self, network: Training | Weights) -> Weights:
        return self.weights(network) if isinstance(network, Training) else network


def open_run(
    folder: Path | str,
    model_fn: "ModelFunction | None" = None,
    data: UserData | None = None,
    data_dir: str | None = None,
) -> OpenedRun:
    """Opens a run directory, finished or not, to run its networks.

    Args:
        folder: the run directory.
        model_fn: the function that makes the network, where it cannot be imported by the name that
            the run has of it.
        data: the data, where they were passed in Python; see `UserData.of`.
        data_dir: TFDS's folder; by default $TFDS_DATA_DIR, else ~/tensorflow_datasets.

    Raises:
        UserError: if it is no run directory, or damaged.
    """
    return open_runs([Path(folder)], model_fn=model_fn, loaded=data, data_dir=data_dir)[0]


def open_runs(folders: Sequence[Path], **opened_with: Any) -> list[OpenedRun]:
    """Opens run directories, one that is named twice only once; no two have one name.

    Args:
        folders: the run directories.
        **opened_with: fields of `OpenedRun` for all of them.

    Raises:
        UserError: if one is no run directory, or damaged.
    """
    return [OpenedRun(**vars(run), **opened_with) for run in read_runs(folders)]
