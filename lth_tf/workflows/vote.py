"""Ensembles: runs' trained networks answer for the test set and vote; files tell of it."""

import bisect
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tf_keras as keras
from rich.console import Console

from lth_tf import data
from lth_tf.analysis.ensembles.ensemble_report import console_table, write_ensemble
from lth_tf.analysis.ensembles.groups import Group, Groups, find_groups
from lth_tf.analysis.ensembles.votes import Vote, measure
from lth_tf.data import ImageData, OwnInfo
from lth_tf.errors import UserError
from lth_tf.formats.saved_model import export_ensemble
from lth_tf.lottery.network import Network
from lth_tf.lottery.tickets import trained_weights
from lth_tf.runs.experiment import Experiment
from lth_tf.runs.run import Run, read_runs
from lth_tf.streams import Streams
from lth_tf.training.rewind import set_weights

_VALUES = 400_000  # input values at a time: activations take memory in proportion


def run_ensembles(
    folders: Sequence[Path],
    level: int,
    out: Path,
    console: Console,
    *,
    levels: Sequence[int] = (),
    data_dir: str | None = None,
    saved_model: Path | None = None,
    command: str = "",
) -> list[Vote]:
    """Measures ensembles of runs on the test set, writes what was found and prints it.

    Args:
        folders: run directories on one test set; the first has the tickets.
        level: the tickets' level.
        out: the folder to write to; made if it is not there.
        console: where to print.
        levels: levels of the tickets of one theta_0; by default those nearest to `level`.
        data_dir: TFDS's folder, its own default if None.
        saved_model: where to write the tickets of different theta_0 as one SavedModel, if at all.
        command: the command line that asked for it.

    Returns:
        The votes of each group, from one member to all.

    Raises:
        UserError: if a folder is no run directory or damaged, the test sets differ, a level has no
            finished ticket, no group has two members, or a file cannot be written.
    """
    runs = read_runs(folders)
    for run in runs:
        if isinstance(run.data, OwnInfo):
            raise UserError(
                f"{run.store.folder}: must be a run on an image classification set; networks on "
                "data of one's own cannot be made to vote here"
            )
    groups = find_groups(runs, level, levels)
    if saved_model and len(groups.tickets.results) < 2:
        raise UserError(f"--saved_model={saved_model}: must have two tickets. {groups.notes[0]}")
    if not groups.voting:
        raise UserError(f"--level={level}: no ensemble can be made. {' '.join(groups.notes)}")
    test_set = data.load(runs[0].experiment.recipe.dataset, data_dir)
    votes = _votes(groups.voting, test_set, Streams(runs[0].experiment.seed, 0))
    notes = [*groups.notes, *_equal_size(groups)]
    table = write_ensemble(out, votes, notes, command)
    console.print(console_table(table))
    for text in (table.note, *notes):
        console.print(text, soft_wrap=True)
    if saved_model:
        export_ensemble(list(_trained(groups.tickets)), saved_model)
    return votes


def test_logits(group: Group, images: np.ndarray) -> np.ndarray:
    """Returns the members' logits for test images, float32 [members, examples, classes].

    Args:
        group: the members.
        images: uint8 [examples, height, width, channels].

    Raises:
        UserError: if a member's weights are missing or damaged.
    """
    batch = max(1, _VALUES // images[0].size)
    (model,) = _models(group.run, 1)
    logits = []
    for training in group.trainings:
        set_weights(model, trained_weights(group.run.store, training))
        logits.append(model.predict(images, batch, verbose=0))
    return np.stack(logits)


def equal_width(experiment: Experiment, image: data.ImageInfo, size: int) -> tuple[float, int]:
    """Returns the width, in thousandths, of the dense network that is nearest to a size.

    Args:
        experiment: its recipe says which network, and the largest width.
        image: the data's image shape and classes.
        size: kernel weights.

    Returns:
        The width, and the network's kernel weights.
    """

    def kernels(thousandths: int) -> int:
        recipe = experiment.recipe.override(width=thousandths / 1000)
        return Network(Experiment(recipe=recipe, rounds=0), image).remaining[0]

    widths = range(1, max(1, math.ceil(1000 * experiment.recipe.width)) + 1)
    above = bisect.bisect_left(widths, size, hi=len(widths) - 1, key=kernels)
    near = {widths[i]: kernels(widths[i]) for i in {max(0, above - 1), above}}
    width = min(near, key=lambda thousandths: abs(near[thousandths] - size))
    return width / 1000, near[width]


def _votes(groups: Sequence[Group], test_set: ImageData, streams: Streams) -> list[Vote]:
    votes = []
    for number, group in enumerate(groups):
        logits = test_logits(group, test_set.test_images)
        generator = streams.generator("ensemble", number)
        votes += measure(group, logits, test_set.test_labels, generator)
    return votes


def _equal_size(groups: Groups) -> list[str]:
    """Says which dense networks would be of the tickets' size in all, if none are given."""
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


def _trained(group: Group) -> Iterator[keras.Model]:
    models = _models(group.run, len(group.results))
    for model, training in zip(models, group.trainings, strict=True):
        set_weights(model, trained_weights(group.run.store, training))
        yield model


def _models(run: Run, count: int) -> list[keras.Model]:
    network = Network(run.experiment, run.data)
    return [network.build() for _ in range(count)]
