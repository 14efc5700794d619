"""Rows of studies as CSV: what is written is read again, and what is not such a row is refused."""

import dataclasses
from pathlib import Path

import pytest

from lth_tf.errors import UserError
from lth_tf.studies.ensemble import Ensemble
from lth_tf.studies.rows import read_rows, rows_csv, value_of

PUBLISHED = Path(__file__).parents[2] / "runs/published/lenet_iterative/studies/ensemble"


@dataclasses.dataclass(frozen=True)
class Row:
    """One of each type."""

    text: str
    count: int
    value: float | None
    counts: tuple[int, ...]
    is_first: bool


ROWS = [
    Row("a, b", 3, 0.1 + 0.2, (1, 2, 3), True),
    Row("", -1, None, (), False),
]


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(rows_csv(ROWS))
    assert read_rows(path, Row) == ROWS


@pytest.mark.parametrize(
    "text", ["", "text,count\na,1\n", rows_csv(ROWS).replace("0.3", "x"), rows_csv(ROWS)[:40]]
)
def test_what_is_no_such_row_is_refused(tmp_path, text):
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=r"rows\.csv: must be what a study"):
        read_rows(path, Row)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("5,6", tuple[int, ...], (5, 6)),
        ("a b,c", tuple[str, ...], ("a b", "c")),
        ("", tuple[int, ...], ()),
        ("7", int | None, 7),
        ("", int | None, None),
        ("True", bool, True),
    ],
)
def test_values_of_flags(text, kind, value):
    assert value_of(text, kind, ",") == value


def test_a_published_ensemble_is_still_read_and_shown():
    study = Ensemble()
    rows = read_rows(PUBLISHED / "ensemble.csv", study.row)
    text = (PUBLISHED / "ensemble.md").read_text().replace("\\", "")
    for row in study.table(rows).rows:
        assert f"| {' | '.join(row)} |" in text
    assert "the vote of 5 tickets of different θ0" in study.sentence(rows)
