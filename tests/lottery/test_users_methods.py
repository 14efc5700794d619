"""A user's package adds how many weights remain, when masks change and what is rewound to."""

import numpy as np
import pytest

from lth_tf import report
from lth_tf.formats.ticket import Ticket

DENSITY = """
from lth_tf.pruning.densities import DENSITIES, Density


@DENSITIES.register
class Widest(Density):
    name = "widest"
    help = "the widest kernel loses its rate, the others nothing"

    def keep(self, shapes, rates, left):
        widest = max(left, key=left.get)
        return left | {widest: left[widest] - round(rates[widest[0]] * left[widest])}
"""
SCHEDULE = """
from lth_tf.training.mask_schedules import MASK_SCHEDULES, MaskSchedule, Promise


@MASK_SCHEDULES.register
class Melting(MaskSchedule):
    name = "melting"
    place = 100
    help = "each kernel loses its last weights after ten iterations"
    promise = Promise.SHRINK
    updates = (10,)

    def update(self, moment):
        masks = {name: mask.copy() for name, mask in moment.masks.items()}
        for (name,), count in self.plan.left.items():
            masks[name].flat[count:] = False
        return masks
"""
REWINDING = """
from lth_tf.lottery.rewinding import REWINDINGS, Rewinding


@REWINDINGS.register
class Halfway(Rewinding):
    name = "halfway"
    help = "half-way between the initial weights and those that were trained"

    def weights(self, earlier, masks):
        first, last = earlier.of_dense("initial"), earlier.last_trained(masks)
        return {name: (first[name] + last[name]) / 2 for name in first}
"""
SCRIPT = """
from lth_tf import Found, main

tiny = ["--dataset=mnist_5k", "--iterations=20", "--eval_every=10", "--xla=off", "--noreport"]
tiny += ["--rounds=2", "--prune_output=0.2"]
for flag in ("--scope=widest", "--strategy=melting", "--rewind=halfway"):
    name = flag.partition("=")[2]
    assert main.main(["main", *tiny, f"--name={name}", flag]) == 0
    for level in range(3):
        Found(f"runs/{name}").ticket(level).save(f"{name}_{level}.safetensors")
assert main.main(["main", *tiny, "--strategy=melting", "--rewind=halfway"]) == 1
main.main(["main", "--help"])
"""
SIZES = {"dense1/kernel": 784 * 300, "dense2/kernel": 300 * 100, "output/kernel": 1000}


@pytest.fixture(scope="module")
def ran(run_with_package):
    """Three runs with the package's classes, and what they printed."""
    modules = {"their_density": DENSITY, "their_schedule": SCHEDULE, "their_rewinding": REWINDING}
    return run_with_package(SCRIPT, **modules)


@pytest.fixture(scope="module")
def ticket(ran):
    """Reads what one of them found at a level."""
    return lambda name, level: Ticket.load(ran.folder / f"{name}_{level}.safetensors")


def test_its_density_says_how_many_weights_remain(ticket):
    for level, left in ((1, 188_160), (2, 150_528)):
        counts = {name: mask.sum() for name, mask in ticket("widest", level).masks.items()}
        assert counts == SIZES | {"dense1/kernel": left}


def test_its_schedule_changes_masks_as_it_says(ticket):
    for level, share in ((1, 0.8), (2, 0.64)):
        for name, mask in ticket("melting", level).masks.items():
            left = round(share * SIZES[name])
            assert mask.flat[:left].all() and not mask.flat[left:].any()


def test_trainings_go_on_from_what_its_rewinding_says(ticket):
    dense, *found = (ticket("halfway", level) for level in range(3))
    trained = dense.trained
    for each in found:
        for name, mask in each.masks.items():
            halfway = (dense.weights[name] + trained[name]) / 2
            np.testing.assert_array_equal(each.weights[name], np.where(mask, halfway, 0))
        trained = each.trained


def test_the_help_has_them_and_what_does_not_go_together_is_refused(ran):
    assert "--rewind=halfway: must be 0 with --strategy=melting" in ran.err
    text = " ".join(ran.out.split())
    for help_text in (
        "the widest kernel loses its rate, the others nothing",
        "each kernel loses its last weights after ten iterations",
        "half-way between the initial weights and those that were trained",
    ):
        assert help_text in text


def test_where_the_package_is_not_installed_a_run_that_needs_it_says_so(ran, tmp_path, capfd):
    def reported(name):
        return report.main(["report", str(ran.folder / "runs" / name), f"--out={tmp_path / name}"])

    assert reported("widest") == 0  # its counts are in the results
    for name, flag in (("melting", "--strategy=melting"), ("halfway", "--rewind=halfway")):
        capfd.readouterr()
        assert reported(name) == 1
        error = capfd.readouterr().err
        assert f"{name}/experiment.json: {flag}: must be " in error
        assert error.endswith("; the run was made with users 1.0, not installed here\n")
