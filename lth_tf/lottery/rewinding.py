"""Rewinding: what a level's surviving weights go on from; all that `--rewind` means stands here.

The paper rewinds to iteration 0 (Section 2); Frankle et al. (2020) to an iteration k; learning-rate
rewinding and fine-tuning are of Renda et al. (2020), continued training of the paper's Appendix B.
A new kind is one class, here or in a package of one's own; see `lth_tf.registry`.
"""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lth_tf.arms import ARMS
from lth_tf.arrays import Arrays
from lth_tf.errors import UserError, shortened
from lth_tf.recipe import Recipe
from lth_tf.registry import Registry
from lth_tf.runs.experiment import DENSE, ONE_SHOT, TICKET, Experiment, Training
from lth_tf.training.initial_state import Keep

if TYPE_CHECKING:
    from lth_tf.runs.store import Store


@dataclasses.dataclass(frozen=True)
class Earlier:
    """What the trainings before one have left.

    Attributes:
        training: the training.
        experiment: its experiment.
        store: has the files of the trainings before.
    """

    training: Training
    experiment: Experiment
    store: "Store"

    @property
    def parent(self) -> Training:
        """The training that its mask is pruned from."""
        return self.experiment.parent(self.training)

    def of_dense(self, name: str) -> Arrays:
        """Returns arrays that the dense network has left.

        Raises:
            UserError: if the file is missing or damaged; the other methods raise this too.
        """
        return self.store.read_arrays(self.training.dense, name)

    def of_parent(self, name: str) -> Arrays:
        """Returns arrays that the parent has left."""
        return self.store.read_arrays(self.parent, name)

    def last_trained(self, masks: Arrays) -> Arrays:
        """Returns each weight as it was at the end of the last training that trained it.

        For what a ticket keeps, that is its parent. A control's mask may keep weights that were
        pruned before that, and are zero there: they have the value that they were pruned at, or
        the control would be a network of zeros and say nothing of its mask.

        Args:
            masks: which weights are asked for; others may be zero.
        """
        training = self.parent
        weights, trained = self.of_parent("weights"), self.store.read_masks(training)
        while any((mask & ~trained[name]).any() for name, mask in masks.items()):
            training = self.experiment.parent(training)
            older = self.store.read_arrays(training, "weights")
            for name, mask in trained.items():
                weights[name] = np.where(mask, weights[name], older[name])
            trained = self.store.read_masks(training)
        return weights


class Rewinding:
    """A kind of rewinding; as it stands here, to the initial weights.

    Attributes:
        name: what `--rewind` calls it.
        help: what it does, for `--help`.
        keeps_weights: whether weights stay as they were trained: the network is then no ticket in
            the paper's sense, as its iterations leave out those of the trainings before.
        iteration: the iteration that trainings go on from.
    """

    name: ClassVar[str]
    help: ClassVar[str]
    keeps_weights: ClassVar[bool] = False
    iteration: int = 0

    def weights(self, earlier: Earlier, masks: Arrays) -> Arrays:
        """Returns the weights by name, before masking.

        Args:
            earlier: what there is to go on from.
            masks: the training's.
        """
        return earlier.of_dense("initial")

    def schedule(self, earlier: Earlier) -> int:
        """Returns the iteration that the learning-rate schedule starts from."""
        return self.iteration

    def optimizer(self, earlier: Earlier) -> Arrays | None:
        """Returns the optimizer's variables to go on with; None for a new optimizer."""
        return None

    def keep(self, training: Training) -> Keep:
        """Returns what a training must keep for those that go on from it."""
        return Keep()


