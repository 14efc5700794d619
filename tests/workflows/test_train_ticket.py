"""A ticket from a file is trained on another task, beside the dense network and its controls."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lth_tf
from lth_tf.arms import ARMS
from lth_tf.data import ImageData, load
from lth_tf.data.sources.tfds import cache
from lth_tf.errors import UserError
from lth_tf.formats.ticket import Ticket
from lth_tf.lottery.rewinding import rewinding_for
from lth_tf.lottery.tickets import initial_weights, ticket
from lth_tf.paper.recipes import paper_recipe
from lth_tf.runs.experiment import Experiment, Training, make_plan
from lth_tf.runs.provenance import describe_start
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store

pytestmark = pytest.mark.long

TICKET, REINIT, SHUFFLED = (
    Training(0, 2, arm) for arm in ("ticket", "reinit_0", "shuffled_mask_0")
)
CHANGES = ("--optimizer=sgd", "--learning_rate=0.1", "--iterations=40", "--name=t")
OWN = """
import numpy as np
import tf_keras as keras

def data(classes):
    rng = np.random.default_rng(classes)
    images = rng.normal(size=(120, 8)).astype(np.float32)
    labels = images[:, :classes].argmax(1)
    return [(images[rows], labels[rows]) for rows in np.split(np.arange(120), (80, 100))]

