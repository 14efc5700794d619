"""Judging: is it a winning ticket?

The lottery ticket hypothesis (Section 1) says that a ticket reaches test accuracy a' >= a after
j' <= j iterations, a and j being the dense network's, at early stopping. Each replicate's ticket
is compared with its own dense network, and a level passes if the one-sided 95 % bounds of both
endpoints, a' - a and j'/j, are within margins that were set before. As both must pass, the two
tests need no correction (intersection-union). `lth_tf.analysis.verdict.sequence`
says in which order levels are tested.

A training whose lowest validation loss is at its last evaluation might have gone on to a lower one:
its iteration is censored, the true one is later. Where all tickets of a level are so, j' is later
than it seems, and they cannot pass; where all dense networks are, j is, and they cannot be refuted.

Deep networks are not stopped early: their accuracies at the marked iterations (Figures 7 and 8)
are compared instead, each mark an endpoint, and no iterations.

A network that is judged by another metric has that for its accuracy; differences of one that is
better the lower it is are a - a'.

Networks that keep their trained weights have been trained longer than the dense network: j' counts
the iterations of the trainings before as well.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence

from lth_tf.analysis.verdict.quantities import Earlier, Quantity, at_early_stopping, at_mark
from lth_tf.analysis.verdict.sequence import in_sequence
from lth_tf.analysis.verdict.statistics import Estimate, clopper_pearson, estimate, estimate_ratio
from lth_tf.analysis.verdict.verdict import (
    Arm,
    Effect,
    Endpoint,
    LevelVerdict,
    Margins,
    Outcome,
    Tested,
    Verdict,
)
from lth_tf.metric import ACCURACY, Metric
from lth_tf.runs.experiment import DENSE, TICKET, kind_of
from lth_tf.runs.results import Result

# Digits that differences are rounded to. Accuracies as far apart as a margin are then always at it,
# whatever the rounding errors of floats.
_DIGITS = 12

_Draws = Mapping[int, Sequence[Result]]  # an arm's results by replicate


def judge(
    results: Sequence[Result],
    margins: Margins,
    grid: int,
    marks: Sequence[int] = (),
    metric: Metric = ACCURACY,
    earlier: Earlier | None = None,
    prunes_while_training: bool = False,
) -> Verdict:
    """Judges the tickets of an experiment.

    Args:
        results: finished trainings, in any order.
        margins: how much worse a ticket may be, and where the claim begins.
        grid: iterations between evaluations. The early-stopping iteration is known no better than
            that, so that one below it (0 even, which has no logarithm) counts as `grid`.
        marks: iterations at which accuracies are judged instead of at early stopping.
        metric: what the accuracies are.
        earlier: where trained weights are kept: the iterations that a result's weights were trained
            for before; None where they go back to earlier ones.
        prunes_while_training: whether masks were made in the trainings that are judged.

    Raises:
        UserError: if a result has no test accuracy at a mark.
    """
    at_marks = [at_mark(mark, margins, metric) for mark in marks]
    quantities = at_marks or at_early_stopping(margins, grid, metric, earlier)
    groups = _by_kind(results)
    with_tickets = sorted(level for level, kind in groups if kind == TICKET)
    levels = [_judge_level(groups, level, quantities) for level in with_tickets]
    dense = groups.get((0, DENSE))
    return Verdict(
        margins=margins,
        levels=in_sequence(levels, margins.claim_density),
        dense=_arm(dense, quantities) if dense else None,
        metric=metric,
        keeps_weights=earlier is not None,
        prunes_while_training=prunes_while_training,
    )


def _by_kind(results: Sequence[Result]) -> dict[tuple[int, str], dict[int, list[Result]]]:
    """Groups results by level and kind of arm (its name without the draw), then by replicate."""
    groups: dict[tuple[int, str], dict[int, list[Result]]] = {}
    for result in sorted(results, key=lambda r: (r.level, r.arm, r.replicate)):
        group = groups.setdefault((result.level, kind_of(result.arm)), {})
        group.setdefault(result.replicate, []).append(result)
    return groups


def _judge_level(
    groups: Mapping[tuple[int, str], _Draws], level: int, quantities: Sequence[Quantity]
) -> LevelVerdict:
    arms: dict[str, _Draws] = {kind: draws for (n, kind), draws in groups.items() if n == level}
    ticket = arms[TICKET]
    dense = {r: draws for r, draws in groups.get((0, DENSE), {}).items() if r in ticket}
    endpoints = tuple(_endpoint(ticket, dense, quantity) for quantity in quantities if dense)
    outcomes = [endpoint.outcome for endpoint in endpoints]
    holding = _holding(ticket, dense, quantities)
    effects = _effects(arms, quantities)
    if dense:
        arms[DENSE] = dense
    return LevelVerdict(
        level=level,
        # Of replicates, as what is learned may differ; equal ones keep their bits in this mean.
        density=statistics.mean(draws[0].density for draws in ticket.values()),
        replicates=tuple(sorted(dense)),
        endpoints=endpoints,
        outcome=min(outcomes, key=list(Outcome).index, default=Outcome.NOT_ENOUGH),
        tested=Tested.NOT,
        holding=holding,
        holding_interval=clopper_pearson(holding, len(dense)),
        effects=effects,
        arms={kind: _arm(draws, quantities) for kind, draws in arms.items()},
    )


def _holding(ticket: _Draws, dense: _Draws, quantities: Sequence[Quantity]) -> int:
    """Counts the replicates whose ticket is known to be as good as the dense network in all."""
    gains = [_gains(ticket, dense, quantity) for quantity in quantities]
    known = [not _censored(ticket[r], quantities) for r in sorted(dense)]
    return sum(k and min(found) >= 0 for k, *found in zip(known, *gains, strict=True))


def _effects(arms: Mapping[str, _Draws], quantities: Sequence[Quantity]) -> tuple[Effect, ...]:
    """Compares the ticket with each control that shares a replicate with it."""
    ticket = arms[TICKET]
    return tuple(
        _effect(ticket, draws, kind, quantity)
        for kind, draws in arms.items()
        if kind != TICKET and ticket.keys() & draws.keys()
        for quantity in quantities
    )


def _endpoint(ticket: _Draws, dense: _Draws, quantity: Quantity) -> Endpoint:
    gains = _gains(ticket, dense, quantity)
    outcome = _outcome(estimate(gains), round(quantity.margin, _DIGITS))
    later_ticket = outcome.passes and _all_censored(ticket, dense, [quantity])
    later_dense = outcome is Outcome.REFUTED and _all_censored(dense, ticket, [quantity])
    censored = later_ticket or later_dense
    return Endpoint(
        name=quantity.name,
        is_ratio=quantity.is_ratio,
        estimate=_as_reported(gains, quantity),
        outcome=Outcome.INCONCLUSIVE if censored else outcome,
        censored=censored,
    )


def _effect(ticket: _Draws, control: _Draws, kind: str, quantity: Quantity) -> Effect:
    gains = _gains(ticket, control, quantity)
    lower = estimate(gains).lower
    return Effect(
        control=kind,
        name=quantity.name,
        is_ratio=quantity.is_ratio,
        replicates=tuple(sorted(ticket.keys() & control.keys())),
        estimate=_as_reported(gains, quantity),
        shown=lower is not None and lower > 0 and not _all_censored(ticket, control, [quantity]),
    )


def _arm(draws: _Draws, quantities: Sequence[Quantity]) -> Arm:
    replicates = tuple(sorted(draws))
    return Arm(
        replicates=replicates,
        estimates={
            quantity.name: estimate([_mean(draws[r], quantity.measured) for r in replicates])
            for quantity in quantities
        },
        censored=sum(_censored(draws[r], quantities) for r in replicates),
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


def _censored(draws: Sequence[Result], quantities: Sequence[Quantity]) -> bool:
    """Says whether a replicate's early-stopping iteration is asked for, and may be later."""
    by_early_stopping = any(quantity.is_ratio for quantity in quantities)
    return by_early_stopping and any(r.early_stop_iteration == r.iterations for r in draws)


def _all_censored(draws: _Draws, other: _Draws, quantities: Sequence[Quantity]) -> bool:
    """Says whether it may be in each replicate that has both."""
    return all(_censored(draws[r], quantities) for r in draws.keys() & other.keys())


def _mean(draws: Sequence[Result], value: Callable[[Result], float]) -> float:
    return statistics.fmean(map(value, draws))
