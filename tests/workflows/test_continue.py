"""Whatever stops a run, and however it grows, starting it again ends in the same bits."""

import hashlib
import json
import shutil
import signal

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lth_tf.files import temporary_path

pytestmark = pytest.mark.long


def test_a_run_killed_again_and_again_ends_like_one_that_was_not(
    reference, reference_flags, outcome, start, stop_at, tmp_path
):
    flags = (*reference_flags, "--checkpoint_every=0")
    folder = tmp_path / "e"

    def kill(number, step, count=1):
        process = start(tmp_path, *flags, before=stop_at(step, count, number))
        process.join()
        return process.exitcode

    # In the first training: there is no checkpoint yet.
    step = "os.rename .*level_00/dense/checkpoint"
    assert kill(signal.SIGKILL, step) == -signal.SIGKILL
    # Inside a round, as a person and as a scheduler does it.
    for number, ticket in ((signal.SIGINT, "level_01/ticket"), (signal.SIGTERM, "level_02/ticket")):
        assert kill(number, f"os.rename .*{ticket}/checkpoint", 2) == (
            130 if number == signal.SIGINT else 143
        )
        left = {path.name for path in (folder / "replicate_00" / ticket).iterdir()}
        assert "checkpoint.safetensors" in left and "result.json" not in left
        lines = (tmp_path / "log").read_text().splitlines()
        assert lines[-1] == "Stopped. The same command continues it."
        assert "Traceback" not in "".join(lines)
    # Just when a round is complete.
    step = "os.remove .*level_02/ticket/checkpoint"
    assert kill(signal.SIGKILL, step) == -signal.SIGKILL
    assert (folder / "replicate_00/level_02/ticket/result.json").exists()

    # What a kill leaves if it hits the moment between two steps of writing.
    dense = folder / "replicate_00/level_00/dense"
    temporary_path(folder / "results.csv").touch()
    temporary_path(dense / "saved_model").mkdir()
    (dense / "checkpoint.safetensors").touch()
    (folder / "notes.tmp").touch()  # a user's
    process = start(tmp_path, *flags)
    process.join()
    assert process.exitcode == 0
    assert outcome(folder) == outcome(reference)
    assert not list(folder.rglob("checkpoint*"))
    assert list(folder.rglob("*.tmp")) == [folder / "notes.tmp"]
    assert len(json.loads((folder / "experiment.json").read_text())["starts"]) == 5


def test_a_killed_run_that_rewinds_to_a_later_iteration_ends_the_same(
    rewound, rewound_flags, outcome, start, stop_at, tmp_path
):
    flags = (*rewound_flags, "--checkpoint_every=0")
    for training in ("level_00/dense", "level_01/ticket"):
        step = f"os.rename .*{training}/checkpoint"
        process = start(tmp_path, *flags, before=stop_at(step, 3))
        process.join()
        assert process.exitcode == -signal.SIGKILL
        folder = tmp_path / "e/replicate_00" / training
        assert (folder / "checkpoint.safetensors").exists()
        assert not (folder / "result.json").exists()
    process = start(tmp_path, *flags)
    process.join()
    assert process.exitcode == 0
    assert outcome(tmp_path / "e") == outcome(rewound)


def test_a_second_process_on_a_directory_is_refused(
    reference_flags, run, start, wait_for, tmp_path, capfd
):
    flags = (*reference_flags, "--iterations=10000000")
    process = start(tmp_path, *flags)
    wait_for(process, tmp_path / "e", "experiment.json")
    before = (tmp_path / "e/experiment.json").read_bytes()
    assert run(tmp_path, *flags) == 1
    assert process.is_alive()
    process.kill()
    process.join()
    assert capfd.readouterr().err == (
        f"lth_tf: {tmp_path}/e: another process is running this experiment; "
        "wait for it, or give this one another --name\n"
    )
    assert (tmp_path / "e/experiment.json").read_bytes() == before


