"""Notes: what a verdict must be read with."""

from collections.abc import Sequence

from lth_tf.analysis.figures.levels import by_level, density_of, listed
from lth_tf.analysis.verdict.statistics import standard_error
from lth_tf.analysis.verdict.verdict import Verdict
from lth_tf.arms.reinit import Reinit
from lth_tf.metric import percent
from lth_tf.paper.published import published
from lth_tf.runs.experiment import DRAWN_EARLY, EARLY_BIRD, TICKET, kind_of
from lth_tf.runs.run import Run
from lth_tf.training.mask_schedules import MASK_SCHEDULES, Promise

_ALWAYS_NEAR = 0.05  # masks of so few weights differ in at most a tenth of their places


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
            _coverage(run),
            _pretrained(run),
            _margins(verdict, marks),
            _at_init(run),
            _kept(run, verdict, marks),
            search_note(run),
            _collapsed(run),
            _without_reinit(verdict),
            _early_stopping(run, marks),
            _test_set(run, verdict),
            _of_paper(run),
            *run.store.left_out,
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


def _coverage(run: Run) -> str:
    coverage = run.coverage
    if coverage is None or not run.results:
        return ""
    if coverage.is_whole:
        return coverage.text
    least = min(result.density for result in run.results)
    return (
        f"{coverage.text} At a density of {percent(least)}, "
        f"{percent(coverage.density_of_all(least))} of all kernel weights remain."
    )


def _pretrained(run: Run) -> str:
    count = run.pretrained
    if not count:
        return ""
    return (
        f"θ0 is not random: {count} of the network's weights are pretrained ones "
        "(initial_weights=), the same in each replicate."
    )


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
    said = {
        layer: "; ".join(f"{arm} at {listed(sorted(levels))}" for arm, levels in arms.items())
        for layer, arms in found.items()
    }
    layers = [f"{layer} ({text})" for layer, text in said.items()]
    if not layers:
        return ""
    return (
        f"Layer collapse: no weight is left of {', '.join(layers)}. What such a layer passes on "
        "depends on no input."
    )


def _kept(run: Run, verdict: Verdict, marks: Sequence[int]) -> str:
    if verdict.is_of_tickets:
        return ""
    recipe = run.experiment.recipe
    if run.experiment.prunes_while_training:
        return _pruned_while_training(run.experiment.strategy)
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


def search_note(run: Run) -> str:
    """Says when masks were found that are not those of a training's end; empty if they are.

    Args:
        run: the run.
    """
    recipe = run.experiment.recipe
    end = f"{recipe.iterations:,}"
    if recipe.search_iterations:
        return (
            f"Masks are pruned from weights of iteration {recipe.search_iterations:,} "
            f"(--search_iterations); what is compared was trained for all {end} iterations."
        )
    strategy = run.experiment.strategy
    if strategy not in DRAWN_EARLY:
        return ""
    of_weights = strategy == EARLY_BIRD
    text = (
        f"Masks were drawn while the dense network trained (--strategy={strategy}), before the "
        "first epoch whose mask differed from each of the four before it in at most 10% of the "
        f"{'weights' if of_weights else 'filters, which are pruned as a whole'}. "
    )
    levels = by_level([r for r in run.results if r.arm == TICKET and r.search_iterations])
    for group in levels.values():
        text += _drawn([r.search_iterations for r in group], density_of(group), recipe.iterations)
    sparse = [d for d in map(density_of, levels.values()) if d <= _ALWAYS_NEAR]
    if sparse and of_weights:
        text += (
            f"Masks of {percent(max(sparse))} of the weights and less never differ in more than "
            "10%, so that these were drawn as soon as there were five."
        )
    return text.strip()


def _drawn(iterations: Sequence[int], density: float, end: int) -> str:
    """Says when a level's masks were drawn, and how many iterations were saved."""
    early = [iteration for iteration in iterations if iteration < end]
    never, many = len(iterations) - len(early), len(iterations) > 1
    text = f"{percent(density)} of the weights: "
    if early:
        first, last = min(early), max(early)
        text += f"at iteration {_span(first, last)} of {end:,}, {_span(end - last, end - first)} "
        text += "saved"
    if never:
        of_how_many = f" in {never} of {len(iterations)} replicates" if many else ""
        text += f"{'; ' if early else ''}never stable{of_how_many}, so that the last mask was taken"
    return f"{text}. "


def _span(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _pruned_while_training(strategy: str) -> str:
    if not MASK_SCHEDULES[strategy].trains_weights:
        return (
            f"Masks were trained, and weights never (--strategy={strategy}), for as many "
            "iterations as the dense network: what is compared with it is an untrained network "
            "under a mask that was learned, a supermask, and no ticket that was trained."
        )
    if MASK_SCHEDULES[strategy].promise is Promise.KEEP_COUNT:
        return (
            f"Networks were sparse all the way (--strategy={strategy}): masks changed while they "
            "trained, for as many iterations as the dense network, so that they are no tickets. "
            "Their early stopping is the best evaluation after the last change, as before it "
            "their masks are others."
        )
    return (
        f"Networks were pruned while they trained (--strategy={strategy}), for "
        "as many iterations as the dense network, so that they are no tickets. Their early "
        "stopping is the best evaluation after the last pruning: before it they are denser."
    )


def _without_reinit(verdict: Verdict) -> str:
    if any(effect.control == Reinit.name for v in verdict.levels for effect in v.effects):
        return ""
    return (
        "Random reinit was not trained (--arms=ticket,reinit), so that nothing tells whether the "
        "initial weights matter, which is half of what makes a winning ticket."
        if verdict.levels and verdict.is_of_tickets
        else ""
    )


def _early_stopping(run: Run, marks: Sequence[int]) -> str:
    if marks:
        iterations = ", ".join(f"{mark:,}" for mark in marks)
        return f"The network is not stopped early: it is judged at iterations {iterations}."
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
