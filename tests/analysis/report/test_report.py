"""The report on run directories made by hand: its files, its numbers, and what it refuses."""

import csv
import dataclasses
import html.parser
import itertools
import os
import re
import subprocess
import sys

import pytest
from matplotlib.figure import Figure

from lth_tf import report
from lth_tf.analysis.figures import canvas
from lth_tf.analysis.figures.comparison import comparisons, labels
from lth_tf.analysis.figures.gallery import pictures_of
from lth_tf.analysis.figures.level_figures import draw_curves, draw_layers, draw_losses
from lth_tf.analysis.figures.lines import (
    Line,
    arm_lines,
    draw_quantity,
    frame_of,
    framed_points,
    paper_lines,
)
from lth_tf.analysis.figures.paper_points import paper_points, paper_value
from lth_tf.analysis.figures.points import (
    AT_EARLY_STOP,
    EARLY_STOP,
    Point,
    curve_points,
    layer_points,
    level_points,
    shown_levels,
)
from lth_tf.analysis.report.leftovers import claim, keep_only
from lth_tf.analysis.report.notes import notes_on
from lth_tf.analysis.report.report import Wanted
from lth_tf.analysis.report.tables import measured_table
from lth_tf.analysis.verdict.judging import judge
from lth_tf.analysis.verdict.verdict import margins_for
from lth_tf.arms import ARMS
from lth_tf.errors import UserError
from lth_tf.metric import Metric
from lth_tf.paper.published import published
from lth_tf.paper.recipes import RECIPES
from lth_tf.recipe import Recipe
from lth_tf.runs.experiment import Experiment
from lth_tf.runs.run import read_runs

pytestmark = pytest.mark.long

LEADING = ("early_stop_iteration", "test_accuracy_at_early_stop")
NEWER = (
    "train_accuracy_at_early_stop",
    "train_accuracy_final",
    "validation_accuracy_at_early_stop",
    "test_accuracy_untrained",
)
AGAINST_DENSITY = (*LEADING, "test_accuracy_final", *NEWER)
SOME_ARMS = ("ticket", "reinit", "random_mask")


class Page(html.parser.HTMLParser):
    """Collects a page's links, figures and text, and the identifiers and colours of its figures."""

    def __init__(self, text):
        super().__init__()
        self.references, self.figures, self.ids, self.text = [], [], [], ""
        self.colours, self.parts = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Keeps what refers to something."""
        attributes = dict(attrs)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.parts += [tag] if tag in ("strong", "svg", "table", "details", "li") else []
        if tag == "svg":
            self.figures.append(attributes["aria-label"])
        for name in ("src", "href"):
            self.references += [attributes[name]] if name in attributes and tag != "use" else []
        style = attributes.get("style", "")
        self.colours |= {*re.findall(r"(?:fill|stroke): ([^;]+)", style)} - {"none"}

    def handle_data(self, data):
        """Keeps the text."""
        self.text += data


def call(*argv):
    return report.main(["lth_tf.report", *map(str, argv)])


def numbers(out):
    return list(csv.DictReader((out / "levels.csv").open()))


@pytest.fixture(scope="module")
def full(make_run, tmp_path_factory):
    """A run directory with all arms and two draws, and its report in the default place."""
    folder = tmp_path_factory.mktemp("full") / "a_run"
    make_run(folder, rounds=3, replicates=2, arms=SOME_ARMS, reinits=2)
    assert call(folder) == 0
    return folder


def test_every_promised_file_is_there(full):
    names = {path.name for path in (full / "report").iterdir()}
    kinds = [*AGAINST_DENSITY, "accuracy_over_iterations", "losses", "layers"]
    drawn = {f"a_run-{figure}.{ending}" for figure in kinds for ending in ("png", "svg")}
    assert names == drawn | {"report.html", "report.md", "levels.csv", "figures.sha256"}
    for path in (full / "report").glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG\r\n")


def test_levels_csv_has_mean_minimum_and_maximum_over_replicates_and_draws(full):
    (run,) = read_runs([full])
    rows = numbers(full / "report")
    for level, arm, count in ((0, "dense", 2), (2, "ticket", 2), (3, "reinit", 4)):
        results = [r for r in run.results if r.level == level and r.arm.startswith(arm)]
        values = [r.test_accuracy_at_early_stop for r in results]
        (row,) = [
            row
            for row in rows
            if (row["run"], row["level"], row["arm"]) == ("a_run", str(level), arm)
            and row["quantity"] == AT_EARLY_STOP
        ]
        assert int(row["n"]) == count == len(values)
        assert float(row["mean"]) == pytest.approx(sum(values) / count)
        assert (float(row["min"]), float(row["max"])) == (min(values), max(values))
        assert float(row["density"]) == results[0].density


def pictures(*folders):
    """The figures of a report, not drawn yet, by name."""
    runs = read_runs(folders)
    points = {run.name: [*level_points(run.name, run.results), *curve_points(run)] for run in runs}
    marks = {run.name: run.experiment.recipe.model == "resnet18" for run in runs}
    every = [point for of_run in points.values() for point in of_run]
    found = comparisons(runs, every, [*marks.values()])
    for run in runs:
        found += pictures_of(run, points[run.name], [], marks[run.name])
    return {picture.name: picture for picture in found}


def legend(picture):
    """The title of a figure's legend, if it has one, and its labels."""
    with canvas.style():
        (found,) = picture.draw().legends
    texts = [found.get_title(), *found.get_texts()]
    return [text.get_text() for text in texts if text.get_text()]


