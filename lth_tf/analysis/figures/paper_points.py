"""The paper's numbers as points, to be drawn and tabled beside a run's."""

from collections.abc import Sequence

from lth_tf.analysis.figures.points import Point
from lth_tf.paper.published import published
from lth_tf.runs.experiment import Experiment

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
            arm="ticket" if density < 1 else "dense",
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
    """Returns the paper's number at a density, or one within 2% of it.

    Args:
        experiment: says which setting of the paper.
        quantity: a column of results.csv that is plotted.
        density: a fraction.
    """
    near = [
        point.mean
        for point in paper_points(experiment)
        if point.quantity == quantity and abs(point.density / density - 1) < 0.02
    ]
    return near[0] if near else None
