"""Ensembles: how good tickets are together, beside tickets of one theta_0 and dense networks."""

import bisect
import dataclasses
import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lth_tf.analysis.ensembles.groups import Groups, find_groups
from lth_tf.analysis.ensembles.votes import Vote, measure
from lth_tf.analysis.figures import canvas
from lth_tf.analysis.figures.gallery import Picture
from lth_tf.analysis.pages.table import Table
from lth_tf.data import ImageInfo, UserDataInfo
from lth_tf.errors import UserError
from lth_tf.importing import names_function
from lth_tf.runs.experiment import TICKET, Experiment
from lth_tf.runs.run import Run
from lth_tf.streams import Streams
from lth_tf.studies import STUDIES, Study

if TYPE_CHECKING:
    from lth_tf.lottery.opened_run import OpenedRun

_DENSITY = 0.25  # of the level that is asked by default: where the verdict's claim begins
_COLUMNS = (
    "ensemble of", "networks", "weights in all", "accuracy of one (%)", "of all (%)",
    "gain (points)", "NLL", "ECE (%)", "disagreement (%)",
)  # fmt: skip
_NOTE = (
    "Soft vote on the test set: the mean of the networks' probabilities. Of one: mean over the "
    "networks. In brackets: 95% bootstrap intervals over test examples, which say nothing of other "
    "tickets. NLL (negative log-likelihood in nats) and ECE (expected calibration error, 15 bins): "
    "of one, then of all. Disagreement: the test examples that two networks take for different "
    "classes, mean over pairs."
)
_CAPTION = (
    "Mean over all subsets of each size (from eleven networks on: over 252 of them). Bars: 95% "
    "bootstrap intervals over test examples."
)


@STUDIES.register
@dataclasses.dataclass(frozen=True)
class Ensemble(Study):
    """Lets networks vote on the test set.

    Attributes:
        level: the tickets' level; by default the first with at most a quarter of the weights, or
            the last.
        levels: levels of the tickets of one theta_0; by default those nearest to `level`.
        beside: directories of runs whose dense networks are compared.
    """

    level: int | None = None
    levels: tuple[int, ...] = ()
    beside: tuple[str, ...] = ()

    name = "ensemble"
    title = "ensembles"
    help = (
        "how good the tickets of a level are when they vote, beside those of one θ0 and dense "
        "networks; by default of the first level with at most a quarter of the weights"
    )
    row = Vote
    former_folder = "ensemble"
    place = 0

    def lacks(self, run: Run) -> str:
        """See `Study`."""
        if lacks := _lacks_logits(run) or super().lacks(run):
            return lacks
        if self.level is None and not any(r.arm == TICKET for r in run.results):
            return "No ticket is finished."
        groups = find_groups([run], self._level(run), self.levels)
        return "" if groups.voting or self.beside else " ".join(groups.notes)

    def compute(self, run: "OpenedRun") -> list[Vote]:
        """See `Study`."""
        images, labels = run.examples("test")
        streams = Streams(run.experiment.seed, 0)
        rows = []
        for number, group in enumerate(self.groups(run).voting):
            logits = np.stack([group.run.logits(training, images) for training in group.trainings])
            rows += measure(group, logits, labels, streams.generator("ensemble", number))
        return rows

    def notes(self, run: "OpenedRun") -> list[str]:
        """Says which groups are left out, and which dense networks would be of equal size."""
        groups = self.groups(run)
        return [*groups.notes, *_equal_size(groups)]

    def groups(self, run: "OpenedRun") -> Groups:
        """Returns what votes.

        Raises:
            UserError: if the runs cannot be compared, or no group has two members.
        """
        from lth_tf.lottery.opened_run import open_runs

        folders = [run.store.folder, *map(Path, self.beside)]
        others = open_runs(folders, data_dir=run.data_dir)[1:]
        for other in others:
            if lacks := _lacks_logits(other):
                raise UserError(f"{other.store.folder}: {lacks}")
        groups = find_groups([run, *others], self._level(run), self.levels)
        if not groups.voting:
            raise UserError(
                f"--level={self._level(run)}: no ensemble can be made. {' '.join(groups.notes)}"
            )
        return groups

    def table(self, rows: Sequence[Vote]) -> Table:
        """Returns a row for each group, of all its members together."""
        cells = [_cells(name, group[0], group[-1]) for name, group in _by_group(rows).items()]
        return Table(f"Ensembles of tickets at level {rows[0].level}", _COLUMNS, cells, _NOTE)

    def pictures(self, rows: Sequence[Vote]) -> list[Picture]:
        """Returns the figure of accuracy as ensembles grow."""
        title = f"Test accuracy of growing ensembles, tickets at level {rows[0].level}"
        return [Picture(self.name, title, _CAPTION, functools.partial(_draw, rows))]

    def sentence(self, rows: Sequence[Vote]) -> str:
        """Compares the groups' votes."""
        (first, group), *others = _by_group(rows).items()
        whole = group[-1]
        text = (
            f"At level {whole.level} the vote of {whole.members} {first} is right on "
            f"{_percent(whole.accuracy)}% of the test examples, {_points(whole.gain)} points "
            f"({_points(whole.gain_low)} to {_points(whole.gain_high)}) against one of them alone"
        )
        rest = [f"{name}: {_percent(votes[-1].accuracy)}%" for name, votes in others]
        return "; ".join([text, *rest]) + "."

    def _level(self, run: Run) -> int:
        if self.level is not None:
            return self.level
        density = {r.level: r.density for r in run.results if r.arm == TICKET}
        return next((n for n in sorted(density) if density[n] <= _DENSITY), max(density))