def verdict_of(run):
    return judge(run.results, margins_for("mnist"), 100)


def plotted(figure):
    """What a figure's lines show: their y values, without grids and horizontal lines."""
    return {
        round(float(y), 6)
        for axes in figure.axes
        for line in axes.lines
        if line.get_linestyle() != "None" and len(line.get_xdata()) > 2
        for y in line.get_ydata()
    }


def test_every_arm_that_was_run_is_drawn_by_its_name_at_least():
    arms = ["dense", "unknown_arm", "reorder", "another", "ticket"]
    points = [Point("r", 1, 0.5, arm, EARLY_STOP, None, 1, 5, 5, 5) for arm in arms]
    lines = arm_lines(points, EARLY_STOP)
    labels = ["dense network", "tickets", "ticket, other order", "another", "unknown arm"]
    assert [line.label for line in lines] == labels


def test_levels_csv_has_every_plotted_number(full):
    (run,) = read_runs([full])
    rows = numbers(full / "report")
    points = [
        *level_points(run.name, run.results),
        *curve_points(run),
        *layer_points(run.name, run.results),
    ]
    means = {}
    for row in rows:
        means.setdefault(row["quantity"].partition(" of ")[0], set()).add(float(row["mean"]))
    for quantity in AGAINST_DENSITY:
        scale = 1 if quantity == EARLY_STOP else 100
        shown = plotted(draw_quantity(arm_lines(points, quantity), quantity))
        assert len(shown) >= 8
        assert shown <= {round(scale * mean, 6) for mean in means[quantity]}
    shown = plotted(draw_curves(points))
    assert len(shown) > 100
    assert shown <= {round(100 * mean, 6) for mean in means["validation_accuracy"]}
    shown = plotted(draw_losses(points))
    assert len(shown) > 100
    assert shown <= {
        round(mean, 6) for loss in ("validation_loss", "train_loss") for mean in means[loss]
    }
    assert plotted(draw_layers(points)) <= {round(100 * mean, 6) for mean in means["density"]}


def test_the_papers_numbers_are_in_the_csv_the_figure_and_the_table(full):
    rows = [row for row in numbers(full / "report") if row["run"] == "paper"]
    assert {row["quantity"] for row in rows} == {EARLY_STOP, AT_EARLY_STOP}
    assert ("0.211", "0.9837") in {(row["density"], row["mean"]) for row in rows}
    page = (full / "report" / "report.md").read_text()
    assert "the paper's early-stopping iteration" in page
    assert re.search(r"\| 0 \| 100% \| dense \|.*\| 4,600 \| 97.96 \|", page)
    svg = (full / "report" / f"a_run-{EARLY_STOP}.svg").read_text()
    assert "the paper's tickets" in svg


def test_svg_text_is_text(full):
    svg = (full / "report" / f"a_run-{AT_EARLY_STOP}.svg").read_text()
    for text in (
        "weights remaining (%)",
        "Test accuracy at early stopping (%)",
        "random reinit (4 trainings)",
    ):
        assert f">{text}</text>" in svg


def test_the_page_has_everything_inside_and_refers_to_nothing_outside(full):
    text = (full / "report" / "report.html").read_text()
    page = Page(text)
    assert len(page.figures) == 10
    assert all(reference[0] == "#" for reference in page.references)
    assert not re.search(r"url\((?!#)|@import|<script|<link|<img", text)
    assert {*re.findall(r"url\(#([^)]+)", text)} <= {*page.ids}
    assert len(page.ids) == len({*page.ids})
    assert 'name="viewport"' in text and "@media print" in text


