"""The paper's numbers as points, to be drawn and tabled beside a run's."""

from collections.abc import Sequence

from lth_tf.analysis.figures.points import Point
from lth_tf.paper.published import published
from lth_tf.runs.experiment import DENSE, TICKET, Experiment

PAPER = "paper"
_TRIALS = 5


def paper_points(experiment: Experiment) -> Sequence[Point]:
    """Returns the numbers of `published` as points, means of the paper's five trials."""
    entry = published(experiment)
    return [
        Point(
            run=PAPER,
            level=None,
            density=density,
            arm=TICKET if density < 1 else DENSE,
            quantity=quantity,
            iteration=None,
            n=_TRIALS,
            mean=value,
            min=None,
            max=None,
        )
        for quantity, values in (entry.numbers if entry else {}).items()
        for density, value in values.items()
    ]


def paper_value(experiment: Experiment, quantity: str, density: float) -> float | None:
    """Returns the paper's number at a density, or one within 4% of it.

    The paper's densities have two or three digits: 1.9% is its level of 1.85%.

    Args:
        experiment: says which setting of the paper.
        quantity: a column of results.csv that is plotted.
        density: a fraction.
    """
    near = [
        point.mean
        for point in paper_points(experiment)
        if point.quantity == quantity and abs(point.density / density - 1) < 0.04
    ]
    return near[0] if near else None
