"""What an experiment's network is, before any training: its kernels, rates, densities and work."""

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.arms import ARMS, Arm
from lth_tf.data import ImageInfo, UserDataInfo
from lth_tf.data.augmentations import augmentation
from lth_tf.errors import UserError
from lth_tf.formats.ticket import Ticket
from lth_tf.importing import names_function
from lth_tf.lottery.fitted_ticket import FittedTicket, fit_ticket
from lth_tf.lottery.inputs import Inputs, fitted
from lth_tf.lottery.rewinding import rewinding_of
from lth_tf.lottery.search import check_search
from lth_tf.metric import ACCURACY, Metric
from lth_tf.models.fingerprint import fingerprint
from lth_tf.models.user_model import ModelFunction
from lth_tf.pruning import masks
from lth_tf.pruning.criteria import CRITERIA
from lth_tf.pruning.filters import filter_scales
from lth_tf.pruning.kernels import (
    Kernel,
    kernels,
    named_weights,
    pruned_kernels,
    rates,
    snapshot,
)
from lth_tf.pruning.walk import walk
from lth_tf.recipe import digest
from lth_tf.runs.coverage import Coverage
from lth_tf.runs.experiment import (
    AT_INIT,
    DENSE,
    EARLY_BIRD_FILTERS,
    ONE_SHOT,
    Experiment,
    Training,
)
from lth_tf.streams import Streams
from lth_tf.training.objective import objective_of
from lth_tf.training.trainer import build_in_precision, build_model

if TYPE_CHECKING:
    from lth_tf.runs.store import Store

# A recipe's fields that a user's function does not see, and their values that say nothing.
_DECIDED_BY_FUNCTIONS = {"scaling": "unit", "init_stddev": 0, "width": 1, "dropout": 0}


