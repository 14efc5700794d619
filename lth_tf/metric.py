"""Metric: what the columns of accuracies hold, and how a person reads its values.

It is accuracy, unless a user's model is judged by something else.
"""

import dataclasses
import re

from lth_tf.errors import UserError

# Names of Keras's metrics and losses, and a few that everybody uses, as Keras writes them. In
# Keras 2 the metric cosine_proximity is the similarity itself, not its negative as in Keras 1.
_HIGHER = """
accuracy acc binary_accuracy categorical_accuracy sparse_categorical_accuracy
top_k_categorical_accuracy sparse_top_k_categorical_accuracy
auc precision recall f1_score fbeta_score precision_at_recall recall_at_precision
sensitivity_at_specificity specificity_at_sensitivity true_positives true_negatives
io_u binary_io_u mean_io_u one_hot_io_u one_hot_mean_io_u
r2_score cosine_similarity cosine_proximity
"""
_LOWER = """
loss mean_absolute_error mae mean_squared_error mse root_mean_squared_error rmse
mean_absolute_percentage_error mape mean_squared_logarithmic_error msle mean_relative_error
log_cosh log_cosh_error huber huber_loss
crossentropy ce binary_crossentropy categorical_crossentropy sparse_categorical_crossentropy
binary_focal_crossentropy categorical_focal_crossentropy
kullback_leibler_divergence kl_divergence kld hinge squared_hinge categorical_hinge poisson
false_positives false_negatives brier_score perplexity
"""


def _plain_name(name: str) -> str:
    """Returns what Keras's spellings of a name share: AUC and auc_1, MeanIoU and mean_io_u."""
    return re.sub(r"_\d+$", "", name).replace("_", "").lower()


_HIGHER_IS_BETTER = {
    _plain_name(name): higher
    for names, higher in ((_HIGHER, True), (_LOWER, False))
    for name in names.split()
}


def known_direction(name: str) -> bool | None:
    """Says whether more of a metric that Keras knows is better; None of a name that is not known.

    Args:
        name: as Keras has it: of a metric, perhaps with a number behind it, or of its class.
    """
    return _HIGHER_IS_BETTER.get(_plain_name(name))


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
    def named(cls, name: str, higher_is_better: bool | None = None) -> "Metric":
        """Returns the metric of a name.

        Args:
            name: its name.
            higher_is_better: whether more of it is better; None if Keras's names are to tell.

        Raises:
            UserError: if neither says whether more of it is better.
        """
        if higher_is_better is None:
            higher_is_better = known_direction(name)
        if higher_is_better is None:
            raise UserError(
                f"metric {name}: it must be said whether more of it is better, by "
                "higher_is_better=True or False (--higher_is_better or --nohigher_is_better), as "
                "it is none of Keras's names"
            )
        return cls(name, higher_is_better)

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
        """Its name as part of a file's name."""
        return re.sub(r"[^\w.-]+", "_", self.name, flags=re.ASCII)

    @property
    def tag(self) -> str:
        """Its name among TensorBoard's tags and in columns, where the losses have theirs."""
        return "mean_loss" if self.name == "loss" else self.slug

    def column(self, quantity: str) -> str:
        """Returns what files call a column of accuracies; other columns keep their names.

        It has this metric's name, if that is no accuracy. The mean loss of a set of examples has a
        name of its own, as other columns hold losses.

        Args:
            quantity: the column's name of a network that is judged by accuracy, as in
                "test_accuracy_final".
        """
        return _renamed(quantity, "accuracy", self._in_columns)

    def quantity(self, column: str) -> str:
        """Returns which column of accuracies a file's column is: the inverse of `column`.

        Args:
            column: as the file has it. Files of earlier versions say accuracy whatever it is.
        """
        return _renamed(column, self._in_columns, "accuracy")

    @property
    def _in_columns(self) -> str:
        return "accuracy" if self.is_fraction else self.tag

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
        """Says which difference of two is positive where the first is better.

        Args:
            one: the name of the first.
            other: the name of the second.
        """
        first, second = (one, other) if self.higher_is_better else (other, one)
        return f"{first} minus {second}"

    def number(self, value: float) -> str:
        """Writes a value for a column whose header has the unit."""
        return f"{100 * value:.2f}" if self.is_fraction else _plain(value, 4)

    def text(self, value: float, decimals: int = 2) -> str:
        """Writes a value with its unit, per cent with so many decimals.

        Args:
            value: a fraction, or in the metric's own unit.
            decimals: digits behind the point of per cents.
        """
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


def _renamed(column: str, before: str, after: str) -> str:
    """Renames what a column has of a set of examples."""
    return re.sub(rf"^(train|validation|test)_{re.escape(before)}(?=_|$)", rf"\1_{after}", column)


def _plain(value: float, digits: int, sign: str = "") -> str:
    """Writes a number in so many digits, or with all that it has before the point."""
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:{sign},.0f}"
    return f"{value:{sign}z#.{digits}g}".removesuffix(".")
