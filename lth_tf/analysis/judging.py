"""Judging: is it a winning ticket?

The lottery ticket hypothesis (Section 1) says that a ticket reaches test accuracy a' >= a after
j' <= j iterations, a and j being the dense network's, at early stopping. Each replicate's ticket
is compared with its own dense network, and a level passes if the one-sided 95 % bounds of both
endpoints, a' - a and j'/j, are within margins that were set before. As both must pass, the two
tests need no correction (intersection-union). Levels are tested in fixed sequence, dense to sparse,
up to the first that does not pass, so that their number needs no correction either.

Deep networks are not stopped early: their accuracies at the marked iterations (Figures 7 and 8)
are compared instead, each mark an endpoint, and no iterations.

A network that is judged by another metric has that for its accuracy; differences of one that is
better the lower it is are a - a'.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence

from lth_tf.analysis.quantities import Quantity, at_early_stopping, at_mark
from lth_tf.analysis.statistics import Estimate, clopper_pearson, estimate, estimate_ratio
from lth_tf.analysis.verdict import Arm, Effect, Endpoint, LevelVerdict, Margins, Outcome, Verdict
from lth_tf.experiment.plan import kind_of
from lth_tf.experiment.results import Result
from lth_tf.metric import ACCURACY, Metric

# Digits after the point that differences keep: without the noise of floats behind them, accuracies
# as far apart as a margin are always at it, never by chance on either side.
_DIGITS = 12

_Draws = Mapping[int, Sequence[Result]]  # an arm's results by replicate


def judge(
    results: Sequence[Result],
    margins: Margins,
    grid: int,
    marks: Sequence[int] = (),
    metric: Metric = ACCURACY,
) -> Verdict:
    """Judges the tickets of an experiment.

    Args:
        results: finished trainings, in any order.
        margins: how much worse a ticket may be.
        grid: iterations between evaluations. The early-stopping iteration is known no better than
            that, so that one below it (0 even, which has no logarithm) counts as `grid`.
        marks: iterations at which accuracies are judged instead of at early stopping.
        metric: what the accuracies are.

    Raises:
        UserError: if a result has no test accuracy at a mark.
    """
    at_marks = [at_mark(mark, margins, metric) for mark in marks]
    quantities = at_marks or at_early_stopping(margins, grid, metric)
    groups = _by_kind(results)
    levels: list[LevelVerdict] = []
    for level in sorted(level for level, kind in groups if kind == "ticket"):
        tested = all(before.outcome.passes for before in levels)
        levels.append(_judge_level(groups, level, quantities, tested))
    dense = groups.get((0, "dense"))
    return Verdict(margins, tuple(levels), _arm(dense, quantities) if dense else None, metric)


def _by_kind(results: Sequence[Result]) -> dict[tuple[int, str], dict[int, list[Result]]]:
    """Groups results by level and kind of arm (its name without the draw), then by replicate."""
    groups: dict[tuple[int, str], dict[int, list[Result]]] = {}
    for result in sorted(results, key=lambda r: (r.level, r.arm, r.replicate)):
        group = groups.setdefault((result.level, kind_of(result.arm)), {})
        group.setdefault(result.replicate, []).append(result)
    return groups


def _judge_level(
    groups: Mapping[tuple[int, str], _Draws],
    level: int,
    quantities: Sequence[Quantity],
    tested: bool,
) -> LevelVerdict:
    arms: dict[str, _Draws] = {kind: draws for (n, kind), draws in groups.items() if n == level}
    ticket = arms["ticket"]
    dense = {r: draws for r, draws in groups.get((0, "dense"), {}).items() if r in ticket}
    endpoints = tuple(_endpoint(ticket, dense, quantity) for quantity in quantities if dense)
    outcomes = [endpoint.outcome for endpoint in endpoints]
    holding = _holding(ticket, dense, quantities)
    effects = _effects(arms, quantities)
    if dense:
        arms["dense"] = dense
    return LevelVerdict(
        level=level,
        density=next(iter(ticket.values()))[0].density,
        replicates=tuple(sorted(dense)),
        endpoints=endpoints,
        outcome=min(outcomes, key=list(Outcome).index, default=Outcome.NOT_ENOUGH),
        tested=tested,
        holding=holding,
        holding_interval=clopper_pearson(holding, len(dense)),
        effects=effects,
        arms={kind: _arm(draws, quantities) for kind, draws in arms.items()},
    )


def _holding(ticket: _Draws, dense: _Draws, quantities: Sequence[Quantity]) -> int:
    """Counts the replicates whose ticket is as good as the dense network in everything."""
    gains = [_gains(ticket, dense, quantity) for quantity in quantities]
    return sum(min(of_replicate) >= 0 for of_replicate in zip(*gains, strict=True))


def _effects(arms: Mapping[str, _Draws], quantities: Sequence[Quantity]) -> tuple[Effect, ...]:
    """Compares the ticket with each control that shares a replicate with it."""
    ticket = arms["ticket"]
    return tuple(
        _effect(ticket, draws, kind, quantity)
        for kind, draws in arms.items()
        if kind != "ticket" and ticket.keys() & draws.keys()
        for quantity in quantities
    )


def _endpoint(ticket: _Draws, dense: _Draws, quantity: Quantity) -> Endpoint:
    gains = _gains(ticket, dense, quantity)
    outcome = _outcome(estimate(gains), round(quantity.margin, _DIGITS))
    return Endpoint(quantity.name, quantity.is_ratio, _as_reported(gains, quantity), outcome)


def _effect(ticket: _Draws, control: _Draws, kind: str, quantity: Quantity) -> Effect:
    gains = _gains(ticket, control, quantity)
    lower = estimate(gains).lower
    return Effect(
        control=kind,
        name=quantity.name,
        is_ratio=quantity.is_ratio,
        replicates=tuple(sorted(ticket.keys() & control.keys())),
        estimate=_as_reported(gains, quantity),
        shown=lower is not None and lower > 0,
    )


def _arm(draws: _Draws, quantities: Sequence[Quantity]) -> Arm:
    replicates = tuple(sorted(draws))
    by_early_stopping = any(quantity.is_ratio for quantity in quantities)
    censored = [any(map(_is_censored, draws[r])) for r in replicates if by_early_stopping]
    return Arm(
        replicates=replicates,
        estimates={
            quantity.name: estimate([_mean(draws[r], quantity.measured) for r in replicates])
            for quantity in quantities
        },
        censored=sum(censored),
    )


def _gains(ticket: _Draws, other: _Draws, quantity: Quantity) -> list[float]:
    """Returns by how much the ticket's score is higher, in each replicate that has both."""
    return [
        round(_mean(ticket[r], quantity.score) - _mean(other[r], quantity.score), _DIGITS)
        for r in sorted(ticket.keys() & other.keys())
    ]


def _outcome(gain: Estimate, margin: float) -> Outcome:
    if gain.lower is None or gain.upper is None:
        return Outcome.NOT_ENOUGH
    if gain.lower >= 0:
        return Outcome.SUPERIOR
    if gain.lower > -margin:
        return Outcome.SUPPORTED
    return Outcome.REFUTED if gain.upper < -margin else Outcome.INCONCLUSIVE


def _as_reported(gains: Sequence[float], quantity: Quantity) -> Estimate:
    return estimate_ratio([-gain for gain in gains]) if quantity.is_ratio else estimate(gains)


def _is_censored(result: Result) -> bool:
    return result.early_stop_iteration == result.iterations


def _mean(draws: Sequence[Result], value: Callable[[Result], float]) -> float:
    return statistics.fmean(map(value, draws))
