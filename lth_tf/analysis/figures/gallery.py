"""The gallery: which figures a report has, with their names, titles and captions."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from lth_tf.analysis.figures.level_figures import draw_curves, draw_layers, draw_losses
from lth_tf.analysis.figures.lines import (
    Frame,
    Line,
    arm_lines,
    draw_quantity,
    frame_of,
    framed_points,
    name_of,
    paper_lines,
)
from lth_tf.analysis.figures.points import (
    AT_EARLY_STOP,
    AT_END,
    CURVE,
    EARLY_STOP,
    LAYER,
    LOSSES,
    Point,
    common_marks,
)
from lth_tf.metric import Metric
from lth_tf.paper.published import published
from lth_tf.runs.results import (
    TRAIN_AT_EARLY_STOP,
    TRAIN_AT_END,
    UNTRAINED,
    VALIDATION_AT_EARLY_STOP,
    at_mark,
)
from lth_tf.runs.run import Run

BANDS = "Means; bands from minimum to maximum."


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Attributes:
        name: of its files, without their endings.
        title: what it shows.
        caption: how to read it.
        draw: makes the figure, in the context `canvas.style()`.
        leads: whether it carries the verdict, and stands beside it.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[], Figure]
    leads: bool = False


def pictures_of(
    run: Run, points: Sequence[Point], paper: Sequence[Point], by_marks: bool
) -> list[Picture]:
    """Lists a run's figures, those that carry the verdict first; without any that have no data.

    Args:
        run: the run.
        points: its points.
        paper: the paper's points for the same setting.
        by_marks: whether it is judged at its marks, not at early stopping.
    """
    if not points:
        return []
    known = {point.quantity for point in points}
    judged = judged_quantities(run, by_marks)
    pictures = [
        dataclasses.replace(against_density(run, points, paper, quantity), leads=quantity in judged)
        for quantity in quantities_of(run, by_marks)
        if quantity in known
    ]
    if CURVE in known:
        pictures.append(_curves(run, points))
    if known & {*LOSSES}:
        pictures.append(_losses(run, points))
    if any(point.quantity.startswith(LAYER) and point.level for point in points):
        pictures.append(
            Picture(
                f"{run.slug}-layers",
                "Density of each layer",
                f"What is left of each layer's weights, first layer to last. {BANDS}",
                functools.partial(draw_layers, points),
            )
        )
    return pictures


def judged_quantities(run: Run, by_marks: bool) -> list[str]:
    """Lists what the verdict is on: early stopping, or the metric at the marks.

    Args:
        run: the run.
        by_marks: whether it is judged at its marks, not at early stopping.
    """
    at_marks = [at_mark(mark) for mark in common_marks(run.results)]
    return at_marks if by_marks else [EARLY_STOP, AT_EARLY_STOP]


def quantities_of(run: Run, by_marks: bool) -> list[str]:
    """Lists what is drawn against density, what the verdict is on first.

    What belongs to the end of training, and to early stopping, stands side by side (Figures 4, 5,
    12 and 13).

    Args:
        run: the run.
        by_marks: whether it is judged at its marks, not at early stopping.
    """
    judged = judged_quantities(run, by_marks)
    if by_marks:
        ends = {at_mark(result.iterations) for result in run.results} <= {*judged}
        return [*judged, *([] if ends else [AT_END]), TRAIN_AT_END, UNTRAINED]
    others = [AT_END, TRAIN_AT_END, TRAIN_AT_EARLY_STOP, VALIDATION_AT_EARLY_STOP]
    return [*judged, *others, *map(at_mark, common_marks(run.results)), UNTRAINED]


def against_density(
    run: Run, points: Sequence[Point], paper: Sequence[Point], quantity: str
) -> Picture:
    """Returns the figure of a quantity against the density: the paper's curves.

    Args:
        run: the run.
        points: its points.
        paper: the paper's points for the same setting.
        quantity: a column of results.csv.
    """
    draws = run.experiment.reinits
    lines = [*arm_lines(points, quantity, draws), *paper_lines(paper, quantity)]
    frame = frame_for(lines, points, quantity, run.metric)
    caption = BANDS + outside(frame, run.metric)
    if quantity in (TRAIN_AT_EARLY_STOP, TRAIN_AT_END):
        caption += " Of all training examples, or of a sample of 10,000."
    if quantity == UNTRAINED:
        caption += " Of the network that each training started from."
    if any(point.quantity == quantity for point in paper):
        caption += _of_paper(run)
    return Picture(
        f"{run.slug}-{file_name(quantity, run.metric)}",
        _title(name_of(quantity, run.metric)),
        caption,
        functools.partial(draw_quantity, lines, quantity, frame, run.metric),
    )


def file_name(quantity: str, metric: Metric) -> str:
    """Returns a quantity's name, which is that of a column, with what the column holds.

    Args:
        quantity: a column of results.csv that is plotted.
        metric: what the accuracies are.
    """
    return quantity.replace("accuracy", metric.slug)


def frame_for(
    lines: Sequence[Line], points: Sequence[Point], quantity: str, metric: Metric
) -> Frame | None:
    """Returns an axis of accuracies; marks share theirs, as in the paper, so that they compare.

    Args:
        lines: what is drawn.
        points: all points of the run.
        quantity: a column of results.csv that is plotted.
        metric: what the accuracies are.
    """
    if quantity == EARLY_STOP:
        return None
    if quantity == UNTRAINED and metric.is_fraction:  # the dense network's chance is what counts
        return Frame(0.0, 1.0, cuts=False)
    drawn = framed_points(lines)
    if _is_mark(quantity):
        drawn = [point for point in points if _is_mark(point.quantity)]
    return frame_of(drawn, metric)


def _is_mark(quantity: str) -> bool:
    return quantity == at_mark(quantity.rpartition("_")[2])


def outside(frame: Frame | None, metric: Metric) -> str:
    """Says that something worse lies outside the frame, if it does.

    Args:
        frame: the part of the axis that is shown; None for all of it.
        metric: what the accuracies are.
    """
    if not frame or not frame.cuts:
        return ""
    where, end = ("below", frame.low) if metric.higher_is_better else ("above", frame.high)
    end = f"{metric.short(end)}{metric.unit}"
    return f" What is {where} {end} is outside the frame; levels.csv has it."


def _of_paper(run: Run) -> str:
    entry = published(run.experiment)
    text = f" The thin line has the paper's numbers for this setting, {entry.read_off}"
    from_paper, here = entry.iterations, run.experiment.recipe.iterations
    differ = f"; it trained for {from_paper:,} iterations, this run for {here:,}"
    return f"{text}{differ if from_paper != here else ''}."


def _curves(run: Run, points: Sequence[Point]) -> Picture:
    change = "rise" if run.metric.higher_is_better else "fall"
    caption = (
        "Solid: tickets; dotted: the same masks with fresh weights; dashed: the dense network. "
        "Means, and bands from minimum to maximum of tickets and dense network. Validation "
        f"examples, as the test set is not measured at every evaluation. The first {change} is "
        "outside the frame."
    )
    return Picture(
        f"{run.slug}-{run.metric.slug}_over_iterations",
        _title(f"{run.metric.label} over iterations"),
        caption,
        functools.partial(draw_curves, points, run.metric, run.experiment.reinits),
    )


def _losses(run: Run, points: Sequence[Point]) -> Picture:
    return Picture(
        f"{run.slug}-losses",
        "Loss over iterations",
        "Solid: tickets; dashed: the dense network. Early stopping is where the validation loss is "
        f"lowest; the training loss is the mean since the evaluation before. {BANDS}",
        functools.partial(draw_losses, points),
    )


def _title(text: str) -> str:
    return text[0].upper() + text[1:]
