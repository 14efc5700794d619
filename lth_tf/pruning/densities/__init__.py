"""Densities: how many weights each kernel keeps, or all kernels together. One file each.

A user's package adds one by a class like those here (see `lth_tf.registry`). This package knows no
TensorFlow: the flags' help lists what it holds.
"""

import abc
from collections.abc import Mapping

from lth_tf.errors import UserError
from lth_tf.pruning.apportionment import apportion
from lth_tf.registry import Registry

Counts = dict[tuple[str, ...], int]
"""Numbers of weights by the names of the kernels that are ranked together."""


class Density(abc.ABC):
    """How many weights remain where after a round.

    Attributes:
        name: what `--scope` calls it.
        help: what it is, for the flag's help.
        place: where it stands in lists.
    """

    name: str
    help: str
    place: int = 1_000

    def groups(self, rates: Mapping[str, float]) -> list[tuple[str, ...]]:
        """Returns the names of the kernels that are ranked together: here, each by itself.

        Args:
            rates: pruning rate of each prunable kernel, all above 0.
        """
        return [(name,) for name in rates]

    @abc.abstractmethod
    def keep(
        self, shapes: Mapping[str, tuple[int, ...]], rates: Mapping[str, float], left: Counts
    ) -> Counts:
        """Returns how many weights remain after a round.

        It is asked level after level from the dense network on, once before anything is trained,
        and again when masks are pruned; the same counts must give the same.

        Args:
            shapes: shape of each prunable kernel.
            rates: their pruning rates, all above 0.
            left: how many weights remain before the round, by the names of a group.

        Returns:
            A count for each group, none above the one before.

        Raises:
            UserError: if the rates do not fit.
        """

    def one_rate(self, rates: Mapping[str, float]) -> float:
        """Returns the rate that all prunable kernels have.

        Raises:
            UserError: if they have several.
        """
        found = sorted(set(rates.values()))
        if len(found) != 1:
            raise UserError(
                f"--scope={self.name}: must have one rate for all prunable kernels, not "
                f"{', '.join(f'{rate:g}' for rate in found)}; "
                "make --prune_conv, --prune_dense and --prune_output equal, or 0, or take "
                "--scope=layer"
            )
        return found[0]


class SharedDensity(Density):
    """One rate for all prunable kernels together, and a share of what remains for each.

    The shares do not depend on the weights. They are rounded so that their sum is exact and no
    kernel's grows from level to level (see `apportion`).
    """

    @abc.abstractmethod
    def share(self, shape: tuple[int, ...]) -> int:
        """Returns a kernel's share, in proportion to those of others."""

    def keep(
        self, shapes: Mapping[str, tuple[int, ...]], rates: Mapping[str, float], left: Counts
    ) -> Counts:
        """Divides what remains among the kernels by their shares."""
        total = sum(left.values())
        shares = {group: self.share(shapes[group[0]]) for group in left}
        return apportion(shares, left, total - round(self.one_rate(rates) * total))


DENSITIES: Registry[type[Density]] = Registry("scope", __name__)
