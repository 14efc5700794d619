"""Ranking: pruning by an experiment's criterion, and what the criterion may ask for."""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.arrays import Arrays
from lth_tf.lottery.network import Network
from lth_tf.lottery.search import searched_weights
from lth_tf.pruning import derivatives
from lth_tf.pruning.context import Context, Examples
from lth_tf.pruning.criteria import CRITERIA
from lth_tf.pruning.flow import Flow
from lth_tf.pruning.masks import Masks, counts_after, in_steps, prune_to
from lth_tf.pruning.wrapper import set_masks
from lth_tf.runs.experiment import Training
from lth_tf.runs.store import Store
from lth_tf.streams import Streams
from lth_tf.training.chunked import chunked_copy
from lth_tf.training.objective import objective_of
from lth_tf.training.rewind import set_weights

Take = Callable[[np.ndarray], Examples]
_CLASSES = 10  # of targets that are no classes
_PIECE = 1_000  # examples that are on the device beside the data set


class Ranking:
    """Prunes by an experiment's criterion; what the criterion asks for is computed here."""

    def __init__(
        self, training: Training, network: Network, store: Store, take: Take, inverted: bool = False
    ) -> None:
        """Reads the weights.

        Args:
            training: the training whose mask is pruned.
            network: the experiment's network.
            store: has the weights of the trainings that it needs.
            take: returns the examples at some rows of the data set.
            inverted: whether the highest-scored weights are pruned, not the lowest.

        Raises:
            UserError: if a file is damaged.
        """
        self._training = training
        self._network = network
        self._take = take
        self._inverted = inverted
        self._criterion = CRITERIA[network.experiment.recipe.criterion]()
        self._streams = Streams(network.experiment.seed, training.replicate)
        self._initial = network.theta_0(training.replicate, store)
        self._trained = None
        if self._criterion.needs_training:
            parent = network.experiment.parent(training)
            name = searched_weights(network.experiment)
            self._trained = store.read_arrays(parent, name) if parent else self._initial

    def prune(self, masks: Masks, rounds: int) -> Masks:
        """Prunes masks at once by as much as some rounds do.

        Args:
            masks: those of the parent, or of the dense network where there is none.
            rounds: the levels from there on.
        """
        counts = counts_after(
            masks, self._network.rates, self._network.experiment.recipe.scope, rounds
        )
        for step in in_steps(masks, counts, self._criterion.steps):
            scores = self._criterion.scores(self._context(masks, list(counts)))
            if self._inverted:
                scores = {n: -np.asarray(score, np.float64) for n, score in scores.items()}
            masks = prune_to(scores, masks, step)
        return masks

    def _context(self, masks: Masks, groups: Sequence[tuple[str, ...]]) -> Context:
        return Context(
            initial=self._kernels(self._initial),
            trained=self._kernels(self._trained) if self._trained else None,
            masks=masks,
            groups=groups,
            make_generator=lambda: self._streams.generator("criterion"),
            take_examples=lambda: self._examples,
            differentiate=lambda **how: derivatives.gradients(*self._probe(masks), **how),
            multiply_hessian=lambda vectors, **how: derivatives.hessian_product(
                *self._probe(masks), vectors, **how
            ),
            differentiate_flow=lambda: self._flow.gradients(self._masked(masks)),
        )

    def _kernels(self, arrays: Arrays) -> Arrays:
        return {kernel.name: arrays[kernel.name] for kernel in self._network.kernels}

    def _probe(self, masks: Masks) -> tuple[keras.Model, Examples, derivatives.Loss]:
        """Returns the masked network, the examples and the loss that derivatives are taken of."""
        model = self._model
        set_masks(model, masks)
        set_weights(model, self._weights)
        return model, self._examples, lambda y, outputs: model.compute_loss(None, y, outputs)

    @property
    def _weights(self) -> Arrays:
        """The weights that are pruned, with all others of the network."""
        return self._initial if self._trained is None else self._trained

    def _masked(self, masks: Masks) -> Arrays:
        kept = {name: self._weights[name] * mask for name, mask in masks.items()}
        return {**self._weights, **kept}

    @cached_property
    def _flow(self) -> Flow:
        return Flow(self._network.build())

    @cached_property
    def _model(self) -> keras.Model:
        plain = self._network.build()
        # A copy as for training: its dropout does nothing where no training loop runs.
        names = {kernel.name for kernel in self._network.kernels}
        model = chunked_copy(plain, replicas=1, names=names)
        objective_of(plain).compile(model, "sgd")
        return model

    @cached_property
    def _examples(self) -> Examples:
        """Draws training examples, so many of each class."""
        rows, _ = self._network.split(self._training.replicate)
        rows = self._streams.generator("criterion_examples").permutation(rows)
        wanted = self._criterion.examples_per_class
        pieces = (rows[first : first + _PIECE] for first in range(0, len(rows), _PIECE))
        targets = np.concatenate([tf.nest.flatten(self._take(piece)[1])[0] for piece in pieces])
        if targets.size > len(rows) or not np.issubdtype(targets.dtype, np.integer):
            return self._take(rows[: _CLASSES * wanted])
        drawn = [rows[targets.ravel() == label][:wanted] for label in np.unique(targets)]
        return self._take(np.concatenate(drawn))
