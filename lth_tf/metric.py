"""Metric: what the columns of accuracies hold, where a user's model is not judged by accuracy."""

import dataclasses
import re

# Words in the names of Keras's metrics that are better the lower they are.
_LOWER = re.compile(r"error|loss|mae|mse|mape|msle|entropy|hinge|divergence|poisson|false")


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        name: its name, as Keras has it.
        higher_is_better: whether more of it is better.
    """

    name: str = "accuracy"
    higher_is_better: bool = True

    @classmethod
    def named(cls, name: str) -> "Metric":
        """Returns the metric of a name, which tells whether it is an error or a success."""
        return cls(name, not _LOWER.search(name.lower()))

    @property
    def is_fraction(self) -> bool:
        """Whether it is a share of the examples, and reads best in per cent."""
        return "accuracy" in self.name or self.name == "acc"