def net(classes, hidden=16):
    dense = keras.layers.Dense
    model = keras.Sequential([keras.Input((8,)), dense(hidden, "relu"), dense(classes)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(True), metrics=["accuracy"])
    return model

def data3(): return data(3)
def data5(): return data(5)
def net3(): return net(3)
def net5(): return net(5)
def wide(): return net(3, 17)
"""


@pytest.fixture(scope="module")
def file(reference, tmp_path_factory):
    """The file of a run's ticket of level 2."""
    path = tmp_path_factory.mktemp("file") / "ticket.safetensors"
    ticket(Store(reference), Training(0, 2, "ticket")).save(path)
    return path


@pytest.fixture(scope="module")
def moved(run, file, tmp_path_factory):
    """The store of a run that trains the ticket and two controls with another optimizer."""
    runs_dir = tmp_path_factory.mktemp("moved")
    arms = "--arms=ticket,reinit,shuffled_mask"
    assert run(runs_dir, f"--from_ticket={file}", arms, *CHANGES) == 0
    return Store(runs_dir / "t")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The name of a module with a user's networks and data."""
    name = f"own_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def differ(one, other):
    return [name for name in one if not np.array_equal(one[name], other[name])]


def test_the_ticket_starts_from_the_files_weights_and_keeps_its_mask(moved, file, reference, rows):
    there = Ticket.load(file)
    assert not differ(initial_weights(moved, TICKET), there.weights)
    assert not differ(moved.read_masks(TICKET), there.masks)
    assert len(differ(moved.read_arrays(TICKET, "weights"), there.weights)) == 6
    dense = initial_weights(moved, Training(0, 0, "dense"))
    assert not differ(dense, initial_weights(Store(reference), Training(0, 0, "dense")))
    assert [(row["level"], row["arm"]) for row in rows(moved.folder)] == [
        ("0", "dense"), ("2", "reinit_0"), ("2", "shuffled_mask_0"), ("2", "ticket"),
    ]  # fmt: skip
    recipe, before = moved.experiment().recipe, there.recipe
    changed = {"optimizer": "sgd", "learning_rate": 0.1, "iterations": 40}
    assert recipe == before.override(**changed)
    again = ticket(moved, TICKET)
    assert again.metadata["from_ticket"] == there.checksum
    assert again.metadata["density"] == there.metadata["density"]


def test_a_run_whose_ticket_is_of_a_later_iteration_is_not_rewound(run, rewound, tmp_path):
    ticket(Store(rewound), Training(0, 1, "ticket")).save(tmp_path / "t.safetensors")
    moved = lth_tf.train_ticket(
        tmp_path / "t.safetensors", iterations=20, folder=tmp_path / "t", report=False
    )
    there = Ticket.load(tmp_path / "t.safetensors")
    assert there.metadata["iteration"] == 20
    assert not differ(moved.ticket(1).weights, there.weights)
    assert moved.ticket(1).metadata["iteration"] == 0
    first = (tmp_path / "t/replicate_00/level_01/ticket/metrics.csv").read_text().splitlines()[1]
    assert first.startswith("0,")


def test_controls_have_the_tickets_counts_and_fresh_weights_where_it_has_none(moved, file):
    there = Ticket.load(file)
    reinit, fresh = moved.read_masks(REINIT), initial_weights(moved, REINIT)
    dense = moved.read_arrays(Training(0, 0, "dense"), "initial")
    assert not differ(reinit, there.masks)
    shuffled, weights = moved.read_masks(SHUFFLED), initial_weights(moved, SHUFFLED)
    assert len(differ(shuffled, there.masks)) == 3
    for name, mask in there.masks.items():
        assert np.count_nonzero(shuffled[name]) == np.count_nonzero(mask)
        for other in (there.weights[name], dense[name]):  # float32s may be equal by chance
            assert np.mean(fresh[name][mask] == other[mask]) < 0.001
        both, alone = shuffled[name] & mask, shuffled[name] & ~mask
        assert np.array_equal(weights[name][both], there.weights[name][both])
        assert np.array_equal(weights[name][alone], dense[name][alone])
        assert both.any() and alone.any() and (weights[name][alone] != 0).all()


def test_it_goes_on_from_its_copy_by_jobs_and_refuses_another_ticket(
    run, file, moved, tmp_path, outcome, capfd
):
    original = tmp_path / "original.safetensors"
    original.write_bytes(file.read_bytes())
    command = (tmp_path, f"--from_ticket={original}", *CHANGES)
    assert run(*command) == 0
    original.unlink()
    (tmp_path / "t" / TICKET.path / "result.json").unlink()
    assert run(*command, "--arms=ticket,reinit,shuffled_mask", "--jobs=2", "--threads=1") == 0
    capfd.readouterr()
    assert outcome(tmp_path / "t")[1].keys() == outcome(moved.folder)[1].keys()
    same = Store(tmp_path / "t")
    for training in (TICKET, REINIT, SHUFFLED):
        assert not differ(initial_weights(same, training), initial_weights(moved, training))

    other = Ticket.load(file)
    Ticket(other.masks, other.trained, None, other.metadata).save(original)
    assert run(*command) == 1
    assert re.search("holds another experiment .ticket is .* there, ", capfd.readouterr().err)
    copy = tmp_path / "t/ticket.safetensors"
    copy.write_bytes(original.read_bytes())
    assert run(tmp_path, f"--from_ticket={file}", *CHANGES) == 1
    assert f"{copy}: must be the ticket that this run was begun with" in capfd.readouterr().err


def test_another_number_of_classes_has_a_fresh_and_dense_output_layer(
    run, file, tmp_path, rows, capfd
):
    digits = load("mnist_5k")
    low = digits.train_labels < 5, digits.test_labels < 5
    arrays = (digits.train_images, digits.train_labels), (digits.test_images, digits.test_labels)
    parts = [part[kept] for pair, kept in zip(arrays, low, strict=True) for part in pair]
    folder = tmp_path / "data/lth_low/1.0.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
    cache.write(ImageData("lth_low", *parts, classes=5), folder)

    command = (
        f"--from_ticket={file}",
        "--dataset=lth_low",
        f"--data_dir={tmp_path}/data",
        *CHANGES,
    )
    assert run(tmp_path, *command, "--arms=ticket,shuffled_mask", "--report") == 0
    told = "The layer output is fresh and dense: it has 5 outputs, the ticket's has 10."
    assert told in capfd.readouterr().out
    assert run(tmp_path, *command, "--dry_run") == 0
    assert told in (planned := capfd.readouterr().out)
    store, there = Store(tmp_path / "t"), Ticket.load(file)
    dense = store.read_arrays(Training(0, 0, "dense"), "initial")
    left = 500 + sum(there.masks[f"dense{i}/kernel"].sum() for i in (1, 2))
    for row in rows(store.folder)[1:]:
        assert row["remaining"] == str(left) and f" {left:,} " in planned
        assert float(row["density"]) == left / (784 * 300 + 300 * 100 + 500)
    for training in (TICKET, SHUFFLED):
        weights = initial_weights(store, training)
        assert store.read_masks(training)["output/kernel"].all()
        assert np.array_equal(weights["output/kernel"], dense["output/kernel"])
    assert np.array_equal(store.read_masks(TICKET)["dense1/kernel"], there.masks["dense1/kernel"])
    report = (store.folder / "report/report.md").read_text().replace("\\_", "_")
    assert "found on mnist_5k and is trained on lth_low" in report
    assert "output layer is fresh and dense here" in report and "the ticket's in dataset" in report


def test_a_users_own_network_is_transferred_to_one_with_other_classes(own, tmp_path):
    recipe = lth_tf.Recipe(model=f"{own}:net3", dataset=f"{own}:data3", iterations=40)
    recipe = recipe.override(validation_size=20, batch_size=20, prune_output=0.2)
    lth_tf.run_experiment(Experiment(recipe=recipe, rounds=1), tmp_path / "a", report=False)
    there = lth_tf.Found(tmp_path / "a").ticket(1)
    found = lth_tf.train_ticket(
        there, model=f"{own}:net5", dataset=f"{own}:data5", folder=tmp_path / "b", report=False
    )
    here = found.ticket(1)
    assert not differ(here.masks, {**there.masks, "dense_1/kernel": np.ones((16, 5), bool)})
    assert np.array_equal(here.weights["dense/kernel"], there.weights["dense/kernel"])
    with pytest.raises(UserError, match=r"dense/kernel: must have shape .8, 16. as in the ticket"):
        lth_tf.train_ticket(there, model=f"{own}:wide", folder=tmp_path / "c")


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--model=conv2", "--model=conv2: must be lenet, the ticket's, or be left out"),
        ("--rounds=3", "--rounds: must be left out with --from_ticket, which prunes nothing"),
        ("--strategy=one_shot", "--strategy: must be left out with --from_ticket"),
        ("--prune_dense=0.5", "--prune_dense: must be left out with --from_ticket"),
        ("--rewind=20", "--rewind: must be left out with --from_ticket"),
        ("--arms=ticket,rewound", "--arms=rewound: must be left out with --from_ticket"),
        (
            "--dataset=cifar10",
            "--dataset=cifar10: must have images of shape (28, 28, 1), as the ticket's mnist_5k "
            "has, found (32, 32, 3)",
        ),
        ("--from_ticket=none.safetensors", "--from_ticket=none.safetensors: there is no such file"),
    ],
)
def test_what_does_not_fit_a_ticket_is_told_in_one_line(run, file, tmp_path, capfd, flag, told):
    data_dir = f"--data_dir={tmp_path}/data"
    assert run(tmp_path / "runs", f"--from_ticket={file}", data_dir, flag) == 1
    error = capfd.readouterr().err
    assert error.startswith(f"lth_tf: {told}") and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_in_which_nothing_was_trained_takes_another_ticket(reference, file, tmp_path):
    tickets = Ticket.load(file), ticket(Store(reference), Training(0, 1, "ticket"))
    data, store = Store(reference).data(), Store(tmp_path / "e")
    for each in tickets:
        experiment = Experiment(
            recipe=paper_recipe("lenet"), rounds=1, strategy="transfer", ticket=each.checksum
        )
        with store.lock():
            store.begin(experiment, data, describe_start((), Settings()))
            store.keep_ticket(each)
        assert store.ticket().checksum == each.checksum


