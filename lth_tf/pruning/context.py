"""Context: what a criterion can rank weights by.

Weights and masks are at hand. What costs something is computed when a criterion first asks for it,
by functions that the caller supplies, so that nothing here knows of experiments or of TensorFlow.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.errors import UserError

Examples = tuple[Any, Any]


class Gradients(Protocol):
    """Supplies gradients; see `Context.gradients`."""

    def __call__(self, *, temperature: float, training: bool) -> Arrays:
        """Returns the gradient of each kernel."""


class HessianProduct(Protocol):
    """Supplies products with the Hessian; see `Context.hessian_product`."""

    def __call__(
        self, vectors: Mapping[str, np.ndarray], *, temperature: float, training: bool
    ) -> Arrays:
        """Returns each kernel's part of the product."""


def _not_supplied(*args: Any, **kwargs: Any) -> Any:
    raise UserError("--criterion: asks for what is not supplied here: only weights and masks are")


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Context:
    """What a criterion can rank weights by, by kernel name.

    Attributes:
        initial: weights at initialisation.
        trained: weights at the end of the training that is pruned, pruned ones zero, or initial
            ones where nothing is trained before; None for a criterion that needs no training.
        masks: boolean masks, True where a weight still remains.
        groups: the prunable kernels that are ranked together: all by themselves, or one group.
        make_generator: supplies `generator`.
        take_examples: supplies `examples`.
        differentiate: supplies `gradients`.
        multiply_hessian: supplies `hessian_product`.
        differentiate_flow: supplies `flow_gradients`.
    """

    initial: Arrays
    masks: Arrays
    groups: Sequence[tuple[str, ...]]
    trained: Arrays | None = None
    make_generator: Callable[[], np.random.Generator] = _not_supplied
    take_examples: Callable[[], Examples] = _not_supplied
    differentiate: Gradients = _not_supplied
    multiply_hessian: HessianProduct = _not_supplied
    differentiate_flow: Callable[[], Arrays] = _not_supplied
    _gradients: dict[tuple[float, bool], Arrays] = dataclasses.field(
        default_factory=dict, init=False, repr=False
    )

    @property
    def final(self) -> Arrays:
        """Weights at the end of the training that is pruned, pruned ones zero.

        Raises:
            UserError: if the criterion has said that it needs no training.
        """
        if self.trained is None:
            raise UserError(
                "--criterion: asks for final weights, but has needs_training = False; must be True"
            )
        return self.trained

    @property
    def weights(self) -> Arrays:
        """The weights that are pruned: final ones, or initial ones if no training is needed."""
        return self.initial if self.trained is None else self.trained

    @cached_property
    def generator(self) -> np.random.Generator:
        """A generator at the beginning of the replicate's stream for criteria.

        The stream is the same at every level, so that a ranking drawn from it is one for all.

        Raises:
            UserError: if it is not supplied here.
        """
        return self.make_generator()

    @cached_property
    def examples(self) -> Examples:
        """Training examples (inputs, targets), as many of each class as the criterion says.

        Raises:
            UserError: if it is not supplied here.
        """
        return self.take_examples()

    def gradients(self, temperature: float = 1.0, training: bool = False) -> Arrays:
        """Returns the gradient of the loss on `examples` with respect to each kernel.

        It is taken at `masks * weights`, for all weights, those that are pruned included.

        Args:
            temperature: what the network's outputs are divided by before the loss.
            training: whether batch normalisation goes by the examples' own statistics.

        Raises:
            UserError: if it is not supplied here.
        """
        key = (temperature, training)
        if key not in self._gradients:
            self._gradients[key] = self.differentiate(temperature=temperature, training=training)
        return self._gradients[key]

    def hessian_product(
        self,
        vectors: Mapping[str, np.ndarray],
        temperature: float = 1.0,
        training: bool = False,
    ) -> Arrays:
        """Returns the product of the loss's Hessian with a vector, over all kernels together.

        Args:
            vectors: the vector's part for each kernel; zero for those it leaves out.
            temperature: as in `gradients`, of which this is the derivative.
            training: likewise.

        Raises:
            UserError: if it is not supplied here.
        """
        return self.multiply_hessian(vectors, temperature=temperature, training=training)

    def flow_gradients(self) -> Arrays:
        """Returns the gradient of the synaptic flow with respect to each kernel's magnitudes.

        The flow is the sum of the network's outputs for an all-ones input, in inference mode, with
        the absolute values of all parameters and statistics, at `masks * weights`. The gradient is
        float64, and of all weights, those that are pruned included; see `lth_tf.pruning.flow`.

        Raises:
            UserError: if it is not supplied here.
        """
        return self.differentiate_flow()

    def ranks(self, values: Mapping[str, np.ndarray]) -> Arrays:
        """Returns how many of the remaining weights that a weight is ranked with lie below it.

        Equal values have equal ranks. Kernels that are not pruned have no ranks.

        Args:
            values: what to rank by, by kernel name.
        """
        found = {}
        for names in self.groups:
            alive = np.sort(np.concatenate([values[name][self.masks[name]] for name in names]))
            for name in names:
                found[name] = np.searchsorted(alive, values[name])
        return found
