"""Comparisons: figures that show several runs of a network on a data set together."""

import dataclasses
import functools
import itertools
import re
from collections.abc import Sequence

from lth_tf.analysis.figures import canvas
from lth_tf.analysis.figures.arm_styles import in_order, label_of, style_of
from lth_tf.analysis.figures.gallery import (
    BANDS,
    Picture,
    file_name,
    frame_for,
    judged_quantities,
    outside,
    quantities_of,
)
from lth_tf.analysis.figures.lines import Line, count_of, draw_quantity, name_of
from lth_tf.analysis.figures.points import EARLY_STOP, Point
from lth_tf.analysis.figures.search_cost import search_costs
from lth_tf.paper.recipes import differences, plain
from lth_tf.runs.experiment import DENSE, TICKET
from lth_tf.runs.run import Run


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
    points = [point for point in points if point.level is not None]  # the paper's are no run's
    marked = {run.name: flag for run, flag in zip(runs, by_marks, strict=True)}
    pictures = []
    for (model, dataset), members in itertools.groupby(
        sorted((run for run in runs if run.results), key=lambda run: setting[run.name]),
        key=lambda run: setting[run.name],
    ):
        group = list(members)
        if len(group) > 1:
            flag = all(marked[run.name] for run in group)
            shared = [q for q in quantities_of(group[0], flag) if _comparable(group, points, q)]
            pictures += [_comparison(group, points, q, model, dataset) for q in shared]
            judged = [q for q in judged_quantities(group[0], flag) if q in shared]
            if judged and judged[-1] != EARLY_STOP:
                place, metric = _place(model, dataset), group[0].metric
                pictures += search_costs(points, labels(group), judged[-1], place, metric)
            if len({_size(run) for run in group}) > 1:
                pictures += [
                    _comparison(group, points, q, model, dataset, by_weights=True) for q in judged
                ]
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
    return f"{name.replace('_', ' ')} {plain(value)}"


def _comparable(runs: Sequence[Run], points: Sequence[Point], quantity: str) -> bool:
    """Says whether all runs have a quantity, and by the same metric."""
    have = {point.run for point in points if point.quantity == quantity}
    same = quantity == EARLY_STOP or len({run.metric for run in runs}) == 1
    return same and all(run.name in have for run in runs)


def _comparison(
    runs: Sequence[Run],
    points: Sequence[Point],
    quantity: str,
    model: str,
    dataset: str,
    by_weights: bool = False,
) -> Picture:
    """Returns a quantity of all runs against density, or the number of weights (Figure 31)."""
    metric = runs[0].metric
    chosen = [point for point in points if point.run in {run.name for run in runs}]
    lines = _run_lines(runs, [point for point in chosen if point.quantity == quantity])
    name, title = file_name(quantity, metric), name_of(quantity, metric)
    if by_weights:
        sizes = {run.name: _size(run) for run in runs}
        lines = [
            dataclasses.replace(line, size=sizes[line.points[0].run]) if line.points else line
            for line in lines
        ]
        name, title = f"{name}_by_weights", f"{title} by number of weights"
    frame = frame_for(lines, chosen, quantity, metric)
    return Picture(
        f"compare-{_place(model, dataset)}-{name}",
        f"{model} on {dataset}: {title}",
        f"Tickets of each run, from its dense network on; dotted and hollow: "
        f"its controls. {BANDS[:-1]} of tickets." + outside(frame, metric),
        functools.partial(draw_quantity, lines, quantity, frame, metric),
    )


def _place(model: str, dataset: str) -> str:
    return re.sub(r"[^\w.-]+", "_", f"{model}-{dataset}", flags=re.ASCII)


def _size(run: Run) -> int:
    """Returns the kernel weights of a run's dense network."""
    result = run.results[0]
    return round(result.remaining / result.density)


def _run_lines(runs: Sequence[Run], points: Sequence[Point]) -> list[Line]:
    """Returns a line for each run's tickets and, dotted in the same colour, for its controls."""
    called = labels(runs)
    lines = []
    controls = in_order({point.arm for point in points} - {DENSE, TICKET})
    for place, run in enumerate(runs):
        of_run = [point for point in points if point.run == run.name]
        dense = [point for point in of_run if point.arm == DENSE]
        style = canvas.look(place)
        tickets = [point for point in of_run if point.arm == TICKET]
        count = count_of([*dense, *tickets])
        lines.append(Line(canvas.visible(called[run.name]), [*dense, *tickets], style, count=count))
        for arm in controls:
            of_arm = [point for point in of_run if point.arm == arm]
            if of_arm:
                before = dense if of_arm[0].level else []
                hollow = _hollow(arm, style["color"])
                lines.append(Line("", [*before, *of_arm], hollow, banded=False))
    return lines + [Line(label_of(arm), [], _hollow(arm, canvas.GREY)) for arm in controls]


def _hollow(arm: str, colour: str) -> dict[str, object]:
    """Returns the style of a control's line: its marker is the arm's, its colour the run's."""
    hollow = {"linestyle": ":", "markerfacecolor": canvas.SURFACE}
    return {**style_of(arm), "color": colour, **hollow}
