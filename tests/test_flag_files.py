"""Every flag file opens with what to know of it, parses, and makes a plan of the paper's levels."""

import re
from pathlib import Path

import pytest
from absl import flags

from lth_tf import bench, commandline, main
from lth_tf.lottery.inputs import Inputs
from lth_tf.lottery.network import Network
from lth_tf.runs.experiment import make_plan

FOLDER = Path(__file__).parent.parent / "flags"
BENCH = FOLDER / "gpu/bench.flags"
FILES = sorted(path for path in FOLDER.rglob("*.flags") if path != BENCH)
# The densities in per cent that the paper prints, by network and level.
PRINTED = {
    "lenet": {3: 51.3, 7: 21.1, 9: 13.5, 12: 7.0, 15: 3.6},
    "conv2": {11: 8.8, 14: 4.6},
    "conv4": {11: 11.1, 12: 9.2},
    "conv6": {7: 26.6, 10: 15.3},
    "resnet18": {4: 41.7, 6: 27.1, 7: 21.9, 10: 11.8},
    "vgg19": {12: 6.9, 15: 3.5, 19: 1.5},
}


@pytest.fixture(autouse=True)
def from_the_project(monkeypatch):
    """Files that name others do so from the project's folder."""
    monkeypatch.chdir(FOLDER.parent)


def experiment_of(path):
    values = flags.FlagValues()
    main.define_flags(values)
    commandline.parse(values, ["lth_tf.main", f"--flagfile={path}"])
    return main.experiment_from_flags(values)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_flag_file_makes_a_plan(path, monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))  # no data set need be prepared
    experiment = experiment_of(path)
    network = Network(experiment, Inputs().info(experiment.recipe, None))
    network.check()
    assert len(make_plan(experiment)) > experiment.rounds
    if path.parent.name == "paper" and experiment.recipe.scope == network_scope(experiment):
        for level, density in PRINTED[experiment.recipe.model].items():
            assert 100 * network.density(level) == pytest.approx(density, abs=0.051)


def network_scope(experiment):
    """The scope that the paper's main experiments have for a network."""
    return "global" if experiment.recipe.model in ("resnet18", "vgg19") else "layer"


def test_the_bench_of_a_gpu_measures_all_six_networks():
    values = flags.FlagValues()
    bench.define_flags(values)
    values(["lth_tf.bench", f"--flagfile={BENCH}"])
    assert values["model"].value == [*PRINTED]


@pytest.mark.parametrize("path", [*FILES, BENCH], ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_flag_file_says_how_to_run_it(path):
    lines = path.read_text().splitlines()
    comment = [line for line in lines if line.startswith("#")]
    assert lines[: len(comment)] == comment and len(comment) >= 2
    binary = "bench" if path == BENCH else "main"
    command = f"python -m lth_tf.{binary} --flagfile={path.relative_to(FOLDER.parent)}"
    assert comment[1].startswith(f"#   {command}")
    if path.parent != FOLDER:
        assert any(line.startswith("# Expect: ") for line in comment)
        assert any(line.startswith("# Time: ") for line in comment)


def test_the_paper_files_differ_in_what_they_are_named_for():
    found = {p.stem: experiment_of(p) for p in FILES if p.parent.name == "paper"}
    assert found["lenet_one_shot"].strategy == "one_shot"
    assert {e.replicates for e in found.values()} == {5}
    assert {e.reinits for e in found.values()} == {3}
    names = {e.name for e in found.values()}
    assert len(names) == len(found) == 14
    for model in ("conv2", "conv4", "conv6"):
        plain, dropout = found[model].recipe, found[f"{model}_dropout"].recipe
        assert (plain.dropout, dropout.dropout) == (0, 0.5)
        assert dropout.iterations == 3 * plain.iterations
    rates = {name: (e.recipe.learning_rate, e.recipe.warmup) for name, e in found.items()}
    assert rates["resnet18"] == (0.1, 0) and rates["resnet18_low"] == (0.01, 0)
    assert rates["resnet18_warmup"] == (0.03, 20_000)
    assert rates["vgg19"] == (0.1, 0) and rates["vgg19_low"] == (0.01, 0)
    assert rates["vgg19_warmup"] == (0.1, 10_000)


def test_every_figure_of_the_appendices_has_its_file():
    shown = set()
    for path in (path for path in FILES if path.parent.name == "appendix"):
        first, last = re.match(r"figure_(\d\d)(?:_to_(\d\d))?_", path.stem).groups()
        shown |= {*range(int(first), int(last or first) + 1)}
        figures = f"Figures {int(first)} " if last else f"Figure {int(first)}:"
        assert path.read_text().startswith(f"# {figures}")
    assert shown == {*range(9, 46)}
