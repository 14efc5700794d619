"""Result: what is known of a finished training, as result.json and a row of results.csv have it."""

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from lth_tf.errors import UserError
from lth_tf.metric import ACCURACY, Metric
from lth_tf.reading import Count, conform, conform_row, read_table

EARLY_STOP = "early_stop_iteration"
AT_EARLY_STOP = "test_accuracy_at_early_stop"
AT_END = "test_accuracy_final"
TRAIN_AT_EARLY_STOP = "train_accuracy_at_early_stop"
TRAIN_AT_END = "train_accuracy_final"
VALIDATION_AT_EARLY_STOP = "validation_accuracy_at_early_stop"
SEARCH = "search_iterations"
UNTRAINED = "test_accuracy_untrained"
WORK = "multiply_adds"
SEARCH_WORK = "search_multiply_adds"
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
NEWER = (
    *(TRAIN_AT_EARLY_STOP, TRAIN_AT_END, VALIDATION_AT_EARLY_STOP, SEARCH, UNTRAINED),
    *(WORK, SEARCH_WORK),
)
METRICS = (
    "iteration",
    "train_loss",
    "validation_loss",
    "validation_accuracy",
    "test_accuracy",
    "train_accuracy",
)
_AT = "test_accuracy_at_"
_Level = Annotated[int, Meta(ge=0, le=10**6)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Seconds = Annotated[float, Meta(ge=0)]
_Work = Annotated[float, Meta(ge=0)]


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
        multiply_adds: what its steps took, at the densities at which they ran; likewise.
        search_multiply_adds: what was spent so before the level's ticket could be trained.
    """

    replicate: _Level
    level: _Level
    arm: str
    density: _Share
    remaining: Count
    early_stop_iteration: Count
    validation_loss_at_early_stop: float
    test_accuracy_at_early_stop: float
    test_accuracy_final: float
    iterations: Count
    seconds: _Seconds
    test_accuracy_at: dict[int, float]
    layers: dict[str, tuple[Count, Count]]
    train_accuracy_at_early_stop: float | None = None
    train_accuracy_final: float | None = None
    validation_accuracy_at_early_stop: float | None = None
    search_iterations: Count | None = None
    test_accuracy_untrained: float | None = None
    multiply_adds: _Work | None = None
    search_multiply_adds: _Work | None = None

    @property
    def emptied(self) -> list[str]:
        """The layers of which no weight is left."""
        return [name.removesuffix("/kernel") for name, (left, _) in self.layers.items() if not left]

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], where: object = "the result") -> "Result":
        """Returns the result that result.json holds.

        Args:
            fields: its fields.
            where: the file, for messages.

        Raises:
            UserError: if a field is missing or wrong, or they do not fit each other.
        """
        result = conform(where, dict(fields), cls)
        result.check(where)
        return result

    def check(self, where: object) -> None:
        """Checks that its numbers fit each other.

        Args:
            where: the file, for messages.

        Raises:
            UserError: if they do not.
        """
        if self.early_stop_iteration > self.iterations:
            raise UserError(
                f"{where}: early_stop_iteration must be at most iterations, {self.iterations:,}, "
                f"found {self.early_stop_iteration:,}"
            )
        for name, (left, size) in self.layers.items():
            if left > size:
                raise UserError(
                    f"{where}: layers.{name} must keep at most {size:,}, found {left:,}"
                )
        total = sum(size for _, size in self.layers.values())
        left = sum(left for left, _ in self.layers.values())
        if total and left != self.remaining:
            raise UserError(
                f"{where}: remaining must be the sum of layers, {left:,}, found {self.remaining:,}"
            )
        if total and not math.isclose(self.density, left / total, abs_tol=1e-9):
            raise UserError(
                f"{where}: density must be {left:,} / {total:,}, found {self.density:g}"
            )

    def check_shares(self, where: object) -> None:
        """Checks that its accuracies are shares; not asked of another metric.

        Args:
            where: the file, for messages.

        Raises:
            UserError: if one is not.
        """
        named = {f"test_accuracy_at.{mark}": v for mark, v in self.test_accuracy_at.items()}
        named |= {name: value for name, value in vars(self).items() if "accuracy" in name}
        for name, value in named.items():
            if isinstance(value, float | int) and not 0 <= value <= 1:
                raise UserError(f"{where}: {name} must be from 0 to 1, found {value:g}")


def at_mark(mark: int) -> str:
    """Returns the column of test accuracy at a marked iteration."""
    return f"{_AT}{mark}"


def results_csv(results: Sequence[Result], metric: Metric = ACCURACY) -> str:
    """Returns results.csv: a row per training, columns of marks and newer ones behind the first.

    Args:
        results: the results.
        metric: what the accuracies are; columns have its name.
    """
    marks = sorted({mark for result in results for mark in result.test_accuracy_at})
    rows = (
        [getattr(result, column) for column in COLUMNS]
        + [result.test_accuracy_at.get(mark, "") for mark in marks]
        + [getattr(result, column) for column in NEWER]
        for result in results
    )
    header = [*COLUMNS, *map(at_mark, marks), *NEWER]
    return csv_text(map(metric.column, header), rows)


def read_results_csv(path: Path, metric: Metric = ACCURACY) -> list[Result]:
    """Returns the results that `results_csv` wrote, but for what is left of each layer.

    Args:
        path: the file.
        metric: what the accuracies are.

    Raises:
        UserError: if the file is something else, or has a training twice.
    """
    rows = read_table(path, frozenset(COLUMNS), metric.quantity)
    results = [_result_of(f"{path}: row {number}", row) for number, row in enumerate(rows, 2)]
    trainings = [(result.replicate, result.level, result.arm) for result in results]
    if len(set(trainings)) < len(trainings):
        raise UserError(f"{path}: must have each training only once")
    return results


def _result_of(where: str, row: Mapping[str, str]) -> Result:
    if blank := [name for name in COLUMNS if row[name] == ""]:
        raise UserError(f"{where}: {blank[0]} must not be blank")
    marks = {name.removeprefix(_AT): value for name, value in row.items() if name.startswith(_AT)}
    marks = {mark: value for mark, value in marks.items() if mark.isdecimal() and value}
    texts = {name: row.get(name, "") for name in (*COLUMNS, *NEWER)}
    plain = conform_row(where, texts, _Row)
    at = conform_row(where, marks, dict[int, float])
    result = Result(**dataclasses.asdict(plain), test_accuracy_at=at, layers={})
    result.check(where)
    return result


_Row = dataclasses.make_dataclass(
    "_Row",
    [
        (field.name, field.type, dataclasses.field(default=field.default))
        if field.name in NEWER
        else (field.name, field.type)
        for field in dataclasses.fields(Result)
        if field.name not in ("test_accuracy_at", "layers")
    ],
)


def metrics_csv(rows: Iterable[Any], metric: Metric = ACCURACY) -> str:
    """Returns metrics.csv of a training's rows, blank where nothing was measured.

    Args:
        rows: the evaluations.
        metric: what the accuracies are; columns have its name.
    """
    header = map(metric.column, METRICS)
    return csv_text(header, ([getattr(row, name) for name in METRICS] for row in rows))


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
