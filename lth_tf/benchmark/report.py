"""The report: outcomes of contests as tables, with how they were measured, or as JSON."""

import importlib.metadata
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table

from lth_tf.benchmark.contest import Contest
from lth_tf.benchmark.task import VALIDATION_BATCH
from lth_tf.runs.provenance import describe_start
from lth_tf.runs.settings import Settings
from lth_tf.training.distribution import gpu_names


def contest_table(contest: Contest) -> Group:
    """Returns a table of milliseconds and ratios, and notes."""
    recipe = contest.task.recipe
    table = Table(
        title=f"{recipe.model}, {recipe.precision}", title_justify="left", header_style="bold"
    )
    table.add_column("training")
    for title in (
        "iterations\n/s",
        "ms/\niteration",
        "lowest to\nhighest",
        "with\nvalidation",
        "time /\nlth_tf's",
        "with\nvalidation",
    ):
        table.add_column(title, justify="right")
    for name, timing in contest.timings.items():
        table.add_row(
            timing.title,
            f"{1000 / timing.median:,.1f}",
            _milliseconds(timing.median),
            " to ".join(_milliseconds(end(timing.milliseconds)) for end in (min, max)),
            _milliseconds(timing.median_with_validation),
            _ratio(contest.ratio(name)),
            _ratio(contest.ratio_with_validation(name)),
            style="bold" if name == "lth_tf" else None,
        )
    return Group(table, *_notes(contest))


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:,.{0 if value >= 100 else 2}f}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def contests_json(contests: Sequence[Contest], flags: Sequence[str]) -> dict[str, Any]:
    """Returns the outcomes, and the machine and versions they were measured with, as JSON values.

    Args:
        contests: the outcomes.
        flags: the command line's flags.
    """
    start = describe_start(flags, Settings(), gpu_names())
    start["versions"] |= {name: _version(name) for name in ("torch", "jax", "optax")}
    return {**start, "contests": [_contest_json(contest) for contest in contests]}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _contest_json(contest: Contest) -> dict[str, Any]:
    return {
        "recipe": contest.task.recipe.to_json(),
        "data": contest.task.recipe.dataset,
        "iterations": contest.task.iterations,
        "xla": contest.xla,
        "threads": contest.task.threads,
        "operations_per_iteration": contest.operations,
        "matrix_multiply_operations_per_second": contest.rate,
        "chunk_share_of_rate": contest.share,
        "contestants": {
            name: {
                "title": timing.title,
                "milliseconds_per_iteration": timing.median,
                "ratio_to_lth_tf": contest.ratio(name),
                "repetitions": timing.milliseconds,
                "milliseconds_per_iteration_with_validation": timing.median_with_validation,
                "ratio_to_lth_tf_with_validation": contest.ratio_with_validation(name),
                "repetitions_with_validation": timing.with_validation,
            }
            for name, timing in contest.timings.items()
        },
        "not_measured": contest.absent,
    }


def _notes(contest: Contest) -> Iterator[str]:
    task, recipe = contest.task, contest.task.recipe
    repetitions = len(contest.timings["lth_tf"].milliseconds)
    yield (
        f"Medians of {repetitions} x {task.iterations:,} iterations, the contestants in turn, "
        "after a warm-up each time. All: "
        f"batch {recipe.batch_size}, {recipe.optimizer}, augmentation {recipe.augment}, weight "
        f"decay {recipe.weight_decay:g}, {task.threads} threads, the same batches of "
        f"{recipe.dataset} images in memory, each in a process of its own on the same cores."
    )
    yield (
        f"ms/iteration: lth_tf (XLA {'on' if contest.xla else 'off'}) validates "
        f"{recipe.validation_size:,} examples every {recipe.eval_every} iterations, keeps the best "
        "weights, writes metrics and TensorBoard, shows progress (all this timed apart and counted "
        f"once in {recipe.eval_every} iterations), and leaves a checkpoint every "
        f"{Settings().checkpoint_every:g} s. The others and the compiled chunk only train."
    )
    yield (
        f"With validation: to the others is added 1/{recipe.eval_every} of one validation of as "
        f"many examples, timed in each repetition, in batches of {VALIDATION_BATCH} (Keras: "
        "evaluate; PyTorch: no gradients; JAX: compiled). The rest of what lth_tf does "
        "they still do not do."
    )
    yield (
        f"An iteration takes {contest.operations / 1e6:,.0f} MFLOP (6 x multiply-adds x batch, "
        "less the first layer's gradient of its inputs). The compiled chunk does "
        f"{contest.share:.0%} of the {contest.rate / 1e9:,.0f} GFLOP/s of this machine's float32 "
        "matrix product."
    )
    for name, reason in contest.absent.items():
        yield f"{name} is not in the table: {reason}."
