"""The gallery: which figures a report has, with their names, titles and captions."""

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from lth_tf.analysis import canvas
from lth_tf.analysis.curves import Run
from lth_tf.analysis.figures import (
    Frame,
    Line,
    arm_lines,
    draw_quantity,
    frame_of,
    framed_points,
    label,
    paper_lines,
)
from lth_tf.analysis.level_figures import draw_curves, draw_layers
from lth_tf.analysis.levels import (
    AT_EARLY_STOP,
    AT_END,
    CURVE,
    EARLY_STOP,
    LAYER,
    Point,
    at_mark,
    common_marks,
)
from lth_tf.analysis.paper import differences, published

_BARS = "Means; bars from minimum to maximum."


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Attributes:
        name: of its files, without their endings.
        title: what it shows.
        caption: how to read it.
        draw: makes the figure, in the context `canvas.style()`.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[], Figure]


def pictures_of(
    run: Run, points: Sequence[Point], paper: Sequence[Point], by_marks: bool
) -> list[Picture]:
    """Lists a run's figures; those that nothing is known for are left out.

    Args:
        run: the run.
        points: its points.
        paper: the paper's points for the same setting.
        by_marks: whether it is judged at its marks, not at early stopping.
    """
    if not points:
        return []
    pictures = [
        _against_density(run, points, paper, quantity) for quantity in _quantities(run, by_marks)
    ]
    if any(point.quantity == CURVE for point in points):
        pictures.append(_curves(run, points))
    if any(point.quantity.startswith(LAYER) and point.level for point in points):
        pictures.append(
            Picture(
                f"{run.slug}-layers",
                "Density of each layer",
                f"What is left of each layer's weights, first layer to last. {_BARS}",
                functools.partial(draw_layers, points),
            )
        )
    return pictures


def comparisons(
    runs: Sequence[Run], points: Sequence[Point], by_marks: Sequence[bool]
) -> list[Picture]:
    """Lists the figures that show several runs of a network on a data set together.

    Args:
        runs: all runs.
        points: those of all runs.
        by_marks: for each run, whether it is judged at its marks.
    """
    setting = {
        run.name: (run.experiment.recipe.model, run.experiment.recipe.dataset) for run in runs
    }
    marked = {run.name: flag for run, flag in zip(runs, by_marks, strict=True)}
    pictures = []
    for (model, dataset), members in itertools.groupby(
        sorted((run for run in runs if run.results), key=lambda run: setting[run.name]),
        key=lambda run: setting[run.name],
    ):
        group = list(members)
        if len(group) > 1:
            flag = all(marked[run.name] for run in group)
            shared = [q for q in _quantities(group[0], flag) if _all_have(group, points, q)]
            pictures += [_comparison(group, points, q, model, dataset) for q in shared]
    return pictures


def labels(runs: Sequence[Run]) -> dict[str, str]:
    """Names runs by what distinguishes them, or else by their folders."""
    fields = {
        name: None
        for one, other in itertools.combinations(runs, 2)
        for name in differences(one.experiment.recipe, other.experiment.recipe)
    }
    if len({run.experiment.strategy for run in runs}) > 1:
        fields = {"strategy": None, **fields}
    found = {run.name: ", ".join(filter(None, (_said(run, f) for f in fields))) for run in runs}
    telling = len({*found.values()} - {""}) == len(runs) and len(fields) <= 3
    return found if telling else {run.name: run.name for run in runs}


def _said(run: Run, name: str) -> str:
    if name == "strategy":
        return run.experiment.strategy.replace("_", "-")
    value = getattr(run.experiment.recipe, name)
    if not value:
        return ""
    plain = f"{value:,}" if isinstance(value, int) else str(value)
    return f"{name.replace('_', ' ')} {plain}"


def _quantities(run: Run, by_marks: bool) -> list[str]:
    marks = common_marks(run.results)
    at_marks = [at_mark(mark) for mark in marks]
    if not by_marks:
        return [EARLY_STOP, AT_EARLY_STOP, AT_END, *at_marks]
    ends = {result.iterations for result in run.results} <= set(marks)
    return at_marks if ends else [*at_marks, AT_END]


