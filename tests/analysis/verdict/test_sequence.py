"""The sequence of tests: which levels are tested, which of them are claimed, and LeNet's."""

from pathlib import Path

import pytest

from lth_tf.analysis.verdict.judging import judge
from lth_tf.analysis.verdict.sentence import verdict_sentence
from lth_tf.analysis.verdict.sequence import in_sequence
from lth_tf.analysis.verdict.verdict import LevelVerdict, Margins, Outcome, Verdict, margins_for
from lth_tf.errors import UserError
from lth_tf.runs.results import read_results_csv
from lth_tf.runs.store import Store

LENET = Path(__file__).parents[3] / "runs/published/lenet_iterative"
OUTCOMES = {outcome.name[0]: outcome for outcome in Outcome if outcome is not Outcome.SUPERIOR}


def levels(outcomes, densities):
    """Levels with these densities and outcomes: S(upported), I, R, N."""
    return [
        LevelVerdict(
            level=number,
            density=density,
            replicates=(0, 1),
            endpoints=(),
            outcome=OUTCOMES[outcome],
            tested=None,
            holding=0,
            holding_interval=(0, 1),
            effects=(),
            arms={},
        )
        for number, (outcome, density) in enumerate(zip(outcomes, densities, strict=True), 1)
    ]


@pytest.mark.parametrize(
    ("outcomes", "tested", "claimed"),
    [
        # Four levels above a quarter of the weights, then five: claimed up to the first that fails.
        ("IISS SSISS", "-ddd ccc--", [5, 6]),
        ("SSSS SSSSS", "dddd ccccc", [5, 6, 7, 8, 9]),
        ("RSSS SISSS", "dddd cc---", [5]),  # the densest is tested, and fails
        ("SSIS SSSNS", "--dd cccc-", [5, 6, 7]),
        ("SSSS ISSSS", "---- c----", []),  # the first fails: denser ones are no range around it
        ("SSSS NSSSS", "---- c----", []),
    ],
)
def test_sparser_levels_are_tested_from_the_claims_density_and_denser_ones_upwards(
    outcomes, tested, claimed
):
    densities = [0.8, 0.64, 0.512, 0.41, 0.25, 0.2, 0.16, 0.128, 0.1]
    found = in_sequence(levels(outcomes.replace(" ", ""), densities), 0.25)
    signs = {"claim": "c", "denser": "d", "no": "-"}
    assert "".join(signs[v.tested] for v in found) == tested.replace(" ", "")
    verdict = Verdict(Margins(0, 0), found, None)
    assert [v.level for v in verdict.claimed] == claimed
    assert verdict.first.level == 5


def test_levels_whose_densities_do_not_fall_are_each_there_once():
    found = in_sequence(levels("SSSS", [0.3, 0.24, 0.26, 0.1]), 0.25)
    assert [(v.level, str(v.tested)) for v in found] == [
        (1, "denser"), (2, "claim"), (3, "claim"), (4, "claim"),
    ]  # fmt: skip


def test_without_a_level_so_sparse_none_is_tested():
    found = in_sequence(levels("SSS", [0.8, 0.64, 0.512]), 0.5)
    assert {str(v.tested) for v in found} == {"no"}
    verdict = Verdict(Margins(0, 0), found, None)
    assert verdict.first is None and verdict.claimed == ()


@pytest.mark.parametrize("density", [0.0, -0.25, 1.01, 25.0, float("nan")])
def test_the_claims_density_is_a_share(density):
    with pytest.raises(UserError, match=f"--claim_density={density:g}: must be a share"):
        Margins(0.002, 0.1, claim_density=density)


def test_lenet_as_published_has_winning_tickets_from_21_down_to_11_per_cent():
    results = read_results_csv(LENET / "results.csv")
    verdict = judge(results, margins_for("mnist"), Store(LENET).experiment().recipe.eval_every)
    found = {f"{100 * v.density:.3g}": str(v.outcome) for v in verdict.levels[6:11]}
    assert found == {
        "21.1": "superior",
        "16.9": "superior",
        "13.5": "superior",
        "10.8": "supported",
        "8.68": "inconclusive",
    }
    assert [str(v.tested) for v in verdict.levels] == (
        ["no"] * 2 + ["denser"] * 4 + ["claim"] * 5 + ["no"] * 9
    )
    assert verdict_sentence(verdict).startswith(
        "Winning tickets from 21.1% down to 10.8% of the weights, within margins of 0.2 points and "
        "10% of the iterations: at 10.8%, test accuracy +0.39 points (at least +0.18), early "
        "stopping after 0.78 times the iterations (at most 1.08), 5 replicates; against random "
        "reinit at 10.8%, test accuracy +0.5"
    )
