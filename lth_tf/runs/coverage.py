"""Coverage: how many of a network's kernel weights have masks, and which layers have none.

A density is of what may be pruned. Of a network whose layers are mostly others, it says little.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from lth_tf.metric import percent

_LISTED = 6
_LITTLE = 0.5


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How many of a network's kernel weights have masks.

    Attributes:
        masked: the kernel weights that have masks, which densities are of.
        all: all kernel weights: those of two or more axes that are no biases.
        left_out: the layers that have kernels without masks, each with its class.
    """

    masked: int
    all: int
    left_out: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Coverage":
        """Returns what `vars` of one was."""
        return cls(fields["masked"], fields["all"], tuple(fields["left_out"]))

    @property
    def is_whole(self) -> bool:
        """Whether all kernel weights have masks."""
        return self.masked == self.all

    @property
    def is_little(self) -> bool:
        """Whether most kernel weights have none."""
        return self.masked < _LITTLE * self.all

    def density_of_all(self, density: float) -> float:
        """Returns the share of all kernel weights that remain.

        Args:
            density: the share of those with masks.
        """
        return 1 - (1 - density) * self.masked / self.all

    @property
    def text(self) -> str:
        """What it is, in a sentence or two."""
        if self.is_whole:
            return f"Masks cover all {self.all:,} kernel weights."
        listed = ", ".join(self.left_out[:_LISTED])
        more = len(self.left_out) - _LISTED
        others = f" and {more} more" if more > 0 else ""
        text = (
            f"Masks cover {self.masked:,} of {self.all:,} kernel weights "
            f"({percent(self.masked / self.all)}); not pruned: {listed}{others}."
        )
        if self.is_little:
            text += " Most of the network is never pruned: densities are of the small part that is."
        return text