def test_the_page_opens_with_the_verdict_and_the_figures_that_carry_it(full):
    page = Page((full / "report" / "report.html").read_text())
    assert page.figures[:2] == ["Early-stopping iteration", "Test accuracy at early stopping"]
    others = page.parts[page.parts.index("li") :]
    assert page.parts[:3] == ["strong", "svg", "svg"] and others.count("svg") == 8
    assert "svg" not in page.parts[page.parts.index("table") :]
    short = ("Verdict by level", "Measured", "Tickets against controls")
    text = (full / "report" / "report.html").read_text()
    assert all(f"<h3>{title}</h3>" in text for title in short)
    fields = len(dataclasses.fields(Recipe)) + 6  # and those of the experiment
    assert re.search(rf"<details>\s*<summary>Recipe <span>{fields} rows", text)


def test_every_colour_of_the_figures_has_a_light_and_a_dark_one(full):
    text = (full / "report" / "report.html").read_text()
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part))
        for part in re.split(r"@media[^{]+prefers-color-scheme: dark", text[: text.index("* {")])
    )
    used = {colour.removeprefix("var(--").removesuffix(")") for colour in Page(text).colours}
    assert {"ink", "surface", "blue", "vermilion", "level-1"} <= used <= light.keys()
    assert light.keys() == dark.keys()
    assert not {*light.items()} & {*dark.items()}


def test_the_page_and_the_markdown_say_the_same(full, capsys):
    page = Page((full / "report" / "report.html").read_text()).text
    markdown = (full / "report" / "report.md").read_text()
    call(full)
    headline = capsys.readouterr().out.partition("a_run: ")[2].partition("\n")[0]
    assert headline.startswith("No level has at most 25% of the weights")
    for text in (page, re.sub(r"\\(.)", r"\1", markdown)):
        assert headline in text
        for words in (
            "Verdict by level", "Each endpoint", "Tickets against controls", "Measured", "Recipe",
            "Clopper-Pearson", "standard error", "2 cores", "python -m lth_tf.main --model=lenet",
            "python -m lth_tf.report", "All 32 trainings are finished.", "It is the paper's.",
        ):  # fmt: skip
            assert words in text


def test_the_markdowns_links_exist(full):
    markdown = (full / "report" / "report.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", markdown)
    assert len(links) == 22
    assert all((full / "report" / link).is_file() for link in links)


def test_the_markdowns_tables_have_as_many_cells_in_each_row(full):
    lines = (full / "report" / "report.md").read_text().split("\n")
    widths = [line.replace(r"\|", "").count("|") for line in lines]
    tables = re.findall(r"(?:\d+,){3,}", ",".join("|" if w == 0 else str(w) for w in widths))
    assert len(tables) == 6
    assert all(len(set(table.strip(",").split(","))) == 1 for table in tables)


def test_the_same_report_has_the_same_bits(full, tmp_path):
    def written():
        assert call(full, f"--out={tmp_path}") == 0
        return {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    first = written()
    assert first == written()


def test_margins_can_be_given(full, tmp_path, capfd):
    assert call(full, f"--out={tmp_path}", "--margin_accuracy=3", "--margin_iterations=25") == 0
    text = (tmp_path / "report.md").read_text()
    assert "may be 3 points of test accuracy worse at early stopping, and stop 25% later" in text
    assert call(full, "--margin_accuracy=-1") == 1
    assert "margin_accuracy" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("finished", "replicates", "said"),
    [
        (lambda t: False, 2, "No verdict: no ticket has been trained yet."),
        (lambda t: t.level == 0, 2, "No verdict: no ticket has been trained yet."),
        (lambda t: t.replicate == 0 and t.level < 2, 2, "Not enough replicates"),
        (lambda t: t.level, 2, "Not enough replicates"),  # no dense network
        (lambda t: t.kind != "ticket", 2, "No verdict: no ticket has been trained yet."),
        (lambda t: t.kind != "reinit" or t.level == 1, 2, "Winning tickets"),
        (lambda t: True, 1, "Not enough replicates"),
    ],
)
def test_unfinished_runs_and_single_replicates(make_run, tmp_path, finished, replicates, said):
    make_run(tmp_path / "r", finished=finished, rounds=2, replicates=replicates, arms=SOME_ARMS)
    assert call(tmp_path / "r", "--claim_density=0.8") == 0
    text = (tmp_path / "r/report/report.md").read_text()
    assert said in text
    (run,) = read_runs([tmp_path / "r"])
    if len(run.results) < run.planned:
        assert f"{len(run.results)} of {run.planned} trainings are finished" in text
    assert len(Page((tmp_path / "r/report/report.html").read_text()).figures) == text.count("![")


