"""An arm of a user's package is one file: it is trained, drawn in the report and in results.csv."""

import csv
import json

import pytest

from lth_tf import report
from lth_tf.arms import Arm
from lth_tf.errors import UserError

ARMS = """
import numpy as np

from lth_tf.arms import ARMS, Arm


@ARMS.register
class Halved(Arm):
    name = "halved"
    label = "ticket, halved weights"
    help = "the ticket, its initial weights halved"
    note = "Halved weights are of the users' own."

    def weights(self, ticket, masks, draw):
        return {name: weight / 2 for name, weight in ticket().items()}


@ARMS.register
class Full(Arm):
    name = "full"
    label = "no mask"
    help = "everything"

    def masks(self, ticket, draw):
        return {name: np.ones_like(mask) for name, mask in ticket.items()}
"""
SCRIPT = """
from lth_tf import main

tiny = ["--dataset=mnist_5k", "--iterations=20", "--eval_every=10", "--rounds=1", "--xla=off"]
run = lambda name, arms: main.main(["main", *tiny, f"--name={name}", f"--arms=ticket,{arms}"])
assert run("good", "halved,reinit") == 0
assert run("bad", "full") == 1
main.main(["main", "--help"])
"""


@pytest.fixture(scope="module")
def ran(run_with_package):
    """Two runs with the package's arms, and what they printed."""
    return run_with_package(SCRIPT, users_arms=ARMS)


def test_it_is_trained_from_its_weights_and_listed(ran):
    folder = ran.folder / "runs/good"
    rows = list(csv.DictReader((folder / "results.csv").open()))
    assert [row["arm"] for row in rows] == ["dense", "halved_0", "reinit_0", "ticket"]
    assert len({row["validation_loss_at_early_stop"] for row in rows}) == 4
    assert "halved: the ticket, its initial weights halved" in " ".join(ran.out.split())


def test_the_version_of_its_package_is_recorded_and_shown(ran):
    folder = ran.folder / "runs/good"
    (start,) = json.loads((folder / "experiment.json").read_text())["starts"]
    assert start["versions"]["users"] == "1.0"
    assert "users 1.0" in (folder / "report/report.md").read_text()


def test_it_is_in_figures_and_tables_behind_the_others(ran):
    folder = ran.folder / "runs/good/report"
    drawn = (folder / "good-test_accuracy_final.svg").read_text()
    labels = ("dense network", "tickets", "random reinit", "ticket, halved weights")
    places = [drawn.index(f">{label}</text>") for label in labels]
    assert places == sorted(places)
    page = (folder / "report.md").read_text()
    assert "| ticket, halved weights |" in page and "are of the users' own." in page
    assert page.index("| random reinit |") < page.index("| ticket, halved weights |")


def test_masks_of_another_number_are_refused(ran):
    assert (
        "--arms=full: its masks must be boolean arrays of the ticket's kernels and shapes, and "
        "keep 213,060 weights at level 1; they keep 266,200"
    ) in ran.err


def test_where_the_package_is_not_installed_it_is_drawn_by_its_name(ran, tmp_path):
    assert report.main(["report", str(ran.folder / "runs/good"), f"--out={tmp_path}/report"]) == 0
    assert ">halved</text>" in (tmp_path / "report/good-test_accuracy_final.svg").read_text()
    assert "| halved |" in (tmp_path / "report/report.md").read_text()


@pytest.mark.parametrize("wrong", ["dense", "a/b", "Mine", "mine_", ""])
def test_a_name_that_cannot_be_a_folders_is_refused(wrong):
    with pytest.raises(UserError, match=f"--arms={wrong}: .* must name it by small letters"):
        type("Mine", (Arm,), {"name": wrong})
