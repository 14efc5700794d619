"""The main binary: what it refuses, what it plans, and what it shows of itself."""

import dataclasses
import json
import re
import subprocess
import sys

import pytest
from absl import flags

from lth_tf import main
from lth_tf.data import ImageInfo
from lth_tf.lottery.network import Network
from lth_tf.models import NETWORKS
from lth_tf.paper.recipes import paper_recipe
from lth_tf.runs.experiment import Experiment
from lth_tf.runs.store import Store
from lth_tf.workflows.dry_run import forecast
from lth_tf.workflows.run_experiments import Planned

pytestmark = pytest.mark.long

# The densities (%) that the paper prints, by round; LeNet's are its derived ladder.
LABELS = {
    "lenet": {
        0: "100.00", 1: "80.04", 2: "64.06", 3: "51.28", 4: "41.05", 5: "32.87", 6: "26.32",
        7: "21.07", 8: "16.88", 9: "13.52", 10: "10.83", 11: "8.68", 12: "6.95", 13: "5.57",
        14: "4.47", 15: "3.58", 16: "2.87", 17: "2.31", 18: "1.85", 19: "1.49", 20: "1.19",
    },
    "conv2": {11: "8.8", 14: "4.6"},
    "conv4": {11: "11.1", 12: "9.2", 15: "5.4"},
    "conv6": {7: "26.6", 10: "15.3"},
    "resnet18": {4: "41.7", 6: "27.1", 7: "21.9", 10: "11.8"},
    "vgg19": {12: "6.9", 15: "3.5", 19: "1.5"},
}  # fmt: skip


def test_the_labels_are_of_every_network():
    assert LABELS.keys() == NETWORKS.keys()


@pytest.mark.parametrize("model", LABELS)
def test_a_dry_run_prints_the_papers_labels_and_writes_nothing(tmp_path, capfd, model):
    folders = [f"--runs_dir={tmp_path}/runs", f"--data_dir={tmp_path}/data"]
    assert main.main(["main", f"--model={model}", "--rounds=20", "--dry_run", *folders]) == 0
    out, error = capfd.readouterr()
    assert error == ""
    densities = {int(n): d for n, d in re.findall(r"│ +(\d+) │ \w+ +│ +([\d.]+)% │", out)}
    assert sorted(densities) == list(range(21))
    for level, label in LABELS[model].items():
        digits = len(label.split(".")[1])
        assert f"{float(densities[level]):.{digits}f}" == label
    assert "21 trainings, 21 of them to run" in out
    assert re.search(r"about .+ in all, by .+ MB on disk", out)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_knows_what_is_finished_and_what_differs_from_the_paper(
    reference, reference_flags, run, capfd
):
    before = sorted(reference.rglob("*"))
    assert run(reference.parent, *reference_flags, "--rounds=3", "--dry_run") == 0
    out = capfd.readouterr().out
    assert "8 trainings, 2 of them to run, 200 iterations each" in out
    assert "by the finished trainings" in out
    assert re.search(r"learning_rate +│ 0.01 +│ 0.0012 ", out)
    assert sorted(reference.rglob("*")) == before