class ToIteration(Rewinding):
    """Weights and schedule go back to iteration k of the dense training; the optimizer is new."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def weights(self, earlier: Earlier, masks: Arrays) -> Arrays:
        """Returns theta_k."""
        return earlier.of_dense("rewind" if self.iteration else "initial")

    def keep(self, training: Training) -> Keep:
        """Keeps theta_k, of the dense network; all are evaluated there, to be compared alike."""
        if not self.iteration:
            return Keep()
        weights = {"rewind": self.iteration} if training.arm == DENSE else {}
        return Keep(evaluations=(self.iteration,), weights=weights)


class _KeptWeights(Rewinding):
    keeps_weights = True

    def weights(self, earlier: Earlier, masks: Arrays) -> Arrays:
        """Returns the weights as trained."""
        return earlier.last_trained(masks)


REWINDINGS: Registry[type[Rewinding]] = Registry("rewind", __name__)


@REWINDINGS.register
class LearningRate(_KeptWeights):
    """Weights are kept, the schedule is replayed, the optimizer is new."""

    name = "lr"
    help = "weights kept, schedule replayed"


@REWINDINGS.register
class Nothing(_KeptWeights):
    """Weights and optimizer are kept, the schedule is replayed."""

    name = "none"
    help = "weights and optimizer kept, schedule replayed"

    def schedule(self, earlier: Earlier) -> int:
        """Returns minus what the optimizer has counted, which goes on counting."""
        return -(earlier.parent.level + 1) * earlier.experiment.recipe.iterations

    def optimizer(self, earlier: Earlier) -> Arrays:
        """Returns the parent's."""
        return earlier.of_parent("optimizer")

    def keep(self, training: Training) -> Keep:
        """Keeps the optimizer of those that are parents."""
        return Keep(optimizer=training.kind in (DENSE, TICKET))


@REWINDINGS.register
class FineTune(_KeptWeights):
    """Weights are kept, the learning rate stays at its last, the optimizer is new."""

    name = "fine_tune"
    help = "weights kept, last learning rate"

    def schedule(self, earlier: Earlier) -> int:
        """Returns the end, behind which the schedule stays at its last rate."""
        return earlier.experiment.recipe.iterations


def rewinding_of(recipe: Recipe) -> Rewinding:
    """Returns the kind of rewinding that a recipe has.

    Raises:
        UserError: if there is none of that name, or its iteration is not inside a training.
    """
    if recipe.rewind in REWINDINGS:
        return REWINDINGS[recipe.rewind]()
    is_number = recipe.rewind.isdecimal() and len(recipe.rewind) < 20
    if is_number and int(recipe.rewind) < recipe.iterations:
        return ToIteration(int(recipe.rewind))
    end = recipe.iterations
    raise UserError(
        f"--rewind={shortened(recipe.rewind, 200)}: must be 0 to {end - 1}, below --iterations "
        f"({end}), or one of {', '.join(REWINDINGS)}"
    )


def rewinding_for(training: Training, experiment: Experiment) -> Rewinding:
    """Returns how a training starts: what has fresh weights is at iteration 0, whatever the kind.

    Args:
        training: the training.
        experiment: the experiment that it belongs to.

    Raises:
        UserError: see `rewinding_of`.
    """
    if training.arm == DENSE or ARMS[training.kind].has_fresh_weights:
        return ToIteration(0)
    rewinding = rewinding_of(experiment.recipe)
    # A control of the dense network has no trained weights to keep.
    return ToIteration(0) if training.level == 0 and rewinding.keeps_weights else rewinding


def keeps_trained_weights(experiment: Experiment) -> bool:
    """Says whether what an experiment finds goes on from the weights of trainings before."""
    if experiment.is_transfer or experiment.prunes_while_training:
        return False
    return rewinding_of(experiment.recipe).keeps_weights


def iterations_before(training: Training, experiment: Experiment) -> int:
    """Returns the iterations that a training's weights were trained for before it.

    They are those of its parents where it goes on from their trained weights, else none.

    Args:
        training: the training.
        experiment: the experiment that it belongs to.
    """
    if training.level == 0 or experiment.is_transfer or experiment.prunes_while_training:
        return 0
    if not rewinding_for(training, experiment).keeps_weights:
        return 0
    parents = 1 if experiment.strategy == ONE_SHOT else training.level
    return parents * experiment.recipe.iterations