@given(
    st.integers(1, 40), st.integers(1, 4), st.integers(1, 3),
    st.lists(st.sampled_from([*ARMS][1:]), unique=True), st.text("0123456789abcdef", min_size=1),
)  # fmt: skip
def test_a_plan_has_the_dense_network_and_the_tickets_level_and_nothing_waits(
    level, replicates, reinits, chosen, checksum
):
    experiment = Experiment(
        recipe=paper_recipe("lenet"), rounds=level, replicates=replicates, reinits=reinits,
        arms=("ticket", *chosen), strategy="transfer", ticket=checksum,
    )  # fmt: skip
    plan = make_plan(experiment)
    assert len(set(plan)) == len(plan) == replicates * (2 + reinits * len(chosen))
    assert {training.level for training in plan} == {0, level}
    assert {training.kind for training in plan} == {"dense", "ticket", *chosen}
    assert {experiment.parent(training) for training in plan} == {None}
    assert experiment.concurrency == len(plan)
    assert {rewinding_for(training, experiment).iteration for training in plan} == {0}


def test_a_directorys_name_tells_tickets_apart_and_a_strategy_needs_one():
    kept = {"recipe": paper_recipe("lenet"), "rounds": 1, "arms": tuple(ARMS)}
    names = {Experiment(strategy="transfer", ticket=t, **kept).name for t in ("a", "b")}
    assert len(names) == 2 and all(name.startswith("lenet-mnist-transfer-") for name in names)
    for wrong in ({"strategy": "transfer"}, {"strategy": "iterative", "ticket": "a"}):
        with pytest.raises(UserError, match=r"--strategy=\w+: must be one of"):
            Experiment(**kept, **wrong)