def _lacks_logits(run: Run) -> str:
    """Says that a run's networks need not return logits of classes; nothing if they do."""
    if isinstance(run.data, UserDataInfo) or names_function(run.experiment.recipe.model):
        return (
            "It must be a run of a named network on an image classification set: what a user's "
            "network returns need not be logits."
        )
    return ""


def equal_width(experiment: Experiment, image: ImageInfo, size: int) -> tuple[float, int]:
    """Returns the width, in thousandths, of the dense network that is nearest to a size.

    Args:
        experiment: its recipe says which network, and the largest width.
        image: the data's image shape and classes.
        size: kernel weights.

    Returns:
        The width, and the network's kernel weights.
    """
    from lth_tf.lottery.network import Network

    def kernels(thousandths: int) -> int:
        recipe = experiment.recipe.override(width=thousandths / 1000)
        return Network(Experiment(recipe=recipe, rounds=0), image).remaining[0]

    widths = range(1, max(1, math.ceil(1000 * experiment.recipe.width)) + 1)
    above = bisect.bisect_left(widths, size, hi=len(widths) - 1, key=kernels)
    near = {widths[i]: kernels(widths[i]) for i in {max(0, above - 1), above}}
    width = min(near, key=lambda thousandths: abs(near[thousandths] - size))
    return width / 1000, near[width]


def _equal_size(groups: Groups) -> list[str]:
    """Says which dense networks would be of the tickets' size in all, if there are none."""
    tickets, count = groups.tickets, len(groups.tickets.results)
    if groups.equal or count < 2:
        return []
    run = tickets.run
    width, each = equal_width(run.experiment, run.data, round(tickets.remaining / count))
    return [
        f"Dense networks that are as large in all as the {count} tickets, {tickets.remaining:,} "
        f"weights, have --width={width:g} ({each:,} weights each): train them with that, "
        f"--rounds=0, --replicates={count} and this run's other flags, and give that run as well."
    ]


def _by_group(rows: Sequence[Vote]) -> dict[str, list[Vote]]:
    """Returns each group's votes from one member on, by name, with that of another run."""
    groups: dict[str, list[Vote]] = {}
    for vote in rows:
        name = vote.group if vote.run == rows[0].run else f"{vote.group} ({vote.run})"
        groups.setdefault(name, []).append(vote)
    return {name: sorted(group, key=lambda vote: vote.size) for name, group in groups.items()}


def _cells(name: str, one: Vote, whole: Vote) -> list[str]:
    accuracy = _percent(whole.accuracy)
    return [
        name,
        str(whole.members),
        f"{whole.remaining:,.0f}",
        _percent(one.accuracy),
        f"{accuracy} ({_percent(whole.accuracy_low)} to {_percent(whole.accuracy_high)})",
        f"{_points(whole.gain)} ({_points(whole.gain_low)} to {_points(whole.gain_high)})",
        f"{one.negative_log_likelihood:.4f}, {whole.negative_log_likelihood:.4f}",
        f"{_percent(one.calibration_error)}, {_percent(whole.calibration_error)}",
        _percent(whole.disagreement),
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _points(difference: float) -> str:
    return f"{100 * difference:+z.2f}"


def _draw(rows: Sequence[Vote]) -> Figure:
    figure = canvas.new_figure(height=3.6)
    axes = figure.subplots()
    groups = _by_group(rows)
    for number, (name, group) in enumerate(groups.items()):
        # Side by side, where several groups have as many members.
        aside = 0.05 * (number - (len(groups) - 1) / 2)
        style = canvas.look(number)
        sizes = [vote.size + aside for vote in group]
        means = [100 * vote.accuracy for vote in group]
        axes.plot(sizes, means, label=name, **style)
        whole = group[-1]
        bars = [[whole.accuracy - whole.accuracy_low], [whole.accuracy_high - whole.accuracy]]
        thin = {"color": style["color"], "linewidth": 1}
        axes.errorbar(sizes[-1:], means[-1:], 100 * np.array(bars), **thin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("networks that vote")
    canvas.title(axes, "test accuracy of growing ensembles (%)")
    canvas.legend_below(axes)
    return figure
