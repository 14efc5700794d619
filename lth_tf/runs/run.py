"""Runs: run directories as the report reads them, finished or not, or as they are published."""

import dataclasses
import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lth_tf import reading
from lth_tf.data import ImageInfo, UserDataInfo
from lth_tf.formats.ticket import Ticket
from lth_tf.metric import Metric
from lth_tf.runs import record
from lth_tf.runs.coverage import Coverage
from lth_tf.runs.experiment import Experiment, Training, make_plan
from lth_tf.runs.results import Result
from lth_tf.runs.store import Store


@dataclasses.dataclass(frozen=True)
class Run:
    """A run directory's content.

    Attributes:
        name: what the report calls it; no two runs of a report have the same slug.
        store: the directory.
        experiment: what was to be run.
        data: what is known of its data.
        metric: what its columns of accuracies hold.
        starts: what is known of each start, as in experiment.json.
        results: of the finished trainings.
    """

    name: str
    store: Store
    experiment: Experiment
    data: ImageInfo | UserDataInfo
    metric: Metric
    starts: Sequence[dict[str, Any]]
    results: Sequence[Result]

    @property
    def slug(self) -> str:
        """The name as part of a file's name."""
        return re.sub(r"[^\w.-]+", "_", self.name, flags=re.ASCII)

    @cached_property
    def ticket(self) -> Ticket | None:
        """The ticket that a transfer trains; None of other runs.

        Raises:
            UserError: if it is damaged or missing.
        """
        return self.store.ticket()

    @cached_property
    def coverage(self) -> Coverage | None:
        """How many kernel weights have masks; None of the paper's networks, where all have."""
        return record.coverage_of(self.store.experiment_json())

    @cached_property
    def pretrained(self) -> int:
        """The number of weights, as named ones, that do not start from random values."""
        return self.store.experiment_json().get("objective", {}).get("pretrained", 0)

    @property
    def planned(self) -> int:
        """The number of trainings that it has when it is finished."""
        return len(make_plan(self.experiment))


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Reads run directories, one that is named twice only once.

    Raises:
        UserError: if one is no run directory, or damaged.
    """
    runs: dict[str, Run] = {}
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        run, number = _read_run(folder), 2
        name = run.name
        while run.slug in runs:
            run, number = dataclasses.replace(run, name=f"{name}-{number}"), number + 1
        runs[run.slug] = run
    return list(runs.values())


def _read_run(folder: Path) -> Run:
    store = Store(folder)
    return Run(
        name=os.fsencode(folder.name).decode("utf-8", "replace"),
        store=store,
        experiment=store.experiment(),
        data=store.data(),
        metric=store.metric(),
        starts=store.experiment_json()["starts"],
        results=store.published_results() if store.is_published else store.results(),
    )


def read_curve(store: Store, training: Training, column: str) -> dict[int, float]:
    """Reads a column of a finished training's metrics.csv, by iteration, without its blanks.

    Args:
        store: the run directory.
        training: a finished training.
        column: of metrics.csv, as a network that is judged by accuracy has it.

    Raises:
        UserError: if the file is missing or damaged.
    """
    path = store.metrics_path(training)
    named = store.named_metric().quantity
    rows = reading.read_table(path, frozenset(("iteration", column)), named)
    texts = {row["iteration"]: row[column] for row in rows}
    return reading.conform_row(path, texts, dict[reading.Count, float])
