"""What a report says of a run's recipe, and of how it was started."""

import dataclasses

from lth_tf.analysis.figures.comparison import labels
from lth_tf.analysis.report.background import recipe_table, runtime_table
from lth_tf.runs.run import read_runs


def test_a_start_without_flags_has_no_command(make_run, tmp_path):
    (run,) = read_runs([make_run(tmp_path / "r", rounds=0)])
    assert "command" in dict(runtime_table(run).rows)
    starts = [{**start, "flags": []} for start in run.starts]
    assert "command" not in dict(runtime_table(dataclasses.replace(run, starts=starts)).rows)


def test_the_legend_writes_a_field_as_the_recipe_does(make_run, tmp_path):
    marks = {"a": (1000,), "b": (1000, 2000)}
    folders = [make_run(tmp_path / n, rounds=0, recipe={"marks": m}) for n, m in marks.items()]
    runs = read_runs(folders)
    assert labels(runs) == {"a": "marks 1,000", "b": "marks 1,000, 2,000"}
    rows = [dict(row[:2] for row in recipe_table(run).rows) for run in runs]
    assert [row["marks"] for row in rows] == ["1,000", "1,000, 2,000"]
