"""The verdict on an experiment in one sentence, with its numbers."""

from lth_tf.analysis.verdict import Endpoint, LevelVerdict, Margins, Outcome, Verdict


def verdict_sentence(verdict: Verdict) -> str:
    """Says down to which density tickets win, or why none is known to.

    Differences of accuracies are in points, bounds are one-sided 95 % ones.
    """
    if not verdict.levels:
        return "No verdict: no ticket has been trained yet."
    if verdict.headline:
        return _winning(verdict.headline, verdict.margins)
    first = verdict.levels[0]
    if first.outcome == Outcome.NOT_ENOUGH:
        return _not_enough(verdict)
    return (
        f"No winning ticket found: the first level, {_density(first)} of the weights, is "
        f"{first.outcome}: {_numbers(first)}."
    )


def _winning(level: LevelVerdict, margins: Margins) -> str:
    within = ""
    if level.outcome != Outcome.SUPERIOR:
        allowed = [f"{100 * margins.accuracy:.3g} points"]
        if any(endpoint.is_ratio for endpoint in level.endpoints):
            allowed.append(f"{100 * margins.iterations:.3g}% of the iterations")
        within = f", within margins of {' and '.join(allowed)},"
    return f"Winning tickets{within} down to {_density(level)} of the weights: {_numbers(level)}."


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
        f"{reason}in the only one, the ticket with {_density(sparsest)} of the weights has "
        f"{_measured(sparsest)}{_censored(sparsest)}."
    )


def _numbers(level: LevelVerdict) -> str:
    count = len(level.replicates)
    return f"{_measured(level)}, {count} replicates{_censored(level)}"


def _measured(level: LevelVerdict) -> str:
    return ", ".join(_comparison(endpoint, level.outcome.passes) for endpoint in level.endpoints)


def _comparison(endpoint: Endpoint, passed: bool) -> str:
    """Says what was estimated, with the bound that counts if the level passed, else with both."""
    found = endpoint.estimate
    if endpoint.is_ratio:
        text = f"early stopping after {_times(found.mean)} times the iterations"
    else:
        text = f"{endpoint.name.removesuffix(' at early stopping')} {_points(found.mean)} points"
    if found.lower is None or found.upper is None:
        return text
    say = _times if endpoint.is_ratio else _points
    if not passed:
        return f"{text} ({say(found.lower)} to {say(found.upper)})"
    bound = f"at most {say(found.upper)}" if endpoint.is_ratio else f"at least {say(found.lower)}"
    return f"{text} ({bound})"


def _points(difference: float) -> str:
    return f"{100 * difference:+z.2f}"


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


def _density(level: LevelVerdict) -> str:
    return f"{100 * level.density:.3g}%"
