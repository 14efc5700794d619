"""The sweep: which experiments there are, one queue for them, and a page that compares them."""

import io
import re

import pytest
from absl import flags
from rich.console import Console

from lth_tf import sweep
from lth_tf.errors import UsersCodeError, users_code
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store
from lth_tf.workflows import choose_precision, cost, run_experiments
from lth_tf.workflows.dry_run import Room
from lth_tf.workflows.sweep import _rooms

TINY = ("--dataset=mnist_5k", "--iterations=20", "--eval_every=10", "--xla=off", "--rounds=1")


def planned(*arguments, files=()):
    values = flags.FlagValues()
    sweep.define_flags(values)
    values(["sweep", *arguments])
    return sweep.planned_from_flags(values, [str(file) for file in files])


@pytest.fixture
def file(tmp_path):
    """Writes a flag file."""

    def write(name, *lines):
        path = tmp_path / name
        path.write_text("\n".join([*TINY, *lines]))
        return path

    return write


def test_a_grid_has_an_experiment_for_each_combination_named_by_its_values(file, tmp_path):
    found = planned(
        f"--runs_dir={tmp_path}", "--grid=learning_rate=0.01,1e-3", "--grid=seed=0,1", *TINY[1:],
        files=[file("a.flags", "--name=a", "--jobs=auto"), file("b.flags", "--optimizer=sgd")],
    )  # fmt: skip
    assert [each.name for each in found[:4]] == [
        "a-learning_rate=0.01-seed=0",
        "a-learning_rate=0.01-seed=1",
        "a-learning_rate=1e-3-seed=0",
        "a-learning_rate=1e-3-seed=1",
    ]
    folders = [each.folder.name for each in found[4:]]
    assert all(re.fullmatch(r"lenet-mnist_5k-.+-seed=[01]", name) for name in folders)
    assert found[4].name == "b-learning_rate=0.01-seed=0"  # shown, as the file has no --name
    values = [(e.experiment.recipe.learning_rate, e.experiment.seed) for e in found]
    assert values == [(rate, seed) for rate in (0.01, 1e-3) for seed in (0, 1)] * 2
    assert [e.experiment.recipe.optimizer for e in found] == ["adam"] * 4 + ["sgd"] * 4
    # The files' --jobs does not count: there is one queue.
    assert {each.settings.jobs for each in found} == {1}
    assert {each.settings.xla for each in found} == {"off"}
    assert "--learning_rate=0.01" in found[0].flags


def test_a_file_alone_is_the_experiment_that_the_main_binary_makes_of_it(file, tmp_path):
    (one,) = planned(f"--runs_dir={tmp_path}", "--seed=3", files=[file("a.flags", "--seed=2")])
    assert one.experiment.seed == 3  # what is given beside the file comes before it
    assert one.folder == tmp_path / one.experiment.name


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "flag files or --grid must be given"),
        (["--grid=learning_rate"], "--grid=learning_rate: must be FIELD=VALUE,..."),
        (["--grid=speed=1,2"], "--grid=speed=1,2: speed must be a field of the recipe, strategy"),
        (["--grid=marks=1,2"], "--grid=marks=1,2: marks has several values itself"),
        (["--grid=width=1,1"], "--grid=width=1,1: values must be there, and each once"),
        (["--grid=width=1,"], "--grid=width=1,: values must be there, and each once"),
        (["--grid=width=1", "--grid=width=2"], "--grid=width=2: width must be given once"),
        (["--grid=iterations=a"], "flag --iterations=a: invalid literal"),
        (["--grid=batch_size=0"], "--batch_size=0: must be from 1"),
        (["--grid=seed=-1"], "--seed=-1: must be from 0"),
        (["--grid=width=1", "--distribution=multi_worker"], "--distribution=multi_worker: must be"),
        (["--grid=width=1", "--jobs=2", "--cluster=auto"], "--cluster=auto: must be left out with"),
        (["--grid=width=1", "--simulate=8"], "--simulate: must be given with --dry_run"),
        (["--grid=width=1", "--simulate=0", "--dry_run"], "--simulate=0: must be whole numbers"),
        (["--grid=width=1", f"--simulate={'9' * 5_000}", "--dry_run"], "--simulate=9+…"),
        (
            ["--grid=width=1", "--precision=auto", "--cluster=auto"],
            "--precision=auto: must be one of float32, mixed_bfloat16 where several machines train",
        ),
        (["x.flags", "y.flags", "--name=e"], "--name=e: must be left out with several flag files"),
        (["nowhere.flags"], "--flagfile=nowhere.flags: .*"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments, told, tmp_path, capfd):
    assert (
        sweep.main(["sweep", f"--runs_dir={tmp_path}/runs", *arguments, "--dataset=mnist_5k"]) == 1
    )
    out, error = capfd.readouterr()
    assert out == "" and error.count("\n") == 1
    assert re.match(f"lth_tf: {told}", error), error
    assert not list(tmp_path.iterdir())


