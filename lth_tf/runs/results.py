"""Result: what is known of a finished training, as result.json and a row of results.csv have it."""

import csv
import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

EARLY_STOP = "early_stop_iteration"
AT_EARLY_STOP = "test_accuracy_at_early_stop"
AT_END = "test_accuracy_final"
TRAIN_AT_EARLY_STOP = "train_accuracy_at_early_stop"
TRAIN_AT_END = "train_accuracy_final"
VALIDATION_AT_EARLY_STOP = "validation_accuracy_at_early_stop"
SEARCH = "search_iterations"
UNTRAINED = "test_accuracy_untrained"
COLUMNS = (
    "replicate",
    "level",
    "arm",
    "density",
    "remaining",
    EARLY_STOP,
    "validation_loss_at_early_stop",
    AT_EARLY_STOP,
    AT_END,
    "iterations",
    "seconds",
)
# Behind the columns of marks: new ones leave the old ones where they were.
NEWER = (TRAIN_AT_EARLY_STOP, TRAIN_AT_END, VALIDATION_AT_EARLY_STOP, SEARCH, UNTRAINED)
METRICS = (
    "iteration",
    "train_loss",
    "validation_loss",
    "validation_accuracy",
    "test_accuracy",
    "train_accuracy",
)
_AT = "test_accuracy_at_"


@dataclasses.dataclass(frozen=True)
class Result:
    """A finished training; the names are those of results.csv.

    Attributes:
        replicate: its replicate.
        level: its level.
        arm: its arm.
        density: remaining over all kernel weights.
        remaining: number of remaining kernel weights.
        early_stop_iteration: where the validation loss was lowest.
        validation_loss_at_early_stop: the loss there.
        test_accuracy_at_early_stop: the test accuracy there, a fraction.
        test_accuracy_final: the test accuracy at the end, a fraction.
        iterations: iterations trained to.
        seconds: how long it took.
        test_accuracy_at: test accuracy by marked iteration.
        layers: remaining and all weights by kernel.
        train_accuracy_at_early_stop: training accuracy there, a fraction; of a sample of 10,000
            examples where all of them would take more than 1 % of the time; None in results from
            before it was measured.
        train_accuracy_final: training accuracy at the end, likewise.
        validation_accuracy_at_early_stop: the validation accuracy there, likewise.
        search_iterations: the iterations that were spent before the level's ticket could be
            trained; None where they are not known.
        test_accuracy_untrained: the test accuracy of what the training started from, of a ticket
            mask * theta_0 (or theta_k); None where its masks were not the level's yet, and
            likewise.
    """

    replicate: int
    level: int
    arm: str
    density: float
    remaining: int
    early_stop_iteration: int
    validation_loss_at_early_stop: float
    test_accuracy_at_early_stop: float
    test_accuracy_final: float
    iterations: int
    seconds: float
    test_accuracy_at: dict[int, float]
    layers: dict[str, tuple[int, int]]
    train_accuracy_at_early_stop: float | None = None
    train_accuracy_final: float | None = None
    validation_accuracy_at_early_stop: float | None = None
    search_iterations: int | None = None
    test_accuracy_untrained: float | None = None

    @property
    def emptied(self) -> list[str]:
        """The layers of which no weight is left."""
        return [name.removesuffix("/kernel") for name, (left, _) in self.layers.items() if not left]

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Result":
        """Returns the result that result.json holds."""
        values = {
            field.name: fields.get(field.name) if field.name in NEWER else fields[field.name]
            for field in dataclasses.fields(cls)
        }
        values["test_accuracy_at"] = {int(k): v for k, v in values["test_accuracy_at"].items()}
        values["layers"] = {name: tuple(counts) for name, counts in values["layers"].items()}
        return cls(**values)


def at_mark(mark: int) -> str:
    """Returns the column of test accuracy at a marked iteration."""
    return f"{_AT}{mark}"


def results_csv(results: Sequence[Result]) -> str:
    """Returns results.csv: a row per training, columns of marks and newer ones behind the first."""
    marks = sorted({mark for result in results for mark in result.test_accuracy_at})
    rows = (
        [getattr(result, column) for column in COLUMNS]
        + [result.test_accuracy_at.get(mark, "") for mark in marks]
        + [getattr(result, column) for column in NEWER]
        for result in results
    )
    return csv_text([*COLUMNS, *map(at_mark, marks), *NEWER], rows)


def results_of_csv(text: str) -> list[Result]:
    """Returns the results that `results_csv` wrote, but for what is left of each layer.

    Raises:
        KeyError, TypeError, ValueError: if the text is something else.
    """
    return [_result_of(row) for row in csv.DictReader(io.StringIO(text))]


def _result_of(row: Mapping[str, str]) -> Result:
    types = {field.name: field.type for field in dataclasses.fields(Result)}
    values: dict[str, Any] = {name: types[name](row[name]) for name in COLUMNS}
    values.update(
        (name, int(row[name]) if name == SEARCH else float(row[name]))
        for name in NEWER
        if row.get(name)
    )
    marks = {name.removeprefix(_AT): value for name, value in row.items() if name.startswith(_AT)}
    at = {int(mark): float(value) for mark, value in marks.items() if value and mark.isdecimal()}
    return Result(**values, test_accuracy_at=at, layers={})


def metrics_csv(rows: Iterable[Any]) -> str:
    """Returns metrics.csv of a training's rows, blank where nothing was measured."""
    return csv_text(METRICS, ([getattr(row, name) for name in METRICS] for row in rows))


def csv_text(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Returns a table as CSV, blank where a value is None.

    Args:
        header: names of the columns.
        rows: a value for each column.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