def test_an_experiment_grows_in_its_directory_and_its_replicates_do_not_know_each_other(
    reference, reference_flags, outcome, run, tmp_path
):
    results, files = outcome(reference)
    folder = tmp_path / "e"
    grown = [("0", "1"), ("1", "1"), ("0", "2"), ("1", "2")]  # replicate, level

    def expect(done):
        found, found_files = outcome(folder)
        assert found == [r for r in results if (r["replicate"], r["level"]) in done]
        paths = [f"replicate_0{replicate}/level_0{level}/" for replicate, level in done]
        assert found_files == {k: v for k, v in files.items() if k.startswith(tuple(paths))}
        return {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}

    assert run(tmp_path, *reference_flags, "--rounds=0", "--replicates=1") == 0
    times = expect([("0", "0")])
    # Replicate 1's dense network is the first that this start trains.
    assert run(tmp_path, *reference_flags, "--rounds=0") == 0
    more = expect([("0", "0"), ("1", "0")])
    assert more.items() >= times.items()
    assert run(tmp_path, *reference_flags) == 0
    assert expect([("0", "0"), ("1", "0"), *grown]).items() >= more.items()
    # Asking for less leaves what is there.
    assert run(tmp_path, *reference_flags, "--rounds=0", "--replicates=1") == 0
    fields = json.loads((folder / "experiment.json").read_text())
    assert (fields["rounds"], fields["replicates"]) == (2, 2)
    expect([("0", "0"), ("1", "0"), *grown])


def test_a_run_older_than_a_field_of_the_recipe_is_continued(
    reference, reference_flags, outcome, run, tmp_path, capfd
):
    folder = tmp_path / "e"
    shutil.copytree(reference, folder)
    shutil.rmtree(folder / "replicate_01/level_02")
    path = folder / "experiment.json"
    fields = json.loads(path.read_text())
    del fields["checksum"], fields["recipe"]["width"]
    path.write_text(json.dumps(fields))
    assert run(tmp_path, *reference_flags, "--width=0.5") == 1
    assert "another experiment (width is 1.0 there, 0.5 here)" in capfd.readouterr().err
    assert run(tmp_path, *reference_flags) == 0
    assert outcome(folder) == outcome(reference)
    assert json.loads(path.read_text())["recipe"]["width"] == 1.0


def test_replicates_differ_in_every_stream(reference, rows):
    first, second = ([r for r in rows(reference) if r["replicate"] == n] for n in "01")
    for one, other in zip(first, second, strict=True):
        assert one["density"] == other["density"]
        assert one["validation_loss_at_early_stop"] != other["validation_loss_at_early_stop"]
    name = "level_00/dense/initial.safetensors"
    assert (reference / "replicate_00" / name).read_bytes() != (
        reference / "replicate_01" / name
    ).read_bytes()


def change_initial(folder, change):
    """Changes the file of a dense network's theta_0, and its checksum with it."""
    path = folder / "initial.safetensors"
    change(path)
    result = json.loads((folder / "result.json").read_text())
    result["checksums"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    result.pop("checksum", None)
    (folder / "result.json").write_text(json.dumps(result))


def enlarge(path):
    save_file({name: array * np.float32(1e30) for name, array in load_file(path).items()}, path)


def test_a_loss_that_is_not_finite_is_named_and_finished_rounds_stay(
    reference, reference_flags, outcome, run, tmp_path, capfd
):
    folder = tmp_path / "e"
    shutil.copytree(reference, folder)
    shutil.rmtree(folder / "replicate_01/level_02")
    dense = "replicate_01/level_00/dense"
    change_initial(folder / dense, enlarge)
    assert run(tmp_path, *reference_flags) == 1
    error = capfd.readouterr().err
    assert error.startswith("lth_tf: replicate_01/level_02/ticket: the validation loss is ")
    assert "at iteration 0, before any training; the usual cause is initial weights" in error
    assert error.count("\n") == 1
    assert not list(folder.glob("replicate_01/level_02/*/result.json"))
    # What caused it is gone: the finished rounds are gone on from.
    initial = reference / dense / "initial.safetensors"
    change_initial(folder / dense, lambda path: shutil.copy(initial, path))
    assert run(tmp_path, *reference_flags) == 0
    assert outcome(folder) == outcome(reference)


def test_a_learning_rate_that_is_too_high_is_named(run, tmp_path, capfd):
    flags = ("--name=e", "--rounds=1", "--optimizer=sgd", "--learning_rate=1e9")
    assert run(tmp_path, *flags) == 1
    error = capfd.readouterr().err
    assert error.startswith("lth_tf: replicate_00/level_00/dense: the training loss is ")
    assert "at iteration 20;" in error and "--learning_rate" in error and error.count("\n") == 1
    assert not list(tmp_path.rglob("result.json"))
