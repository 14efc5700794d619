"""Tables of the report: the verdict and what it is made of, as text."""

from collections.abc import Callable, Sequence

from lth_tf.analysis.figures.arm_styles import in_order, label_of, note_of
from lth_tf.analysis.figures.lines import label
from lth_tf.analysis.figures.paper_points import paper_value
from lth_tf.analysis.figures.points import COUNTS, Point
from lth_tf.analysis.pages.table import Table
from lth_tf.analysis.verdict.statistics import Estimate
from lth_tf.analysis.verdict.verdict import Effect, Endpoint, LevelVerdict, Tested, Verdict
from lth_tf.metric import Metric, percent
from lth_tf.runs.experiment import DENSE, TICKET
from lth_tf.runs.run import Run

_NONE = "-"


def verdict_table(verdict: Verdict) -> Table:
    """Returns each level's verdict, with the estimates and bounds of both endpoints."""
    metric, subject = verdict.metric, verdict.subject
    headers = [_compared(e.name, e.is_ratio, "dense", verdict) for e in _endpoints(verdict)]
    rows = [
        [
            str(level.level),
            percent(level.density),
            str(level.outcome) if level.tested is not Tested.NOT else f"({level.outcome})",
            str(level.tested),
            *(_with_bounds(e.estimate, e.is_ratio, metric) for e in level.endpoints),
            *[_NONE] * (len(headers) - len(level.endpoints)),
            _holding(level),
        ]
        for level in verdict.levels
    ]
    note = (
        "In brackets beside the estimates: one-sided 95% bounds, lower and upper. The last column "
        f"counts the replicates whose {subject} is as good as their own dense network in "
        "everything, with the share's 95% Clopper-Pearson interval. Tested as claim: from the "
        f"first level with at most {percent(verdict.margins.claim_density)} of the weights to "
        "sparser ones, up to the first that does not pass. Tested as denser: from there upwards, "
        "in the same manner; no part of the claim. Verdicts in brackets were not tested, and are "
        "for information."
    )
    return Table(
        "Verdict by level",
        ["level", "weights remaining", "verdict", "tested as", *headers, f"{subject} as good in"],
        rows,
        note,
        [i for i, level in enumerate(verdict.levels) if level in verdict.claimed],
    )


def spread_table(verdict: Verdict) -> Table:
    """Returns each endpoint's own verdict, with the spread over the replicates."""
    endpoints, metric = _endpoints(verdict), verdict.metric
    columns = ["level", "weights remaining", "replicates"]
    for endpoint in endpoints:
        columns += [_compared(endpoint.name, endpoint.is_ratio, "dense", verdict), "its verdict"]
    rows = []
    for level in verdict.levels:
        row = [str(level.level), percent(level.density), str(len(level.replicates))]
        for endpoint in level.endpoints:
            outcome = f"{endpoint.outcome}{' *' if endpoint.censored else ''}"
            row += [_spread(endpoint.estimate, endpoint.is_ratio, metric), outcome]
        rows.append(row + [_NONE] * (len(columns) - len(row)))
    note = "Minimum to maximum over the replicates. A level's verdict is its weakest endpoint's."
    if any(endpoint.censored for level in verdict.levels for endpoint in level.endpoints):
        note += (
            f" * Every {verdict.subject}'s lowest validation loss, or every dense network's, is at "
            "the last evaluation: the true minimum may be later, and what the bounds would say is "
            "not known."
        )
    return Table("Each endpoint", columns, rows, note)


def effects_table(verdict: Verdict) -> Table | None:
    """Returns how tickets compare with the controls; None if there are no controls."""
    metric = verdict.metric
    names = list(dict.fromkeys((e.name, e.is_ratio) for v in verdict.levels for e in v.effects))
    controls = in_order({e.control for level in verdict.levels for e in level.effects})
    rows = []
    for level in verdict.levels:
        for control in controls:
            effects = {e.name: e for e in level.effects if e.control == control}
            if effects:
                count = str(len(next(iter(effects.values())).replicates))
                cells = [_effect(effects.get(name), metric) for name, _ in names]
                rows.append(
                    [str(level.level), percent(level.density), label_of(control), count, *cells]
                )
    note = (
        "The lottery effect, with one-sided 95% bounds, paired within replicates; a control's "
        f"draws are averaged first. It is shown where the bound is on the {verdict.subject}'s side."
    )
    note = " ".join([note, *filter(None, map(note_of, controls))])
    columns = ["level", "weights remaining", "control", "replicates"]
    columns += [_compared(name, is_ratio, "control", verdict) for name, is_ratio in names]
    title = f"{verdict.subject.capitalize()}s against controls"
    return Table(title, columns, rows, note) if rows else None


