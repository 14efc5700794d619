"""Notes: what a verdict must be read with."""

from collections.abc import Sequence

from lth_tf.analysis.verdict.statistics import standard_error
from lth_tf.analysis.verdict.verdict import Verdict
from lth_tf.metric import percent
from lth_tf.paper.published import published
from lth_tf.runs.experiment import kind_of
from lth_tf.runs.run import Run


def notes_on(run: Run, verdict: Verdict, marks: Sequence[int]) -> list[str]:
    """Returns sentences on what a verdict rests on.

    Args:
        run: the run.
        verdict: its verdict.
        marks: the marks that it is judged at; none if at early stopping.
    """
    return [
        text
        for text in (
            _progress(run),
            _of_ticket(run),
            _margins(verdict, marks),
            _at_init(run),
            _kept(run, verdict, marks),
            _collapsed(run),
            _without_reinit(verdict),
            _early_stopping(run, marks),
            _test_set(run, verdict),
            _of_paper(run),
        )
        if text
    ]


def _progress(run: Run) -> str:
    finished, planned = len(run.results), run.planned
    if finished >= planned:
        return f"All {planned} trainings are finished."
    return f"{finished} of {planned} trainings are finished; what follows is on these."


def _of_ticket(run: Run) -> str:
    if run.ticket is None:
        return ""
    known = run.ticket.metadata
    text = (
        f"The ticket was found on {run.ticket.recipe.dataset} and is trained on "
        f"{run.experiment.recipe.dataset}, from the same weights in each replicate."
    )
    if run.results and "density" in known:
        here = {r.density for r in run.results if r.level}
        if here and {known["density"]} != here:
            text += (
                f" It had {100 * known['density']:.3g}% of the weights where it was found; its "
                "output layer is fresh and dense here."
            )
    return text


def _margins(verdict: Verdict, marks: Sequence[int]) -> str:
    margins, metric = verdict.margins, verdict.metric
    of_metric = f"{metric.short(margins.accuracy)}{metric.points} of test {metric.label}"
    who = f"a {verdict.subject}"
    if marks:
        text = f"Margin: {who} may be {of_metric} worse at each marked iteration."
    else:
        later = f"{percent(margins.iterations)} later"
        text = f"Margins: {who} may be {of_metric} worse at early stopping, and stop {later}."
    if margins.is_share:
        text += (
            f" The margin of {metric.label} is a hundredth of the dense networks' mean at early "
            "stopping."
        )
    if not metric.higher_is_better:
        text += (
            f" Less {metric.label} is better: its differences are counted such that they are "
            f"positive where the {verdict.subject} is better."
        )
    return (
        f"{text} A level is superior if the bounds show no loss at all, supported if they are "
        "within the margins, refuted if one is beyond its margin; bounds are one-sided 95% ones "
        "of Student's t over replicates, each paired with its own dense network."
    )


def _at_init(run: Run) -> str:
    if not run.experiment.prunes_at_init:
        return ""
    return (
        f"Masks were made of the initial weights (--criterion={run.experiment.recipe.criterion}) "
        f"before anything was trained (--strategy={run.experiment.strategy})."
    )


def _collapsed(run: Run) -> str:
    """Says which layers have no weights left, at which levels, and with which arms."""
    found: dict[str, dict[str, set[int]]] = {}
    for result in run.results:
        for layer in result.emptied:
            levels = found.setdefault(layer, {}).setdefault(kind_of(result.arm), set())
            levels.add(result.level)
    layers = [
        f"{layer} ({'; '.join(f'{arm} at {_levels(levels)}' for arm, levels in arms.items())})"
        for layer, arms in found.items()
    ]
    if not layers:
        return ""
    return (
        f"Layer collapse: no weight is left of {', '.join(layers)}. What such a layer passes on "
        "depends on no input."
    )


def _levels(levels: set[int]) -> str:
    listed = ", ".join(map(str, sorted(levels)))
    return f"level{'s' if len(levels) > 1 else ''} {listed}"


def _kept(run: Run, verdict: Verdict, marks: Sequence[int]) -> str:
    if not verdict.keeps_weights:
        return ""
    recipe = run.experiment.recipe
    if run.experiment.prunes_while_training:
        return (
            f"Networks were pruned while they trained (--strategy={run.experiment.strategy}), for "
            "as many iterations as the dense network, so that they are no tickets. Their early "
            "stopping is the best evaluation after the last pruning: before it they are denser."
        )
    each = f"{recipe.iterations:,} iterations"
    before = {
        "one_shot": f"the dense network's training, {each}",
        "iterative": f"all trainings down to their level, {each} each",
    }[run.experiment.strategy]
    text = (
        f"Pruned networks go on from trained weights (--rewind={recipe.rewind}), so that they are "
        f"no tickets: {before}, came before their own. "
    )
    if marks:
        return text + "The marked iterations are those of their own training."
    return text + (
        "Their iterations are compared in total, with those; the dense network was not trained for "
        "as long, so that its accuracy after as many is not known."
    )


def _without_reinit(verdict: Verdict) -> str:
    if any(effect.control == "reinit" for v in verdict.levels for effect in v.effects):
        return ""
    return (
        "Random reinit was not trained (--arms=ticket,reinit), so that nothing tells whether the "
        "initial weights matter, which is half of what makes a winning ticket."
        if verdict.levels and not verdict.keeps_weights
        else ""
    )


def _early_stopping(run: Run, marks: Sequence[int]) -> str:
    if marks:
        listed = ", ".join(f"{mark:,}" for mark in marks)
        return f"The network is not stopped early: it is judged at iterations {listed}."
    grid = run.experiment.recipe.eval_every
    return (
        "The early-stopping iteration is where the validation loss was lowest; it is known to "
        f"{grid:,} iterations, the distance between evaluations."
    )


def _test_set(run: Run, verdict: Verdict) -> str:
    if verdict.dense is None or not verdict.metric.is_fraction:
        return ""
    accuracy = next(iter(verdict.dense.estimates.values())).mean
    if not 0 <= accuracy <= 1:
        return ""
    error = 100 * standard_error(accuracy, run.data.test_size)
    return (
        f"The {run.data.test_size:,} test examples leave a standard error of {error:.2f} points "
        f"in an accuracy of {verdict.metric.text(accuracy)}."
    )


def _of_paper(run: Run) -> str:
    entry = published(run.experiment)
    if entry is None:
        return ""
    text = f"The paper, in this setting: {entry.found}"
    if entry.iterations != run.experiment.recipe.iterations:
        here = run.experiment.recipe.iterations
        text += f" It trained for {entry.iterations:,} iterations, this run for {here:,}."
    return text