@dataclasses.dataclass(frozen=True)
class Network:
    """An experiment's network.

    Attributes:
        experiment: the experiment.
        data: what is known of the data.
        make: the user's function that makes the network, where the recipe only has its name.
        ticket: the ticket that a transfer trains; None of others.
        higher_is_better: whether more of a user's metric is better; None if its name tells.
        metric_name: the name of the metric that a user's model is judged by; None for the first.
        pretrained: weights by name that all replicates start from, where they are not random.
    """

    experiment: Experiment
    data: ImageInfo | UserDataInfo
    make: ModelFunction | None = None
    ticket: Ticket | None = None
    higher_is_better: bool | None = None
    metric_name: str | None = None
    pretrained: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls, experiment: Experiment, info: ImageInfo | UserDataInfo, inputs: Inputs
    ) -> "Network":
        """Returns an experiment's network.

        Args:
            experiment: the experiment.
            info: what is known of the data.
            inputs: what the experiment has besides its recipe.
        """
        return cls(
            experiment,
            info,
            inputs.make,
            inputs.ticket,
            inputs.higher_is_better,
            inputs.metric,
            inputs.pretrained,
        )

    def build(self, seed: int = 0) -> keras.Model:
        """Builds the plain model with initial weights from a seed."""
        return build_model(self.experiment.recipe, self.data, seed, self.make)

    def build_for_training(self) -> keras.Model:
        """Builds the plain model in the recipe's precision."""
        return build_in_precision(self.experiment.recipe.precision, self.build)

    def initial_weights(self, seed: int) -> dict[str, np.ndarray]:
        """Draws theta_0, by name."""
        return snapshot(self.build(seed))

    def theta_0(self, replicate: int, store: "Store | None") -> dict[str, np.ndarray]:
        """Returns a replicate's theta_0, by name.

        It is what the dense network has left, or drawn as that one draws it, which is the same:
        levels that are pruned before or while they train do not wait for the dense network.

        Args:
            replicate: the replicate.
            store: has what finished trainings have left; None has it drawn.

        Raises:
            UserError: if the dense network's file is damaged.
        """
        dense = Training(replicate, 0, DENSE)
        if store is not None and store.is_done(dense):
            return store.read_arrays(dense, "initial")
        drawn = self.initial_weights(Streams(self.experiment.seed, replicate).key("init"))
        return {**drawn, **self.pretrained}

    def split(self, replicate: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rows of a replicate's training and of its validation examples, int [n]."""
        generator = Streams(self.experiment.seed, replicate).generator("split")
        return self.data.split(self.experiment.recipe.validation_size, generator)

    @cached_property
    def kernels(self) -> list[Kernel]:
        """The kernels that count towards the density."""
        return pruned_kernels(kernels(self._model), self.experiment.recipe)

    @cached_property
    def is_from_user(self) -> bool:
        """Whether the network is a user's."""
        return self.make is not None or names_function(self.experiment.recipe.model)

    @cached_property
    def described(self) -> dict[str, Any]:
        """What a user's network is: its weights' shapes, loss and metric; {} for the paper's."""
        if not self.is_from_user:
            return {}
        model = self._model
        objective = objective_of(model)
        weights, others = snapshot(model), snapshot(self._other_model)
        constant = {n: w for n, w in weights.items() if np.array_equal(w, others[n])}
        shapes = {name: list(weight.shape) for name, weight in weights.items()}
        described = {
            "architecture": digest(shapes),
            "network": fingerprint(model, {**constant, **self.pretrained}, objective.parts),
            "loss": objective.describe(),
            "coverage": vars(self.coverage),
            "metric": self.metric.name,
            "higher_is_better": self.metric.higher_is_better,
        }
        return {**described, **({"pretrained": len(self.pretrained)} if self.pretrained else {})}

    @cached_property
    def metric(self) -> Metric:
        """What the network is judged by."""
        if not self.is_from_user:
            return ACCURACY
        model = self._other_model  # it is compiled anew
        return objective_of(model).metric(model, self.metric_name, self.higher_is_better)

    @cached_property
    def coverage(self) -> Coverage:
        """How many of its kernel weights have masks."""
        model = self._model
        masked = {kernel.name for kernel in self.kernels}
        found, left_out = [], []
        weights = named_weights(model)
        for path, layer in walk(model).items():
            names = [name for name in weights if name.startswith(f"{path}/")]
            kernels = [name for name in names if _is_kernel(name, weights[name], layer)]
            found += kernels
            if not masked.issuperset(kernels):
                left_out.append(f"{path} ({type(layer).__name__})")
        sizes = {name: weights[name].shape.num_elements() for name in {*found, *masked}}
        return Coverage(sum(sizes[name] for name in masked), sum(sizes.values()), tuple(left_out))

    @cached_property
    def _model(self) -> keras.Model:
        """The plain model, to be looked at only."""
        return self.build()

    @cached_property
    def _other_model(self) -> keras.Model:
        """The plain model with the initial weights of another seed."""
        return self.build(1)

    @cached_property
    def rates(self) -> dict[str, float]:
        """The pruning rate of each kernel."""
        return rates(self.kernels, self.experiment.recipe)

    @cached_property
    def filter_scales(self) -> dict[str, str]:
        """The name of the scale that ranks each convolution's filters; see `filter_scales`."""
        return filter_scales(self._model)

    def dense_masks(self) -> masks.Masks:
        """Returns masks that keep all weights."""
        return {kernel.name: np.ones(kernel.shape, bool) for kernel in self.kernels}

    @cached_property
    def fitted_ticket(self) -> FittedTicket:
        """A transfer's ticket as it fits this network."""
        return fit_ticket(self.ticket, self.kernels, self.initial_weights(0))

    @cached_property
    def remaining(self) -> dict[int, int]:
        """The remaining weights at each level, dense network first."""
        shapes = {kernel.name: kernel.shape for kernel in self.kernels}
        if self.experiment.is_transfer:
            left = sum(int(mask.sum()) for mask in self.fitted_ticket.masks.values())
            return {0: sum(kernel.size for kernel in self.kernels), self.experiment.rounds: left}
        scope = self.experiment.recipe.scope
        counts = masks.remaining_by_round(shapes, self.rates, scope, self.experiment.rounds)
        self._check_ladder(counts)
        return dict(enumerate(counts))

    def _check_ladder(self, counts: list[int]) -> None:
        """Checks that each level is sparser than the one before, and that a network is left."""
        rounds = self.experiment.rounds
        last = next(
            (level for level in range(rounds) if counts[level + 1] in (0, counts[level])), rounds
        )
        if last == rounds:
            return
        if last == 0 and counts[1]:
            raise UserError(
                "--prune_conv, --prune_dense, --prune_output, --prune_layers: must have a rate "
                "that prunes a weight in a round; these prune none"
            )
        why = "has no weight left" if not counts[last + 1] else "has no weight less"
        raise UserError(
            f"--rounds={rounds}: must be at most {last} at these pruning rates; level {last + 1} "
            f"{why}"
        )

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
        recipe, examples = self.experiment.recipe, self.data.train_size
        if self.experiment.is_transfer:
            self._check_ticket()
        if fitted(recipe, self.data) != recipe:
            raise UserError(
                f"--validation_size={recipe.validation_size}: must be left out, or "
                f"{self.data.validation_size}, where the data have validation examples"
            )
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
        if devices > 1 and self.experiment.learns_masks:
            raise UserError(
                f"--distribution: must be none with --strategy={self.experiment.strategy}, whose "
                "scores are on one device"
            )
        if self.is_from_user:
            self._check_users_network()
        elif self.higher_is_better is not None:
            raise UserError(
                f"--higher_is_better: must be left out with --model={recipe.model}, which is "
                "judged by accuracy"
            )
        if not self.experiment.is_transfer:
            self._check_criterion()
        augmentation(recipe.augment)
        rewinding_of(recipe)
        check_search(self.experiment)
        if self.experiment.strategy == EARLY_BIRD_FILTERS:
            self._check_filters()
        for arm in self.experiment.arms:
            self._check_arm(arm)
        # Refuses layers that there are not, rates unfit for a scope, tickets unfit for a network.
        self.remaining  # noqa: B018
        # Refuses metrics that are not known to be better the higher or the lower they are.
        self.metric  # noqa: B018
        _check_policy()

    def _check_criterion(self) -> None:
        """Checks that there is the criterion, and that it has the weights that it needs."""
        name = self.experiment.recipe.criterion
        criterion = CRITERIA[name]
        if not self.experiment.prunes_at_init:
            return
        if criterion.needs_training and not criterion.ranks_initial:
            suited = (n for n, c in CRITERIA.items() if c.ranks_initial or not c.needs_training)
            raise UserError(
                f"--criterion={name}: needs a trained network, and --strategy={AT_INIT} trains "
                f"none before; must be one of {', '.join(suited)}"
            )

    def _check_filters(self) -> None:
        """Checks that there are filters to be ranked, all by one rate."""
        found = {self.rates[name] for name in self.filter_scales if self.rates.get(name)}
        if not found:
            raise UserError(
                f"--strategy={EARLY_BIRD_FILTERS}: must have a convolution that is pruned and that "
                f"batch normalisation follows, and --model={self.experiment.recipe.model} has none"
            )
        if len(found) > 1:
            raise UserError(
                f"--prune_conv, --prune_layers: must be one rate for all convolutions with "
                f"--strategy={EARLY_BIRD_FILTERS}, which ranks all filters together; found "
                f"{', '.join(f'{rate:g}' for rate in sorted(found))}"
            )

    def _check_arm(self, name: str) -> None:
        """Checks that there is an arm, and that it suits the strategy."""
        strategy = self.experiment.strategy
        if ARMS[name].inverts_criterion and strategy not in (ONE_SHOT, AT_INIT):
            raise UserError(
                f"--arms={name}: must be left out with --strategy={strategy}; its masks are made "
                f"of the whole network at once, as by {ONE_SHOT} and {AT_INIT}"
            )
        if self.experiment.is_transfer and name == "rewound":
            raise UserError(
                f"--arms={name}: must be left out with --from_ticket, where it would be the ticket "
                "once more"
            )
        if self.experiment.learns_masks and ARMS[name].masks is not Arm.masks:
            raise UserError(
                f"--arms={name}: must be left out with --strategy={strategy}, which learns a mask "
                "for each arm's weights: it takes arms that have other weights, not other masks"
            )

    def _check_ticket(self) -> None:
        """Checks that a transfer has its ticket, and data like those that it was found on."""
        if self.ticket is None or self.ticket.checksum != self.experiment.ticket:
            raise UserError("a transfer must have its ticket; see lth_tf.train_ticket")
        known = self.ticket.metadata.get("data")
        there = known.get("image_shape") if isinstance(known, dict) else None
        here = getattr(self.data, "image_shape", None)
        if there and here and tuple(there) != here:
            raise UserError(
                f"--dataset={self.experiment.recipe.dataset}: must have images of shape "
                f"{tuple(there)}, as the ticket's {self.ticket.recipe.dataset} has, found {here}"
            )

    def _check_users_network(self) -> None:
        """Checks a user's network: there is something to prune, and each seed has its weights."""
        name = self.experiment.recipe.model
        for field, neutral in _DECIDED_BY_FUNCTIONS.items():
            if (value := getattr(self.experiment.recipe, field)) != neutral:
                raise UserError(
                    f"--{field}={value}: must be left out with --model={name}, a function that "
                    "decides this itself"
                )
        if not self.experiment.is_transfer and not any(self.rates.values()):
            raise UserError(
                f"--model={name}: has no kernel that --prune_conv, --prune_dense, --prune_output "
                "or --prune_layers lets be pruned"
            )
        self._check_initial_weights(name)

    def _check_initial_weights(self, name: str) -> None:
        """Checks that each seed has its weights, and that those of all seeds fit."""
        first, second = snapshot(self._model), snapshot(self._other_model)
        for weight, array in self.pretrained.items():
            wanted = first[weight].shape if weight in first else None
            if array.shape != wanted:
                found = "no such weight" if wanted is None else f"shape {wanted}"
                raise UserError(
                    f"initial_weights: {weight} has shape {array.shape}, the model has {found}"
                )
        kernels = {kernel.name for kernel in self.kernels}
        for weight, array in first.items():
            same = np.array_equal(array, second[weight])
            # What has few values, as zeros or the identity, is meant to have no seed.
            if weight in kernels and same and np.unique(array).size > 2:
                if weight not in self.pretrained:
                    raise UserError(
                        f"--model={name}: {weight}: has the same initial weights whatever the "
                        "seed, so that replicates and reinits would be one; leave out its "
                        "initialiser's seed, or, if the weights are pretrained, say so by "
                        "initial_weights= of find_tickets"
                    )
                if any(ARMS[arm].has_fresh_weights for arm in self.experiment.arms):
                    raise UserError(
                        f"--arms={','.join(self.experiment.arms)}: need fresh weights, and the "
                        f"model has the same {weight} whatever the seed; have it drawn, and pass "
                        "pretrained weights by initial_weights= alone"
                    )
        for path, layer in walk(self._model).items():
            there = [weight for weight in first if weight.startswith(f"{path}/")]
            same = all(np.array_equal(first[weight], second[weight]) for weight in there)
            if hasattr(layer, "adapt") and not same:
                raise UserError(
                    f"--model={name}: layer {path} ({type(layer).__name__}) is adapted to another "
                    "state each time; adapt it to the same examples"
                )


def _check_policy() -> None:
    """Checks that no script or module has set Keras's precision policy for all that is made."""
    policy = keras.mixed_precision.global_policy().name
    if policy != "float32":
        raise UserError(
            f"Keras's global policy is {policy}, which trainings would not have; set it inside of "
            "the function that makes the network, or leave it and say Recipe(precision=...) "
            "(--precision)"
        )


def _is_kernel(name: str, weight: tf.Variable, layer: keras.layers.Layer) -> bool:
    """Says whether a weight is a kernel: no bias, and nothing that a layer has adapted to."""
    is_bias = "bias" in name.rsplit("/", 1)[-1]
    return len(weight.shape) > 1 and not is_bias and not hasattr(layer, "adapt")