def measured_table(run: Run, points: Sequence[Point], verdict: Verdict) -> Table:
    """Returns what was measured of each level and arm, the paper's numbers beside it.

    Args:
        run: the run.
        points: its points against density.
        verdict: its verdict, which knows of minima at the last evaluation.
    """
    quantities = list(dict.fromkeys(point.quantity for point in points))
    cells = {(p.level, p.arm, p.quantity): p for p in points}
    published = [
        q for q in quantities if any(_of_paper(run, p, q) for p in points if p.quantity == q)
    ]
    rows = []
    for level, arm in dict.fromkeys((p.level, p.arm) for p in points):
        first = next(p for p in points if (p.level, p.arm) == (level, arm))
        rows.append(
            [
                str(level),
                percent(first.density),
                arm.replace("_", " "),
                str(first.n),
                *(_measured(cells.get((level, arm, q)), run.metric) for q in quantities),
                *(_of_paper(run, cells[level, arm, quantity], quantity) for quantity in published),
                _censored(verdict, level, arm),
            ]
        )
    columns = ["level", "weights remaining", "arm", "trainings"]
    columns += [label(quantity, run.metric) for quantity in quantities]
    columns += [f"the paper's {label(quantity, run.metric)}" for quantity in published]
    note = "Means, and minimum to maximum over trainings."
    if any(row[-1] for row in rows):
        columns.append("minimum at the end")
        note += (
            " The last column counts replicates whose lowest validation loss is at the last "
            "evaluation, so that the true minimum may be later."
        )
    else:
        rows = [row[:-1] for row in rows]
    return Table("Measured", columns, rows, note)


def _endpoints(verdict: Verdict) -> Sequence[Endpoint]:
    return max((level.endpoints for level in verdict.levels), key=len, default=())


def _compared(name: str, is_ratio: bool, other: str, verdict: Verdict) -> str:
    if is_ratio:
        return f"{name}, {verdict.subject} / {other}"
    metric = verdict.metric
    unit = f" ({metric.points.strip()})" if metric.points else ""
    return f"{name}, {metric.minus(verdict.subject, other)}{unit}"


def _change(is_ratio: bool, metric: Metric) -> Callable[[float], str]:
    return "{:.2f}".format if is_ratio else metric.difference


def _effect(effect: Effect | None, metric: Metric) -> str:
    if effect is None:
        return _NONE
    text = _with_bounds(effect.estimate, effect.is_ratio, metric)
    return text + (", shown" if effect.shown else "")


def _with_bounds(found: Estimate, is_ratio: bool, metric: Metric) -> str:
    say = _change(is_ratio, metric)
    if found.lower is None or found.upper is None:
        return say(found.mean)
    return f"{say(found.mean)} ({say(found.lower)} to {say(found.upper)})"


def _spread(found: Estimate, is_ratio: bool, metric: Metric) -> str:
    say = _change(is_ratio, metric)
    if len(found.values) == 1:
        return say(found.mean)
    return f"{say(found.minimum)} to {say(found.maximum)}"


def _holding(level: LevelVerdict) -> str:
    low, high = level.holding_interval
    count = len(level.replicates)
    return f"{level.holding} of {count} ({100 * low:.0f} to {100 * high:.0f}%)"


def _measured(point: Point | None, metric: Metric) -> str:
    if point is None:
        return _NONE
    say = _value(point.quantity, metric)
    if point.n == 1:
        return say(point.mean)
    return f"{say(point.mean)} ({say(point.min)} to {say(point.max)})"


def _value(quantity: str, metric: Metric) -> Callable[[float], str]:
    return "{:,.0f}".format if quantity in COUNTS else metric.number


def _of_paper(run: Run, point: Point, quantity: str) -> str:
    if point.arm not in (DENSE, TICKET):
        return ""
    value = paper_value(run.experiment, quantity, point.density)
    return "" if value is None else _value(quantity, run.metric)(value)


def _censored(verdict: Verdict, level: int, arm: str) -> str:
    found = [v.arms.get(arm) for v in verdict.levels if v.level == level]
    measured = verdict.dense if arm == DENSE else next(iter(found), None)
    if measured is None:
        return ""
    return f"{measured.censored} of {len(measured.replicates)}" if measured.censored else ""