def _all_have(runs: Sequence[Run], points: Sequence[Point], quantity: str) -> bool:
    have = {point.run for point in points if point.quantity == quantity}
    return all(run.name in have for run in runs)


def _against_density(
    run: Run, points: Sequence[Point], paper: Sequence[Point], quantity: str
) -> Picture:
    lines = [*arm_lines(points, quantity), *paper_lines(paper, quantity)]
    frame = _frame(lines, points, quantity)
    caption = _BARS + _outside(frame)
    if any(point.quantity == quantity for point in paper):
        caption += _of_paper(run)
    return Picture(
        f"{run.slug}-{quantity}",
        _title(quantity),
        caption,
        functools.partial(draw_quantity, lines, quantity, frame),
    )


def _frame(lines: Sequence[Line], points: Sequence[Point], quantity: str) -> Frame | None:
    """Returns an axis of accuracies; marks share theirs, as in the paper, so that they compare."""
    if quantity == EARLY_STOP:
        return None
    drawn = framed_points(lines)
    if _is_mark(quantity):
        drawn = [point for point in points if _is_mark(point.quantity)]
    return frame_of(drawn)


def _is_mark(quantity: str) -> bool:
    return quantity == at_mark(quantity.rpartition("_")[2])


def _outside(frame: Frame | None) -> str:
    if not frame or not frame.cuts:
        return ""
    return f" What is below {100 * frame.low:.3g}% is outside the frame; levels.csv has it."


def _of_paper(run: Run) -> str:
    entry = published(run.experiment)
    text = f" The thin line has the paper's numbers for this setting, {entry.read_off}"
    from_paper, here = entry.iterations, run.experiment.recipe.iterations
    differ = f"; it trained for {from_paper:,} iterations, this run for {here:,}"
    return f"{text}{differ if from_paper != here else ''}."


def _curves(run: Run, points: Sequence[Point]) -> Picture:
    caption = (
        "Solid: tickets; dotted: the same masks with fresh weights; dashed: the dense network. "
        "Means, and bands from minimum to maximum of tickets and dense network. Validation "
        "examples, as the test set is not measured at every evaluation. The first rise is outside "
        "the frame."
    )
    name = f"{run.slug}-accuracy_over_iterations"
    return Picture(
        name, "Accuracy over iterations", caption, functools.partial(draw_curves, points)
    )


def _comparison(
    runs: Sequence[Run], points: Sequence[Point], quantity: str, model: str, dataset: str
) -> Picture:
    chosen = [point for point in points if point.run in {run.name for run in runs}]
    lines = _run_lines(runs, [point for point in chosen if point.quantity == quantity])
    frame = _frame(lines, chosen, quantity)
    place = re.sub(r"[^\w.-]+", "_", f"{model}-{dataset}", flags=re.ASCII)
    return Picture(
        f"compare-{place}-{quantity}",
        f"{model} on {dataset}: {_title(quantity).lower()}",
        f"Tickets of each run, from its dense network on; dotted and hollow: random reinit. {_BARS}"
        + _outside(frame),
        functools.partial(draw_quantity, lines, quantity, frame),
    )


def _run_lines(runs: Sequence[Run], points: Sequence[Point]) -> list[Line]:
    """Returns a line for each run's tickets and, dotted in the same colour, for its reinits."""
    called = labels(runs)
    styles = itertools.cycle(zip(canvas.COLOURS, canvas.MARKERS, strict=True))
    hollow = {"linestyle": ":", "markerfacecolor": "white"}
    lines = []
    for run, (colour, marker) in zip(runs, styles, strict=False):
        for arm, extra in (("ticket", {}), ("reinit", hollow)):
            of_arm = [p for p in points if p.run == run.name and p.arm in ("dense", arm)]
            if arm == "ticket" or any(point.arm == arm for point in of_arm):
                style = {"color": colour, "marker": marker, **extra}
                lines.append(Line(called[run.name] if arm == "ticket" else "", of_arm, style))
    if any(point.arm == "reinit" for point in points):
        lines.append(Line("random reinit", [], {"color": canvas.GREY, "marker": "o", **hollow}))
    return lines


def _title(quantity: str) -> str:
    text = label(quantity).removesuffix(" (%)")
    return text[0].upper() + text[1:]
