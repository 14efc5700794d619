"""The verdict on an experiment in one sentence, with its numbers."""

from lth_tf.analysis.verdict import Endpoint, LevelVerdict, Outcome, Verdict
from lth_tf.metric import Metric, percent


def verdict_sentence(verdict: Verdict) -> str:
    """Says down to which density tickets win, or why none is known to.

    Differences of accuracies are in points, bounds are one-sided 95 % ones. Of a metric that is
    better the lower it is, the sentence says by how much it is better.
    """
    if not verdict.levels:
        return "No verdict: no ticket has been trained yet."
    if verdict.headline:
        return _winning(verdict.headline, verdict)
    first = verdict.levels[0]
    if first.outcome == Outcome.NOT_ENOUGH:
        return _not_enough(verdict)
    return (
        f"No winning ticket found: the first level, {percent(first.density)} of the weights, is "
        f"{first.outcome}: {_numbers(first, verdict.metric)}.{_singly(verdict)}"
    )


def _singly(verdict: Verdict) -> str:
    """Says which levels would pass if the sequence did not stop before them."""
    passing = [level for level in verdict.levels if level.outcome.passes]
    if not passing:
        return ""
    sparsest = passing[-1]
    return (
        f" The sequence of tests ends there. Each by itself, which claims less, {len(passing)} of "
        f"{len(verdict.levels)} levels pass, the sparsest with {percent(sparsest.density)} of the "
        f"weights: {_measured(sparsest, verdict.metric)}."
    )


def _winning(level: LevelVerdict, verdict: Verdict) -> str:
    margins, metric, within = verdict.margins, verdict.metric, ""
    if level.outcome != Outcome.SUPERIOR:
        allowed = [metric.short(margins.accuracy) + (metric.points or f" of {metric.label}")]
        if any(endpoint.is_ratio for endpoint in level.endpoints):
            allowed.append(f"{percent(margins.iterations)} of the iterations")
        within = f", within margins of {' and '.join(allowed)},"
    down_to, numbers = percent(level.density), _numbers(level, metric)
    return f"Winning tickets{within} down to {down_to} of the weights: {numbers}."


def _not_enough(verdict: Verdict) -> str:
    first = verdict.levels[0]
    reason = "Not enough replicates for a verdict, which takes at least 2: "
    if not first.replicates:
        return f"{reason}none has both the dense network and the ticket of level {first.level}."
    holding = [v for v in verdict.levels if v.replicates == first.replicates and v.holding]
    if not holding:
        return f"{reason}in the only one, no ticket does as well as the dense network."
    sparsest = holding[-1]
    return (
        f"{reason}in the only one, the ticket with {percent(sparsest.density)} of the weights has "
        f"{_measured(sparsest, verdict.metric)}{_censored(sparsest)}."
    )


def _numbers(level: LevelVerdict, metric: Metric) -> str:
    count = len(level.replicates)
    return f"{_measured(level, metric)}, {count} replicates{_censored(level)}"


def _measured(level: LevelVerdict, metric: Metric) -> str:
    passed = level.outcome.passes
    return ", ".join(_comparison(endpoint, passed, metric) for endpoint in level.endpoints)


def _comparison(endpoint: Endpoint, passed: bool, metric: Metric) -> str:
    """Says what was estimated, with the bound that counts if the level passed, else with both."""
    found = endpoint.estimate
    if endpoint.is_ratio:
        text = f"early stopping after {_times(found.mean)} times the iterations"
    else:
        better = "" if metric.higher_is_better else " better by"
        name = endpoint.name.removesuffix(" at early stopping") + better
        text = f"{name} {metric.difference(found.mean)}{metric.points}"
    if found.lower is None or found.upper is None:
        return text
    say = _times if endpoint.is_ratio else metric.difference
    if not passed:
        return f"{text} ({say(found.lower)} to {say(found.upper)})"
    bound = f"at most {say(found.upper)}" if endpoint.is_ratio else f"at least {say(found.lower)}"
    return f"{text} ({bound})"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}"


def _censored(level: LevelVerdict) -> str:
    """Says of how many trainings the minimum may not have been reached."""
    arms = {"tickets": level.arms["ticket"], "dense networks": level.arms.get("dense")}
    found = [
        f"{arm.censored} of {len(arm.replicates)} {name}"
        for name, arm in arms.items()
        if arm and arm.censored
    ]
    return f" (lowest validation loss at the last evaluation: {', '.join(found)})" if found else ""
