"""The verdict on an experiment in a few sentences, with its numbers."""

from collections.abc import Sequence

from lth_tf.analysis.verdict.statistics import Estimate
from lth_tf.analysis.verdict.verdict import Effect, Endpoint, LevelVerdict, Outcome, Verdict
from lth_tf.arms.reinit import Reinit
from lth_tf.metric import Metric, percent
from lth_tf.runs.experiment import DENSE, TICKET

_KEPT = "Pruned networks that keep their trained weights"
_PRUNED = "Networks whose masks were made while they trained"


def verdict_sentence(verdict: Verdict) -> str:
    """Says from and down to which density tickets win, or why none is known to.

    Differences of accuracies are in points, bounds are one-sided 95 % ones. Of a metric that is
    better the lower it is, the sentence says by how much it is better. The effect against random
    reinit is that of the sparsest level of the claim which has both: fixed before looking, and
    where the claim says most.
    """
    if not verdict.levels:
        return "No verdict: no ticket has been trained yet."
    first = verdict.first
    if first is None:
        return _too_dense(verdict)
    if first.outcome is Outcome.NOT_ENOUGH:
        return _not_enough(first, verdict)
    return _passed(verdict) if verdict.claimed else _none(first, verdict)


def _passed(verdict: Verdict) -> str:
    levels = verdict.claimed
    sparsest = levels[-1]
    if len(levels) > 1:
        where = f"from {percent(levels[0].density)} down to {percent(sparsest.density)}"
        at = f"at {percent(sparsest.density)}, "
    else:
        where, at = f"at {percent(sparsest.density)}", ""
    return (
        f"{_found(where, verdict)}{_within(levels, verdict)}: {at}{_numbers(sparsest, verdict)}"
        f"{_against_reinit(levels, verdict.metric)}."
    )


def _found(where: str, verdict: Verdict) -> str:
    if verdict.is_of_tickets:
        return f"Winning tickets {where} of the weights"
    them, budget = _KEPT if verdict.keeps_weights else _PRUNED, _budget(verdict)
    return f"{them} do as well as the dense network{budget}, {where} of the weights"


def _within(levels: Sequence[LevelVerdict], verdict: Verdict) -> str:
    """Says by which margins the levels passed, if not without any."""
    if all(level.outcome is Outcome.SUPERIOR for level in levels):
        return ""
    margins, metric = verdict.margins, verdict.metric
    allowed = [metric.short(margins.accuracy) + (metric.points or f" of {metric.label}")]
    if any(endpoint.is_ratio for endpoint in levels[-1].endpoints):
        allowed.append(f"{percent(margins.iterations)} of the iterations")
    return f", within margins of {' and '.join(allowed)}"


def _none(first: LevelVerdict, verdict: Verdict) -> str:
    return (
        f"{_not_found(verdict)}: the first level with at most "
        f"{percent(verdict.margins.claim_density)} of the weights, {percent(first.density)}, is "
        f"{first.outcome}: {_numbers(first, verdict)}{_against_reinit([first], verdict.metric)}."
        f"{_alone(verdict) if verdict.keeps_weights else _singly(verdict)}"
    )


def _not_found(verdict: Verdict) -> str:
    if verdict.is_of_tickets:
        return "No winning ticket found"
    them = _KEPT if verdict.keeps_weights else _PRUNED
    return f"{them} are not shown to do as well as the dense network{_budget(verdict)}"


def _singly(verdict: Verdict) -> str:
    """Says which levels would pass if the sequence did not stop before them."""
    passing = [level for level in verdict.levels if level.outcome.passes]
    if not passing:
        return ""
    sparsest = passing[-1]
    return (
        f" The sequence of tests ends there. Each by itself, which claims less, {len(passing)} of "
        f"{len(verdict.levels)} levels pass, the sparsest with {percent(sparsest.density)} of the "
        f"weights: {_measured(sparsest.endpoints, sparsest.outcome.passes, verdict)}."
    )


def _alone(verdict: Verdict) -> str:
    """Says of networks that keep their weights which levels pass without their iterations."""
    passing = [v for v in verdict.levels if _passes_alone(v)]
    if not passing:
        return ""
    sparsest = passing[-1]
    alone = [endpoint for endpoint in sparsest.endpoints if not endpoint.is_ratio]
    return (
        f" In test {verdict.metric.label} alone, each by itself, which claims less, {len(passing)} "
        f"of {len(verdict.levels)} levels pass, the sparsest with {percent(sparsest.density)} of "
        f"the weights: {_measured(alone, True, verdict)}."
    )


def _passes_alone(level: LevelVerdict) -> bool:
    outcomes = [endpoint.outcome for endpoint in level.endpoints if not endpoint.is_ratio]
    return bool(outcomes) and all(outcome.passes for outcome in outcomes)