def test_what_is_left_takes_what_finished_trainings_took_for_an_iteration(rewound):
    store = Store(rewound)
    experiment = dataclasses.replace(store.experiment(), rounds=3)
    dense, ticket = (result.seconds for result in store.results())
    whole = (dense + ticket / 0.9) / 2  # it begins at iteration 20 of 200, as those that are left
    left = forecast(Planned(experiment=experiment, folder=rewound)).seconds
    assert list(left.values()) == pytest.approx([0.9 * whole] * 2)


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("--model=lenett", "--model=lenett: .*did you mean lenet?"),
        ("--dataset=mnistt", "--dataset=mnistt: there is no such data set"),
        ("--criterion=loudness", "--criterion=loudness: value should be one of <magnitude"),
        ("--score=loudness", "--criterion=loudness: value should be one of <magnitude"),
        ("--scope=local", "--scope=local: value should be one of <layer|global|uniform|erk>"),
        ("--prune_dense=1.5", "--prune_dense=1.5: must be .*inside .0, 1."),
        ("--prune_conv=-0.1", "--prune_conv=-0.1: must be .*inside .0, 1."),
        ("--iterations=0", "--iterations=0: must be from 1"),
        ("--validation_size=4000", "--validation_size=4000: must be below the 4,000 "),
        ("--batch_size=3501", "--batch_size=3501: must be at most the 3,500 training examples"),
        ("--warmup=201", "--warmup=201: must be 0 to --iterations .200."),
        ("--rewind=200", "--rewind=200: must be 0 to 199, below .* or one of lr, none, fine_tune$"),
        ("--arms=ticket,winner", "--arms=winner: must be one of ticket, reinit, random_mask, "),
        ("--arms=ticket,dense", "--arms=dense: must be one of ticket, reinit, random_mask, "),
        ("--prune_layers=fc*=0.1", "--prune_layers=fc.*: must fit a layer; .*dense1"),
        ("--prune_layers=dense1", "--prune_layers=dense1: must be NAME=RATE"),
        ("--prune_layers=dense1=1", "--prune_layers=dense1=1.*: the rate must be"),
        ("--scope=global", "--scope=global: must have one rate"),
        ("--scope=erk", "--scope=erk: must have one rate"),
        ("--marks=a,b", "--marks=a,b: must be whole numbers"),
        ("--marks=100,50", "--marks=100,50: must be rising iterations from 1 to 200"),
        ("--rounds=-1", "--rounds=-1: must be from 0"),
        ("--replicates=0", "--replicates=0: must be from 1"),
        ("--seed=-1", "--seed=-1: must be from 0"),
        ("--name=../x", "--name=../x: must be a plain name"),
        ("--name=.x", "--name=.x: must be a plain name"),
        ("--distribution=tpu", "--distribution=tpu: value should be one of <none"),
        ("--checkpoint_every=-1", "--checkpoint_every=-1"),
        ("--jobs=some", "--jobs=some: must be auto or a whole number"),
        ("--jobs=0", "--jobs=0: must be from 1"),
        ("stray", "stray: not understood"),
        ("--strategy=at_init", "--scope=global: must have one rate .* or take --scope=layer"),
        ("--flagfile=nowhere.flags", ".*nowhere.flags"),
        ("--runs_dir=/proc/version/x", ".*/proc/version/x"),
    ],
)
def test_a_mistake_is_told_in_one_line_before_anything_is_written(
    run, tmp_path, capfd, argument, told
):
    assert run(tmp_path / "runs", argument) == 1
    out, error = capfd.readouterr()
    assert out == "" and error.count("\n") == 1
    assert re.match(f"lth_tf: (flag )?{told}", error), error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            ["--iterations=100", "--optimizer=sgd", "--marks=40"],
            "iterations is 200 there, 100 here; optimizer is adam there, sgd here",
        ),
        (["--seed=3"], "seed is 0 there, 3 here"),
    ],
)
def test_a_directory_of_another_experiment_is_refused_by_each_field(
    reference, reference_flags, run, capfd, changes, told
):
    before = (reference / "experiment.json").read_bytes()
    for how in ((), ("--dry_run",)):
        assert run(reference.parent, *reference_flags, *changes, *how) == 1
        out, error = capfd.readouterr()
        assert out == "" and error == (
            f"lth_tf: {reference}: holds another experiment ({told}); "
            "give this one another --name, or remove the folder\n"
        )
    assert (reference / "experiment.json").read_bytes() == before


def test_a_directory_of_a_newer_version_is_refused(
    reference, reference_flags, run, tmp_path, capfd
):
    fields = json.loads((reference / "experiment.json").read_text())
    (tmp_path / "e").mkdir()
    path = tmp_path / "e/experiment.json"
    path.write_text(json.dumps({**fields, "format": 2}))
    assert run(tmp_path, *reference_flags) == 1
    error = capfd.readouterr().err
    assert error.startswith(f"lth_tf: {path}: ") and "newer version" in error
    assert error.count("\n") == 1
    assert json.loads(path.read_text())["format"] == 2