def test_a_deep_network_is_judged_and_drawn_at_its_marks(make_run, tmp_path):
    make_run(tmp_path / "r", "resnet18", rounds=2, replicates=2, arms=("ticket", "reinit"))
    assert call(tmp_path / "r") == 0
    names = {path.stem for path in (tmp_path / "r/report").glob("*.png")}
    marks = {f"r-test_accuracy_at_{mark}" for mark in (10_000, 20_000, 30_000)}
    others = ("train_accuracy_final", "test_accuracy_untrained")
    others += ("accuracy_over_iterations", "losses", "layers")
    assert names == marks | {f"r-{figure}" for figure in others}
    page = Page((tmp_path / "r/report/report.html").read_text())
    assert page.figures[:3] == [f"Test accuracy at iteration {n}0,000" for n in (1, 2, 3)]
    assert page.parts[:5] == ["strong", "svg", "svg", "svg", "li"]
    text = (tmp_path / "r/report/report.md").read_text()
    assert "judged at iterations 10,000, 20,000, 30,000" in text
    assert "early-stopping iteration, ticket" not in text


def test_marks_of_a_network_that_is_stopped_early_are_drawn_but_not_judged(make_run, tmp_path):
    make_run(tmp_path / "r", rounds=1, replicates=2, recipe={"marks": (500,)})
    assert call(tmp_path / "r") == 0
    assert (tmp_path / "r/report/r-test_accuracy_at_500.png").is_file()
    text = (tmp_path / "r/report/report.md").read_text()
    assert "early-stopping iteration, ticket / dense" in text


def test_strategies_and_learning_rates_are_compared(make_run, tmp_path):
    make_run(tmp_path / "a", rounds=2, replicates=2)
    make_run(tmp_path / "b", rounds=2, strategy="one_shot", arms=("ticket", "reinit"))
    make_run(tmp_path / "c", "resnet18", rounds=1)
    make_run(tmp_path / "d", "resnet18", rounds=1, recipe={"learning_rate": 0.01})
    drawn = pictures(*(tmp_path / name for name in "abcd"))
    compared = {name for name in drawn if name.startswith("compare-")}
    deep = (*(f"test_accuracy_at_{m}" for m in (10_000, 20_000, 30_000)), "train_accuracy_final")
    deep = (*deep, "test_accuracy_untrained")
    deep = {f"compare-resnet18-cifar10-{quantity}" for quantity in deep}
    assert compared == deep | {f"compare-lenet-mnist-{quantity}" for quantity in AGAINST_DENSITY}
    shown = legend(drawn[f"compare-lenet-mnist-{EARLY_STOP}"])
    assert shown == ["iterative (2 replicates)", "one-shot (1 replicate)", "random reinit"]
    shown = legend(drawn["compare-resnet18-cifar10-test_accuracy_at_30000"])
    assert shown == ["1 replicate", "learning rate 0.1", "learning rate 0.01"]


