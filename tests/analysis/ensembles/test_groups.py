"""Which trainings vote together, from run directories made by hand, and what the report shows."""

import dataclasses

import numpy as np
import pytest

from lth_tf import report
from lth_tf.analysis.ensembles.groups import find_groups
from lth_tf.analysis.ensembles.votes import measure
from lth_tf.errors import UserError
from lth_tf.runs.run import read_runs
from lth_tf.studies.rows import rows_csv


@pytest.fixture(scope="module")
def full(make_run, tmp_path_factory):
    """A run of three replicates, of the last of which level 6 and 7 are missing."""
    folder = tmp_path_factory.mktemp("groups") / "full"
    return make_run(
        folder, rounds=7, replicates=3, arms=("ticket", "reorder"), reinits=11,
        finished=lambda training: training.replicate < 2 or training.level < 6,
    )  # fmt: skip


def paths(group):
    return [training.path for training in group.trainings]


def test_groups_have_the_trainings_that_they_are_named_for(full):
    found = find_groups(read_runs([full]), 4)
    assert found.notes == [] and not found.equal
    assert {group.name: paths(group) for group in found.voting} == {
        "tickets of different θ0": [f"replicate_0{r}/level_04/ticket" for r in range(3)],
        "tickets of one θ0, levels 3 to 5": [
            f"replicate_00/level_0{n}/ticket" for n in (3, 4, 5)
        ],
        "one ticket, several orders": [
            f"replicate_00/level_04/{arm}" for arm in ("ticket", "reorder_0", "reorder_1")
        ],
        "dense networks": [f"replicate_0{r}/level_00/dense" for r in range(3)],
    }  # fmt: skip
    assert found.tickets is found.voting[0]
    assert found.tickets.remaining == 3 * found.tickets.results[0].remaining


def test_other_groups_have_as_many_members_as_there_are_tickets(full):
    for level, count, near in ((6, 2, "5, 6"), (1, 3, "1 to 3"), (7, 2, "6, 7")):
        groups = find_groups(read_runs([full]), level).voting
        assert [len(group.results) for group in groups] == [count] * 4
        assert groups[1].name == f"tickets of one θ0, levels {near}"
    chosen = find_groups(read_runs([full]), 4, [1, 2, 5, 6]).voting[1]
    assert chosen.name == "tickets of one θ0, levels 1, 2, 5, 6"
    assert [result.level for result in chosen.results] == [1, 2, 5, 6]
    chosen = find_groups(read_runs([full]), 4, [5, 1, 3, 3]).voting[1]
    assert chosen.name == "tickets of one θ0, levels 1, 3, 5"
    assert [result.level for result in chosen.results] == [1, 3, 5]  # each votes once


def test_what_is_of_one_member_only_is_left_out_with_a_reason(make_run, tmp_path):
    (run,) = read_runs([make_run(tmp_path / "one", rounds=9)])
    found = find_groups([run], 2)
    (group,) = found.voting
    assert group.name == "tickets of one θ0, levels 1 to 5"
    assert list(found.notes) == [
        "Left out: tickets of different θ0 (one): two are needed, 1 finished.",
        "Left out: one ticket, several orders (one): two are needed, 1 finished; "
        "--arms=ticket,reorder trains some.",
        "Left out: dense networks (one): two are needed, 1 finished.",
    ]


def test_dense_networks_of_the_tickets_size_in_all_are_named_as_such(full, make_run, tmp_path):
    small = make_run(tmp_path / "small", rounds=0, replicates=4)
    first, other = read_runs([full, small])
    (size,) = {result.remaining for result in first.results if result.level == 4}
    for factor, equal in ((1.05, True), (0.95, True), (1.15, False), (0.85, False)):
        results = [
            dataclasses.replace(result, remaining=round(factor * size)) for result in other.results
        ]
        found = find_groups([first, dataclasses.replace(other, results=results)], 4)
        assert found.equal is equal
        assert found.voting[-1].name == "dense networks" + ", equal size" * equal
        assert found.voting[-2].name == "dense networks" and found.voting[-2].run is first
        assert found.voting[-1].run.name == "small" and len(found.voting[-1].results) == 3


def test_runs_that_cannot_be_compared_are_refused_in_one_line(full, make_run, tmp_path):
    fashion = make_run(tmp_path / "fashion", rounds=1, recipe={"dataset": "fashion_mnist"})
    dense = make_run(tmp_path / "dense", rounds=0)

    def told(folders, *levels):
        with pytest.raises(UserError) as error:
            find_groups(read_runs(folders), *levels)
        return str(error.value)

    assert told([full, fashion], 1) == (
        f"{fashion}: must have the test set of full, mnist (10,000 test examples); "
        "has fashion_mnist (10,000 test examples)"
    )
    assert told([full], 8) == (
        f"--level=8: {full} must have a finished ticket of it, has only of levels 1 to 7"
    )
    assert told([dense], 1).endswith("must have a finished ticket of it, has none")
    assert told([full], 4, [4, 9]) == (
        f"--levels=4,9: replicate 0 of {full} must have a finished ticket of level 9"
    )


@pytest.fixture
def votes(full):
    """Votes of networks that guess."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 300)
    return [
        vote
        for group in find_groups(read_runs([full]), 4).voting
        for vote in measure(group, rng.normal(size=(3, 300, 10)), labels, rng)
    ]


def test_votes_are_of_all_sizes_and_known_with_their_interval_of_the_whole(votes):
    assert [(vote.size, vote.subsets) for vote in votes] == [(1, 3), (2, 3), (3, 1)] * 4
    for one, two, whole in zip(votes[::3], votes[1::3], votes[2::3], strict=True):
        assert one.disagreement is None and one.accuracy_low is None and two.gain is None
        assert whole.gain == pytest.approx(whole.accuracy - one.accuracy, abs=1e-12)
        assert whole.accuracy_low < whole.accuracy < whole.accuracy_high
        assert whole.gain_low < whole.gain < whole.gain_high
        assert two.disagreement == pytest.approx(whole.disagreement)
        assert 2 * one.remaining == two.remaining == pytest.approx(2 / 3 * whole.remaining)


def test_the_report_has_a_section_on_the_votes_that_an_earlier_version_left(
    votes, make_run, tmp_path, capfd
):
    folder = make_run(tmp_path / "a_run", rounds=1, replicates=2)
    (folder / "ensemble").mkdir()
    (folder / "ensemble/ensemble.csv").write_text(rows_csv(votes))
    assert report.main(["lth_tf.report", str(folder)]) == 0
    out = folder / "report"
    assert (out / "a_run-ensemble.png").read_bytes().startswith(b"\x89PNG\r\n")
    for name in ("report.md", "report.html"):
        text = (out / name).read_text().replace("\\", "")
        assert "a_run: ensembles" in text
        assert text.index("Verdict by level") < text.index("Ensembles of tickets at level 4")
        assert f"{100 * votes[2].accuracy:.2f} ({100 * votes[2].accuracy_low:.2f} to " in text

    (folder / "ensemble/ensemble.csv").write_text("group,run\na,b\n")
    capfd.readouterr()
    assert report.main(["lth_tf.report", str(folder)]) == 1
    error = capfd.readouterr().err
    assert error.startswith(f"lth_tf: {folder}/ensemble/ensemble.csv: must be what")
    assert error.count("\n") == 1
