"""Metric: what the columns of accuracies hold, and how a person reads its values.

It is accuracy, unless a user's model is judged by something else.
"""

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

    @property
    def label(self) -> str:
        """Its name in a text."""
        return self.name.replace("_", " ")

    @property
    def slug(self) -> str:
        """Its name as part of a file's name or a tag."""
        return re.sub(r"[^\w.-]+", "_", self.name, flags=re.ASCII)

    @property
    def scale(self) -> int:
        """What its values are multiplied by where they are shown."""
        return 100 if self.is_fraction else 1

    @property
    def unit(self) -> str:
        """What stands behind a value."""
        return "%" if self.is_fraction else ""

    @property
    def points(self) -> str:
        """What stands behind a difference of two values."""
        return " points" if self.is_fraction else ""

    def gain(self, value: float) -> float:
        """Returns a value such that more is better."""
        return value if self.higher_is_better else -value

    def minus(self, one: str, other: str) -> str:
        """Says which difference of two is positive where the first is better."""
        first, second = (one, other) if self.higher_is_better else (other, one)
        return f"{first} minus {second}"

    def number(self, value: float) -> str:
        """Writes a value for a column whose header has the unit."""
        return f"{100 * value:.2f}" if self.is_fraction else _plain(value, 4)

    def text(self, value: float, decimals: int = 2) -> str:
        """Writes a value with its unit, per cent with so many decimals."""
        return f"{value:.{decimals}%}" if self.is_fraction else _plain(value, 4)

    def short(self, value: float) -> str:
        """Writes a value, or a margin, in three digits and without its unit."""
        return f"{100 * value:.3g}" if self.is_fraction else _plain(value, 3)

    def difference(self, value: float) -> str:
        """Writes a difference, with its sign and without its unit."""
        return f"{100 * value:+z.2f}" if self.is_fraction else _plain(value, 3, "+")


ACCURACY = Metric()


def percent(share: float) -> str:
    """Writes a share, such as a density, in per cent with three digits."""
    return f"{100 * share:.3g}%"


def _plain(value: float, digits: int, sign: str = "") -> str:
    """Writes a number in so many digits, or with all that it has before the point."""
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:{sign},.0f}"
    return f"{value:{sign}z#.{digits}g}".removesuffix(".")