def _too_dense(verdict: Verdict) -> str:
    sparsest = verdict.levels[-1]
    what = "claim of winning tickets begins" if verdict.is_of_tickets else "tests begin"
    text = (
        f"No level has at most {percent(verdict.margins.claim_density)} of the weights, where the "
        f"{what} (--claim_density), so that nothing is claimed. "
    )
    if sparsest.outcome is Outcome.NOT_ENOUGH:
        return text + _not_enough(sparsest, verdict)
    return (
        f"{text}The sparsest, {percent(sparsest.density)}, is by itself {sparsest.outcome}: "
        f"{_numbers(sparsest, verdict)}{_against_reinit([sparsest], verdict.metric)}."
    )


def _not_enough(level: LevelVerdict, verdict: Verdict) -> str:
    reason = "Not enough replicates for a verdict, which takes at least 2: "
    subject = verdict.subject
    if not level.replicates:
        return f"{reason}none has both the dense network and the {subject} of level {level.level}."
    holding = [v for v in verdict.levels if v.replicates == level.replicates and v.holding]
    if not holding:
        tried = [v for v in verdict.levels if v.replicates == level.replicates]
        censored = sum(v.arms[TICKET].censored for v in tried)
        if not censored:
            return f"{reason}in the only one, no {subject} does as well as the dense network."
        return (
            f"{reason}in the only one, no {subject} is known to do as well as the dense network "
            f"(lowest validation loss at the last evaluation: {censored} of {len(tried)} "
            f"{subject}s)."
        )
    sparsest = holding[-1]
    return (
        f"{reason}in the only one, the {subject} with {percent(sparsest.density)} of the weights "
        f"has {_measured(sparsest.endpoints, True, verdict)}{_censored(sparsest, subject)}."
    )


def _numbers(level: LevelVerdict, verdict: Verdict) -> str:
    measured = _measured(level.endpoints, level.outcome.passes, verdict)
    return f"{measured}, {len(level.replicates)} replicates{_censored(level, verdict.subject)}"


def _measured(endpoints: Sequence[Endpoint], passed: bool, verdict: Verdict) -> str:
    """Says what was estimated, with the bounds that count if the level passed, else with both."""
    return ", ".join(
        _compared(e, verdict) + _bounds(e.estimate, e.is_ratio, passed, verdict.metric)
        for e in endpoints
    )


def _compared(endpoint: Endpoint, verdict: Verdict) -> str:
    text = _difference(endpoint, verdict.metric)
    if endpoint.is_ratio and verdict.keeps_weights:
        return f"{text}, those of earlier trainings included"
    return text


def _difference(found: Endpoint | Effect, metric: Metric) -> str:
    mean = found.estimate.mean
    if found.is_ratio:
        return f"early stopping after {_times(mean)} times the iterations"
    better = "" if metric.higher_is_better else " better by"
    name = found.name.removesuffix(" at early stopping") + better
    return f"{name} {metric.difference(mean)}{metric.points}"


def _bounds(found: Estimate, is_ratio: bool, passed: bool, metric: Metric) -> str:
    if found.lower is None or found.upper is None:
        return ""
    say = _times if is_ratio else metric.difference
    if not passed:
        return f" ({say(found.lower)} to {say(found.upper)})"
    return f" (at most {say(found.upper)})" if is_ratio else f" (at least {say(found.lower)})"


def _against_reinit(levels: Sequence[LevelVerdict], metric: Metric) -> str:
    """Says by how much the ticket is better than its mask with fresh weights, where it is known."""
    for level in reversed(levels):
        effects = [effect for effect in level.effects if effect.control == Reinit.name]
        if effects:
            compared = ", ".join(
                _difference(e, metric) + _bound_of_effect(e, metric) for e in effects
            )
            return f"; against random reinit at {percent(level.density)}, {compared}"
    return ""


def _bound_of_effect(effect: Effect, metric: Metric) -> str:
    if effect.estimate.lower is None:
        return " (one replicate, no bound)"
    bound = _bounds(effect.estimate, effect.is_ratio, True, metric)
    return bound if effect.shown else f"{bound[:-1]}, not shown)"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}"


def _censored(level: LevelVerdict, subject: str) -> str:
    """Says of how many trainings the minimum may not have been reached."""
    arms = {f"{subject}s": level.arms[TICKET], "dense networks": level.arms.get(DENSE)}
    found = [
        f"{arm.censored} of {len(arm.replicates)} {name}"
        for name, arm in arms.items()
        if arm and arm.censored
    ]
    return f" (lowest validation loss at the last evaluation: {', '.join(found)})" if found else ""


def _budget(verdict: Verdict) -> str:
    """Says what a comparison of networks that keep their trained weights is a comparison at."""
    if not verdict.keeps_weights:
        return ""
    by_iterations = any(e.is_ratio for v in verdict.levels for e in v.endpoints)
    return " at equal total iterations" if by_iterations else ", which was trained for less long"