def test_the_default_name_is_of_the_recipe_and_the_seed_only(tmp_path, capfd):
    recipe = paper_recipe("lenet")

    def name(rounds=10, replicates=1, seed=0, **fields):
        changed = recipe.override(**fields)
        experiment = Experiment(recipe=changed, rounds=rounds, replicates=replicates, seed=seed)
        return experiment.name

    assert re.fullmatch(r"lenet-mnist-iterative-[0-9a-f]{8}", name())
    assert name(rounds=3, replicates=2) == name()
    assert len({name(), name(seed=1), name(eval_every=10), name(rewind=1)}) == 4
    assert main.main(["main", "--dry_run", f"--runs_dir={tmp_path}"]) == 0
    assert f"{tmp_path}/{name()}: 11 trainings" in capfd.readouterr().out


def test_rates_of_layers_come_before_the_networks_own():
    def rates_with(*arguments):
        values = flags.FlagValues()
        main.define_flags(values)
        values(["main", "--model=resnet18", "--scaling=unit", *arguments])
        experiment = main.experiment_from_flags(values)
        found = Network(experiment, ImageInfo((8, 8, 3), 10, 100, 100)).rates
        return {name.split("/")[0]: rate for name, rate in found.items()}

    shortcuts = ("stage2_block1_shortcut", "stage3_block1_shortcut")
    known = rates_with()
    assert [known[name] for name in ("stem", *shortcuts)] == [0.2, 0, 0]
    assert rates_with("--prune_layers=stem=0") == {**known, "stem": 0}
    assert rates_with("--prune_layers=stage2_*=0.5")[shortcuts[0]] == 0.5


def test_help_lists_every_flag_once_in_a_group(capfd):
    values = flags.FlagValues()
    groups = main.define_flags(values)
    listed = [name for names in groups.values() for name in names]
    assert sorted(listed) == sorted(values)
    assert main.main(["main", "--help"]) == 0
    out = capfd.readouterr().out
    for name in listed:
        (place,) = re.finditer(rf"^  --{name}(=\S+)?\n      (\S.*)$", out, re.MULTILINE)
        assert len(place[2]) > 10
    assert [line[:-1] for line in out.splitlines() if re.match(r"\w.*:$", line)] == list(groups)
    assert max(map(len, out.splitlines())) <= 100


def test_help_does_not_wait_for_tensorflow():
    code = (
        "import sys; from lth_tf import main; code = main.main(['main', '--help']); "
        "sys.exit(code or bool({'tensorflow', 'tf_keras', 'matplotlib'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0 and b"--rounds" in done.stdout


def test_a_run_from_the_shell_shows_its_own_lines_only(tmp_path):
    path = tmp_path / "tiny.flags"
    path.write_text("--dataset=mnist_5k\n--iterations=40\n--eval_every=20\n--rounds=1\n--name=e\n")
    command = [sys.executable, "-m", "lth_tf.main", f"--flagfile={path}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    coverage, *lines = done.stdout.splitlines()
    assert coverage == "Masks cover all 266,200 kernel weights."
    assert lines[0] == "runs/e: 2 trainings, 2 of them to run"
    assert re.match(r"replicate 0 level  0  dense   100.00%  early stop at \d+: test ", lines[1])
    assert re.match(r"replicate 0 level  1  ticket   80.04%  early stop at \d+: test ", lines[2])
    assert lines[-2:] == [
        "Report: runs/e/report/report.html",
        "To watch the trainings: tensorboard --logdir runs",
    ]
    log = (tmp_path / "runs/e/run.log").read_text()
    assert "oneDNN" in log or "TensorFlow" in log
    for line in [*lines[:3], *lines[-3:]]:
        assert f" INFO {line}\n" in log
    assert (
        json.loads((tmp_path / "runs/e/experiment.json").read_text())["starts"][0]["settings"][
            "xla"
        ]
        == "auto"
    )