def test_networks_of_several_sizes_are_compared_by_their_number_of_weights(make_run, tmp_path):
    for name, width in (("a", 1.0), ("b", 0.5), ("c", 1.0)):
        make_run(tmp_path / name, rounds=2, recipe={"width": width}, arms=("ticket", "reinit"))
    whole, half, other = read_runs([tmp_path / name for name in "abc"])
    smaller = [dataclasses.replace(r, remaining=r.remaining // 2) for r in half.results]
    half = dataclasses.replace(half, results=smaller)
    kinds = {}
    for runs in ((whole, half), (whole, other)):
        points = [point for run in runs for point in level_points(run.name, run.results)]
        drawn = {picture.name: picture for picture in comparisons(runs, points, [False, False])}
        kinds[runs[1].name] = {name for name in drawn if name.endswith("_by_weights")}
        if runs[1] is half:
            with canvas.style():
                axes = drawn[f"compare-lenet-mnist-{EARLY_STOP}_by_weights"].draw().axes[0]
    assert kinds == {"b": {f"compare-lenet-mnist-{q}_by_weights" for q in LEADING}, "c": set()}
    lines = [line.get_xdata() for line in axes.lines if len(line.get_xdata())]
    tickets = [[r.remaining for r in run.results if r.arm in ("dense", "ticket")]
               for run in (whole, half)]  # fmt: skip
    assert list(lines[0]) == pytest.approx(tickets[0], rel=1e-4)
    assert list(lines[2]) == pytest.approx(tickets[1], rel=1e-4)
    assert axes.get_xlabel() == "weights remaining" and axes.xaxis_inverted()
    assert {label.get_text() for label in axes.get_xticklabels()} >= {"200,000", "100,000"}


def test_a_report_on_several_runs_begins_with_their_verdicts(make_run, tmp_path):
    make_run(tmp_path / "a", rounds=1)
    make_run(tmp_path / "b", rounds=1, strategy="one_shot")
    assert call(tmp_path / "a", tmp_path / "b", f"--out={tmp_path / 'out'}") == 0
    assert {row["run"] for row in numbers(tmp_path / "out")} == {*"ab", "paper"}
    page = Page((tmp_path / "out/report.html").read_text())
    assert page.parts[:3] == ["li", "li", "svg"]
    assert len(page.references) == 2
    assert {reference[1:] for reference in page.references} <= {*page.ids}


def test_runs_are_told_apart(make_run, tmp_path):
    one = make_run(tmp_path / "x/r", rounds=1)
    two = make_run(tmp_path / "y/r", rounds=1, seed=1)
    runs = read_runs([one, two, one])
    assert [run.name for run in runs] == ["r", "r-2"]
    assert labels(runs) == {"r": "r", "r-2": "r-2"}


def test_names_are_escaped(make_run, tmp_path):
    make_run(tmp_path / "<b>_x_|_$y$", rounds=1, replicates=2)
    assert call(tmp_path / "<b>_x_|_$y$", f"--out={tmp_path / 'out'}") == 0
    assert "<b>" not in (tmp_path / "out/report.html").read_text()
    assert r"## \<b\>\_x\_" in (tmp_path / "out/report.md").read_text()
    assert (tmp_path / "out/_b__x____y_-layers.svg").is_file()


def test_mistakes_are_told_in_one_line(make_run, tmp_path, capfd):
    make_run(tmp_path / "r", rounds=1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for argv, words in (
        ([], "run directory"),
        ([tmp_path / "empty"], "must be a run directory"),
        ([tmp_path / "missing"], "must be a run directory"),
        ([tmp_path / "r", tmp_path / "empty"], "must be a run directory"),
        ([tmp_path / "r", f"--out={tmp_path / 'file' / 'x'}"], "could not be written"),
    ):
        assert call(*argv) == 1
        error = capfd.readouterr().err
        assert words in error and error.count("\n") == 1
    metrics = tmp_path / "r/replicate_00/level_01/ticket/metrics.csv"
    metrics.write_text("iteration\n0\n")
    assert call(tmp_path / "r") == 1
    assert str(metrics) in capfd.readouterr().err


def test_an_experiment_json_of_another_version_is_told(make_run, tmp_path, capfd):
    make_run(tmp_path / "r", rounds=1)
    path = tmp_path / "r/experiment.json"
    path.write_text(path.read_text().replace('"strategy"', '"plan"'))
    assert call(tmp_path / "r") == 1
    assert "experiment.json" in capfd.readouterr().err


def test_no_tensorflow_is_imported(full, tmp_path):
    code = (
        "import sys; from lth_tf import report; "
        f"code = report.main(['report', {str(full)!r}, '--out={tmp_path}']); "
        "sys.exit(code or bool({'tensorflow', 'tf_keras'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert (tmp_path / "report.html").is_file()


def test_the_papers_numbers_stand_only_beside_its_setting():
    def experiment(strategy="iterative", model="lenet", **changes):
        recipe = RECIPES[model].override(**changes)
        return Experiment(recipe=recipe, rounds=1, strategy=strategy)

    assert len(paper_points(experiment())) == 16
    assert paper_points(experiment(iterations=6_000, eval_every=50))
    for other in (
        experiment("one_shot"), experiment(learning_rate=0.01), experiment(dataset="mnist_5k"),
        experiment(batch_size=100), experiment(rewind="100"), experiment(optimizer="sgd"),
    ):  # fmt: skip
        assert not paper_points(other)
    assert paper_value(experiment(), EARLY_STOP, 0.5128) == 3_900
    assert paper_value(experiment(), EARLY_STOP, 0.64) is None
    assert paper_value(experiment(), EARLY_STOP, 0.8**18 * 1.027) == 8_000  # its "1.9%"
    warm = experiment(model="resnet18", learning_rate=0.03, warmup=20_000)
    assert "11.8%" in published(warm).found


def test_the_accuracy_before_training_is_drawn_down_to_chance(make_run, tmp_path):
    make_run(tmp_path / "r", rounds=1)
    with canvas.style():
        axes = pictures(tmp_path / "r")["r-test_accuracy_untrained"].draw().axes[0]
    assert axes.get_ylim() == (0, 100)


def test_what_an_earlier_version_did_not_measure_is_left_out(make_run, tmp_path):
    make_run(tmp_path / "old", rounds=1, replicates=2, older=lambda training: True)
    make_run(tmp_path / "mixed", rounds=1, replicates=2, older=lambda training: training.replicate)
    make_run(tmp_path / "grown", rounds=1, older=lambda training: training.level == 0)
    runs = read_runs([tmp_path / name for name in ("old", "mixed", "grown")])
    drawn = pictures(*(run.store.folder for run in runs)).keys()
    assert not drawn & {f"old-{quantity}" for quantity in NEWER}
    assert {f"{name}-{quantity}" for name in ("mixed", "grown") for quantity in NEWER} <= drawn
    old, mixed, grown = (level_points(run.name, run.results) for run in runs)
    assert {(p.arm, p.n) for p in mixed if p.quantity in NEWER} == {("dense", 1), ("ticket", 1)}
    table = measured_table(runs[0], old, verdict_of(runs[0]))
    assert not any("training" in column for column in table.columns[4:])
    table = measured_table(runs[2], grown, verdict_of(runs[2]))
    place = table.columns.index("training accuracy at early stopping (%)")
    assert [row[place : place + 3].count("-") for row in table.rows] == [3, 0]


def test_every_arm_is_drawn_with_how_many_replicates_are_behind_it(make_run, tmp_path):
    make_run(tmp_path / "all", rounds=1, replicates=2, arms=tuple(ARMS))
    make_run(
        tmp_path / "some",
        rounds=1,
        replicates=3,
        seed=1,
        arms=("ticket", "reinit"),
        reinits=2,
        finished=lambda training: training.level == 0 or training.replicate != 1,
    )
    drawn = pictures(tmp_path / "all", tmp_path / "some")
    names = [arm.label for arm in ARMS.values()]
    shown = legend(drawn[f"all-{EARLY_STOP}"])
    assert shown[: 2 + len(names)] == ["2 replicates", "dense network", *names]
    # One replicate has no ticket yet: each arm says how many are behind it.
    assert legend(drawn[f"some-{EARLY_STOP}"])[:3] == [
        "dense network (3 replicates)", "tickets (2 replicates)", "random reinit (4 trainings)",
    ]  # fmt: skip
    together = legend(drawn[f"compare-lenet-mnist-{EARLY_STOP}"])
    assert together == ["all (2 replicates)", "some (2 to 3 replicates)", *names[1:]]


def test_layers_that_have_no_weights_are_named(make_run, tmp_path):
    make_run(tmp_path / "r", rounds=3, replicates=2, arms=("ticket", "reinit"))
    (run,) = read_runs([tmp_path / "r"])

    def emptied(result):
        names = {"dense1/kernel"} if result.level > 1 and result.arm == "ticket" else set()
        names |= {"output/kernel"} if result.level == 3 else set()
        layers = {n: (0 if n in names else left, size) for n, (left, size) in result.layers.items()}
        return dataclasses.replace(result, layers=layers)

    def notes(results):
        collapsed = dataclasses.replace(run, results=results)
        found = notes_on(collapsed, verdict_of(collapsed), [])
        return [note for note in found if note.startswith("Layer collapse")]

    assert notes(run.results) == []
    assert notes([emptied(result) for result in run.results]) == [
        "Layer collapse: no weight is left of dense1 (ticket at levels 2, 3), output (reinit at "
        "level 3; ticket at level 3). What such a layer passes on depends on no input."
    ]


def test_names_that_look_like_formulas_or_hidden_labels_are_shown(make_run, tmp_path):
    names = ("x$_{$1", "_y")
    for seed, name in enumerate(names):
        make_run(tmp_path / name, rounds=1, seed=seed)
    picture = pictures(*(tmp_path / name for name in names))[f"compare-lenet-mnist-{EARLY_STOP}"]
    _, svg = canvas.write_figure(picture.draw, tmp_path, "both")
    texts = re.findall(r">([^<>]+)</text>", svg.read_text())
    assert {*names} <= {text.lstrip("\u200b") for text in texts}


def test_figures_of_an_earlier_report_are_removed_and_nothing_else(make_run, tmp_path):
    make_run(tmp_path / "r", rounds=1)
    out = tmp_path / "out"
    out.mkdir()
    earlier = [out / "old.png", out / "old.svg", out / "changed.svg"]
    for path in earlier:
        path.write_text(path.name)
    keep_only(out, earlier)
    (out / "changed.svg").write_text("a user's")
    (out / "own.png").write_text("old.png")
    assert call(tmp_path / "r", f"--out={out}") == 0
    assert not {"old.png", "old.svg"} & {path.name for path in out.iterdir()}
    assert (out / "changed.svg").is_file() and (out / "own.png").is_file()
    assert len([*out.glob("r-*.svg")]) == 10
    listed = (out / "figures.sha256").read_text()
    assert listed.count("\n") == 20 and "old" not in listed


@pytest.mark.parametrize("name", ["levels.csv", "report.md", f"r-{EARLY_STOP}.png"])
def test_a_file_that_no_report_has_written_is_not_replaced(make_run, tmp_path, name, capfd):
    make_run(tmp_path / "r", rounds=1)
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("a user's")
    assert call(tmp_path / "r", f"--out={out}") == 1
    assert capfd.readouterr().err == (
        f"lth_tf: {out / name}: is there, and no report has written it; move it, or choose another "
        "--out\n"
    )
    assert [path.name for path in out.iterdir()] == [name]
    assert (out / name).read_text() == "a user's"


def test_what_claims_to_be_an_older_report_is_not_read_whole(tmp_path):
    (tmp_path / "report.md").touch()
    os.truncate(tmp_path / "report.md", 2**42)  # more than there is memory, and none on the disk
    with pytest.raises(UserError, match=r"report\.md: is there, and no report has written it"):
        claim(tmp_path, [])


def test_a_report_that_was_killed_or_is_older_is_replaced(make_run, tmp_path):
    make_run(tmp_path / "r", rounds=1)
    killed, older = tmp_path / "killed", tmp_path / "older"
    for out in (killed, older):
        out.mkdir()
    for _ in range(2):  # names that have what a model's may have
        claim(killed, [f"r-{EARLY_STOP}.png", "a b:c-é.svg"])
        (killed / "a b:c-é.svg").touch()
    (older / "report.md").write_text("# Lottery tickets\n")
    for out in (killed, older):
        (out / f"r-{EARLY_STOP}.png").write_text("half")
        (out / "levels.csv").write_text("run\n")
        assert call(tmp_path / "r", f"--out={out}") == 0
        assert (out / "report.html").is_file() and (out / "levels.csv").stat().st_size > 10
        assert "0" * 64 not in (out / "figures.sha256").read_text()


def test_curves_are_drawn_of_the_levels_nearest_the_papers(make_run, tmp_path):
    make_run(tmp_path / "r", rounds=20)
    (run,) = read_runs([tmp_path / "r"])
    densities = [next(r.density for r in run.results if r.level == n) for n in range(21)]
    shown = [round(densities[level], 2) for level in shown_levels(run.results)]
    assert shown == pytest.approx([1, 0.51, 0.21, 0.07, 0.02], abs=0.005)
    assert shown_levels([]) == [0]


def point(mean, low, high):
    return Point("r", 1, 0.5, "ticket", AT_EARLY_STOP, None, 2, mean, low, high)


def test_what_is_far_worse_than_the_best_does_not_squeeze_the_others():
    good, bad = point(0.98, 0.97, 0.99), point(0.2, 0.1, 0.3)
    frame = frame_of([good, good, good, bad])
    assert frame.cuts and frame.low == pytest.approx(0.94 - 0.05 * 0.05)
    assert not frame_of([good, good, bad]).cuts, "more than a quarter of the points"
    frame = frame_of([point(0.98, 0.97, 0.99), point(0.96, 0.95, 0.97)])
    assert not frame.cuts and frame.low < 0.95 and frame.high > 0.99
    error = Metric.named("mean_absolute_error")
    frame = frame_of([*[point(0.02, 0.01, 0.03)] * 3, point(0.8, 0.7, 0.9)], error)
    assert frame.cuts and frame.high == pytest.approx(0.06 + 0.05 * 0.05) and frame.low < 0.01
    frame = frame_of([point(20, 10, 30), point(-0.5, -1, 0)], error)
    assert not frame.cuts and frame.low < -1 and frame.high > 30


def test_axes_do_not_collapse_around_the_best():
    frame = frame_of(
        [point(1, 1, 1), point(1, 1, 1), point(0.97, 0.96, 0.98), point(0.5, 0.5, 0.5)]
    )
    assert frame.cuts and frame.low < 0.96 and frame.high > 1
    error = Metric.named("mean_absolute_error")
    frame = frame_of(
        [point(1e-9, 0, 2e-9), point(0.02, 0.01, 0.03), point(0.03, 0.03, 0.04)], error
    )
    assert frame.high >= 0.02
    frame = frame_of([point(0.5, 0.5, 0.5)])
    assert frame.low < 0.5 < frame.high
    never = dataclasses.replace(point(0, 0, 0), quantity=EARLY_STOP)
    (axes,) = draw_quantity(arm_lines([never], EARLY_STOP), EARLY_STOP).axes
    assert axes.get_ylim()[1] > 0


def test_density_runs_downwards_on_a_logarithmic_axis(full):
    (run,) = read_runs([full])
    points = level_points("", run.results)
    (axes,) = draw_quantity(arm_lines(points, EARLY_STOP), EARLY_STOP).axes
    left, right = axes.get_xlim()
    assert axes.get_xscale() == "log" and left > 100 > right
    labels = [line.get_label() for line in axes.get_legend_handles_labels()[0]]
    assert labels == ["dense network", "tickets", "random reinit", "random mask"]


def test_the_headlines_level_stands_out_and_untested_ones_are_in_brackets(full, tmp_path):
    def written(*flags):
        assert call(full, f"--out={tmp_path}", "--claim_density=0.8", *flags) == 0
        return (tmp_path / "report.md").read_text()

    assert "| **1** | **79.9%** | **supported** | **claim** |" in written()
    text = written("--margin_accuracy=0", "--margin_iterations=0")
    first, second = re.findall(r"^\| [12] \| [\d.]+% \| (\S+ \| \S+) \|", text, re.MULTILINE)[:2]
    assert (first, second[0]) == ("inconclusive | claim", "(")
    assert second.endswith(") | no")
    assert "first level with at most 80% of the weights" in text


def test_effects_that_are_shown_are_said_to_be(full):
    (run,) = read_runs([full])
    verdict = judge(run.results, margins_for("mnist"), 100)
    shown = [effect.shown for level in verdict.levels for effect in level.effects]
    assert any(shown) and not all(shown)
    assert (full / "report/report.md").read_text().count(", shown |") == sum(shown)


def test_minima_at_the_last_evaluation_and_changes_of_the_recipe_are_told(make_run, tmp_path):
    make_run(tmp_path / "r", rounds=1, replicates=2, recipe={"iterations": 100})
    assert call(tmp_path / "r") == 0
    text = (tmp_path / "r/report/report.md").read_text()
    assert "| minimum at the end |" in text and text.count("| 2 of 2 |") == 2
    assert "It differs from the paper's in iterations (100, not 50,000)." in text
    assert "| **iterations** | **100** | **50,000** |" in text
    assert "It trained for 50,000 iterations, this run for 100." in text


def test_the_papers_line_does_not_stretch_the_axes():
    ours = Line("tickets", [point(0.98, 0.98, 0.98)], {"color": "blue"})
    paper = paper_points(Experiment(recipe=RECIPES["lenet"], rounds=1))
    thin = paper_lines(paper, AT_EARLY_STOP)
    assert {p.density for p in framed_points([ours, *thin])} == {1.0, 0.513, 0.5}
    (axes,) = draw_quantity([ours, *thin], AT_EARLY_STOP).axes
    assert axes.get_xlim()[1] > 40


def test_the_labels_of_densities_do_not_touch():
    axes = Figure().subplots()
    canvas.density_axis(axes, [0.8**level for level in range(21)])
    ticks = axes.get_xticks()
    assert ticks[0] == 100 and 8 <= len(ticks) <= 12
    assert all(one / other > 1.3 for one, other in itertools.pairwise(ticks))


def test_the_margin_of_an_error_is_in_its_own_unit(make_run, tmp_path):
    objective = {"metric": "mean_absolute_error"}
    made = {"rounds": 1, "replicates": 2}
    folders = [
        make_run(tmp_path / "accuracy", **made),
        make_run(tmp_path / "error", objective=objective, **made),
    ]
    accuracy, error = read_runs(folders)
    assert Wanted(0.4).margins(accuracy).accuracy == pytest.approx(0.004)
    assert Wanted(0.4).margins(error).accuracy == 0.4
    dense = [r.test_accuracy_at_early_stop for r in error.results if r.arm == "dense"]
    assert Wanted().margins(error).accuracy == pytest.approx(0.01 * sum(dense) / len(dense))


def test_runs_with_different_metrics_share_the_figure_of_iterations_only(make_run, tmp_path):
    drawn = pictures(
        make_run(tmp_path / "accuracy", rounds=1),
        make_run(tmp_path / "error", rounds=1, objective={"metric": "mean_absolute_error"}),
    )
    compared = {name for name in drawn if name.startswith("compare-")}
    assert compared == {"compare-lenet-mnist-early_stop_iteration"}