def test_two_files_that_are_one_run_directory_are_refused(file, tmp_path, capfd):
    files = [str(file(f"{name}.flags", "--name=e")) for name in "ab"]
    assert sweep.main(["sweep", f"--runs_dir={tmp_path}/runs", *files]) == 1
    assert f"{tmp_path}/runs/e: is the run directory of two" in capfd.readouterr().err


def test_a_page_that_the_index_would_replace_is_said_before_anything_trains(file, tmp_path, capfd):
    (tmp_path / "index.html").touch()
    argv = [str(file("a.flags")), f"--runs_dir={tmp_path}/runs", f"--out={tmp_path}"]
    assert sweep.main(["sweep", *argv]) == 1
    error = capfd.readouterr().err
    assert error.startswith(f"lth_tf: {tmp_path}/index.html: is there") and error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_fault_of_one_experiment_loses_no_other_and_the_index_compares_them(
    file, tmp_path, capfd
):
    runs = tmp_path / "runs"
    (runs / "full").mkdir(parents=True)
    (runs / "full/letter.txt").write_text("not a run")
    files = [str(file(f"{n}.flags", f"--name={n}")) for n in ("full", "good", "wild")]
    wild = ("--learning_rate=1e30", "--optimizer=sgd")
    file("wild.flags", "--name=wild", *wild)
    argv = ["sweep", *files, f"--runs_dir={runs}", "--noreport"]
    assert sweep.main(argv) == 1
    out, error = capfd.readouterr()
    assert error.startswith("lth_tf: 2 of 3 experiments failed: ") and error.count("\n") == 1
    assert "full: FAILED: " in out and "wild: FAILED: " in out
    assert "letter.txt" in error and "--learning_rate=1e+30 is large" in error
    assert len(Store(runs / "good").finished()) == 2
    assert "good  replicate 0 level  1  ticket" in (runs / "good/run.log").read_text()
    assert "replicate 0 level  1" not in (runs / "wild/run.log").read_text()

    page = (runs / "index/index.html").read_text()
    assert page.count("<article>") == 3 and page.count('class="failure"') == 2
    assert "not begun" in page and "2 of 2 trainings" in page
    assert "prefers-color-scheme: dark" in page and "<svg" in page

    before = (runs / "good/results.csv").read_bytes()
    assert sweep.main(["sweep", files[1], *argv[4:]]) == 0
    assert "NOTHING TO TRAIN" in capfd.readouterr().out
    assert (runs / "good/results.csv").read_bytes() == before


def test_a_dry_run_adds_up_and_simulates(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(choose_precision, "try_precisions", lambda *_: pytest.fail("it is run"))
    argv = ["sweep", "--grid=seed=0,1,2", "--replicates=2", "--rounds=3", "--dry_run"]
    argv += ["--precision=auto"]
    how = ["--simulate=1,4,100", "--tflops=0.01", "--dataset=mnist_5k", "--iterations=1000"]
    assert sweep.main([*argv, *how, f"--runs_dir={tmp_path}/runs"]) == 0
    out = capfd.readouterr().out
    assert re.search(r"together +│ +24 │ +24 │", out)
    found = re.findall(r"^│ +(\d+) │ +(\d):(\d\d):(\d\d) │ +[\d.]+ │ +(\d+)% │", out, re.MULTILINE)
    taken = {int(n): 3600 * int(h) + 60 * int(m) + int(s) for n, h, m, s, _ in found}
    # 6 chains of 4: one after another, in rounds of 4 and 2 chains, and all at once.
    assert list(taken) == [1, 4, 100]
    assert taken[1] / taken[100] == pytest.approx(6, rel=0.2)
    assert "0.01 TFLOP/s" in out and "an assumption" in out
    assert "--precision=auto: chosen when it runs" in out
    assert not (tmp_path / "runs").exists()


def test_a_preview_has_the_jobs_that_there_will_be_each_with_its_share_of_the_machine(monkeypatch):
    assert _rooms(Settings(jobs=2), []) == [Room(2)]
    assert _rooms(Settings(jobs=2), [1, 8]) == [Room(1), Room(8)]
    monkeypatch.setattr(cost, "multiply_rate", lambda: 8.0)
    half, whole = cost.Speed.measured(0.5), cost.Speed.measured()
    assert (half.operations, whole.operations) == (4, 8)
    assert "and 50% of this machine's speed" in half.source and "%" not in whole.source


def test_a_fault_of_a_users_code_has_its_traceback_in_the_log(file, tmp_path, caplog):
    (one,) = planned(f"--runs_dir={tmp_path}", files=[file("a.flags")])
    with pytest.raises(UsersCodeError) as found, users_code("--model=mine:network"):
        raise ZeroDivisionError("oops")
    run_experiments._tell(Console(file=io.StringIO()), one, found.value)
    assert "Traceback" in caplog.text and "ZeroDivisionError: oops\n" in caplog.text
