"""What an experiment's network is, before any training: its kernels, rates, densities and work."""

import dataclasses
from functools import cached_property

import numpy as np
import tf_keras as keras

from lth_tf.data import ImageInfo
from lth_tf.errors import UserError
from lth_tf.experiment.plan import Experiment
from lth_tf.pruning import masks
from lth_tf.pruning.kernels import Kernel, kernels, rates, snapshot
from lth_tf.pruning.scores import score
from lth_tf.training.trainer import build_model


@dataclasses.dataclass(frozen=True)
class Network:
    """An experiment's network.

    Attributes:
        experiment: the experiment.
        image: the data set's image shape and classes.
    """

    experiment: Experiment
    image: ImageInfo

    def build(self, seed: int = 0) -> keras.Model:
        """Builds the plain model with initial weights from a seed."""
        shape, classes = self.image.image_shape, self.image.classes
        return build_model(self.experiment.recipe, shape, classes, seed)

    def initial_weights(self, seed: int) -> dict[str, np.ndarray]:
        """Draws theta_0, by name."""
        return snapshot(self.build(seed))

    @cached_property
    def kernels(self) -> list[Kernel]:
        """The kernels that count towards the density."""
        return kernels(self.build())

    @cached_property
    def rates(self) -> dict[str, float]:
        """The pruning rate of each kernel."""
        return rates(self.kernels, self.experiment.recipe)

    @cached_property
    def remaining(self) -> list[int]:
        """The remaining weights at each level, dense network first."""
        sizes = {kernel.name: kernel.size for kernel in self.kernels}
        scope = self.experiment.recipe.scope
        return masks.remaining_by_round(sizes, self.rates, scope, self.experiment.rounds)

    def density(self, level: int) -> float:
        """The density at a level."""
        return self.remaining[level] / self.remaining[0]

    def check(self, devices: int = 1) -> None:
        """Checks that the recipe fits the network and the data set, before anything is written.

        Args:
            devices: the devices that share a batch.

        Raises:
            UserError: if it does not; the message names the flag.
        """
        recipe, examples = self.experiment.recipe, self.image.train_size
        if recipe.validation_size >= examples:
            raise UserError(
                f"--validation_size={recipe.validation_size}: must be below the {examples:,} "
                f"training examples of --dataset={recipe.dataset}"
            )
        if recipe.batch_size > examples - recipe.validation_size:
            raise UserError(
                f"--batch_size={recipe.batch_size}: must be at most the "
                f"{examples - recipe.validation_size:,} training examples that "
                f"--validation_size={recipe.validation_size} leaves"
            )
        if recipe.batch_size % devices:
            raise UserError(
                f"--batch_size={recipe.batch_size}: must be divisible among the {devices} devices "
                "that share it"
            )
        score(recipe.score)
        self.remaining  # noqa: B018 (refuses layers that there are not, and rates unfit for a scope)
