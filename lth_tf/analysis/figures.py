"""Figures, drawn as the paper draws them: density on a logarithmic axis that runs downwards."""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from lth_tf import files
from lth_tf.analysis.results_table import by_level
from lth_tf.experiment.results import Result

_GREY = "#666666"
# Label, colour and marker of each arm; the colours are told apart by the colour-blind.
_ARMS = {
    "ticket": ("winning tickets", "#0072b2", "o"),
    "reinit": ("random reinit", "#d55e00", "s"),
    "random_mask": ("random mask", "#009e73", "^"),
    "shuffled_mask": ("shuffled mask", "#cc79a7", "v"),
    "random_mask_reinit": ("random mask, reinit", "#e69f00", "D"),
}


def draw_tickets(results: Sequence[Result], title: str, path: Path) -> None:
    """Draws test accuracy and early-stopping iteration against density (Figures 1 and 3).

    Lines are means over the replicates, bars their minimum and maximum, the dashed line the dense
    network's mean.

    Args:
        results: finished trainings.
        title: stands above.
        path: the PNG file to write.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(title)
    accuracy, iteration = figure.subplots(1, 2)
    _draw(accuracy, results, lambda r: 100 * r.test_accuracy_at_early_stop)
    accuracy.set_ylabel("test accuracy at early stopping (%)")
    _draw(iteration, results, lambda r: r.early_stop_iteration)
    iteration.set_ylabel("early-stopping iteration")
    iteration.set_ylim(bottom=0)
    iteration.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    accuracy.legend(frameon=False)
    with files.atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _draw(axes: Axes, results: Sequence[Result], value: Callable[[Result], float]) -> None:
    groups = by_level(results)
    dense = [value(result) for result in groups.get((0, "dense"), [])]
    if dense:
        mean = statistics.fmean(dense)
        axes.axhline(mean, color=_GREY, linestyle="--", linewidth=1, label="dense network")
    for kind, (label, colour, marker) in _ARMS.items():
        of_arm = [group for (_, arm), group in groups.items() if arm in ("dense", kind)]
        if len(of_arm) > 1 or kind == "ticket":
            style = {"color": colour, "marker": marker, "label": label}
            _draw_arm(axes, of_arm, value, style)
    densities = sorted({100 * group[0].density for group in groups.values()}, reverse=True)
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set_xticks(densities[::2], [f"{density:.3g}" for density in densities[::2]])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", labelrotation=45)
    axes.set_xlabel("weights remaining (%)")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_arm(
    axes: Axes,
    groups: Sequence[Sequence[Result]],
    value: Callable[[Result], float],
    style: dict[str, str],
) -> None:
    densities = [100 * group[0].density for group in groups]
    values = [[value(result) for result in group] for group in groups]
    means = [statistics.fmean(v) for v in values]
    below = [mean - min(v) for mean, v in zip(means, values, strict=True)]
    above = [max(v) - mean for mean, v in zip(means, values, strict=True)]
    axes.errorbar(densities, means, [below, above], markersize=4, capsize=2, **style)
