"""Keeping what later trainings need of a training besides its end: weights and masks on the way."""

from collections.abc import Mapping
from typing import Any

import tf_keras as keras

from lth_tf.arrays import Arrays
from lth_tf.pruning.kernels import named_weights, snapshot
from lth_tf.training.early_bird import EarlyBirdSearch
from lth_tf.training.initial_state import Keep
from lth_tf.training.state import KEPT, State


class Keeping:
    """What a training has kept so far.

    Attributes:
        callbacks: the Keras callbacks that keep it; those that write checkpoints come behind them.
    """

    def __init__(self, keep: Keep, ends: list[int], state: State | None) -> None:
        """Makes the callbacks.

        Args:
            keep: what is to be kept.
            ends: the iterations at which chunks end, those of `keep` among them.
            state: the state that the training goes on from; None if it begins.
        """
        before = {name: state.arrays[name] for name in KEPT} if state else {}
        weights = {name: arrays for name, arrays in before.items() if arrays}
        self._search = None
        drawn = weights.pop("early_bird", {})
        self._keep_weights = KeepWeights(keep.weights, ends, weights)
        self.callbacks: list[keras.callbacks.Callback] = [self._keep_weights]
        if keep.early_bird:
            self._search = EarlyBirdSearch(keep.early_bird, drawn)
            looks = frozenset(keep.early_bird.iterations)
            self.callbacks.append(LookEarly(self._search, looks, ends, is_new=state is None))

    @property
    def kept(self) -> dict[str, Arrays]:
        """The arrays, by what they are kept as and then by weight."""
        drawn = {"early_bird": self._search.arrays} if self._search else {}
        return {**self._keep_weights.kept, **drawn}


class KeepWeights(keras.callbacks.Callback):
    """Keeps the weights of some iterations.

    Attributes:
        kept: the weights so far, by the name that they are kept under.
    """

    def __init__(
        self, iterations: Mapping[str, int], ends: list[int], kept: Mapping[str, Arrays]
    ) -> None:
        """Makes the callback.

        Args:
            iterations: the iterations whose weights are kept, by the name to keep them under.
            ends: the iterations at which chunks end, these among them.
            kept: the weights that were kept before an interruption.
        """
        super().__init__()
        self.kept = dict(kept)
        self._iterations = iterations
        self._ends = ends

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keeps the weights if it is time."""
        for name, iteration in self._iterations.items():
            if iteration == self._ends[batch]:
                self.kept[name] = snapshot(self.model)


class LookEarly(keras.callbacks.Callback):
    """Lets an early-bird search look at the weights before each epoch, and at the end."""

    def __init__(
        self, search: EarlyBirdSearch, looks: frozenset[int], ends: list[int], is_new: bool
    ) -> None:
        """Makes the callback.

        Args:
            search: has the masks.
            looks: the iterations at which it looks.
            ends: the iterations at which chunks end, these among them.
            is_new: False for a training that goes on from a later state.
        """
        super().__init__()
        self._search = search
        self._looks = looks
        self._ends = ends
        self._is_new = is_new

    def on_train_begin(self, logs: Any = None) -> None:
        """Looks at the initial weights."""
        if self._is_new:
            self._look(0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks at the end of a chunk, if it is time."""
        if self._ends[batch] in self._looks:
            self._look(self._ends[batch])

    def _look(self, iteration: int) -> None:
        weights = named_weights(self.model)
        looked_at = self._search.looks_at.values()
        self._search.look(iteration, {name: weights[name].numpy() for name in looked_at})
