"""An exported ticket is the trained one, in a file that plain TensorFlow reads."""

import json
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
from safetensors.numpy import load_file

from lth_tf import data, export
from lth_tf.formats.process import file_latencies
from lth_tf.formats.sizes import file_size
from lth_tf.reading import with_checksum
from lth_tf.runs.experiment import Training
from lth_tf.workflows import export_ticket as exporting

pytestmark = pytest.mark.long

# Prints the accuracy of each SavedModel given, with all that trained it blocked.
PLAIN = """
import sys
for name in ("tf_keras", "tensorflow_model_optimization", "keras", "lth_tf"):
    sys.modules[name] = None
import numpy as np
import tensorflow as tf
images, labels = np.load(sys.argv[1]), np.load(sys.argv[2])
assert images.dtype == np.uint8
for folder in sys.argv[3:]:
    serve = tf.saved_model.load(folder).signatures["serving_default"]
    logits = serve(images=tf.constant(images))["logits"].numpy()
    assert logits.dtype == np.float32
    print(float((logits.argmax(-1) == labels).mean()))
"""


@pytest.fixture(scope="module")
def accuracies(tmp_path_factory):
    """Says how accurate SavedModels are on the test images, in a process of plain TensorFlow."""
    folder = tmp_path_factory.mktemp("test_set")
    arrays = data.load("mnist_5k")
    np.save(folder / "images.npy", arrays.test_images)
    np.save(folder / "labels.npy", arrays.test_labels)

    def measure(folders):
        files = [folder / "images.npy", folder / "labels.npy"]
        command = [sys.executable, "-c", PLAIN, *map(str, [*files, *folders])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [float(line) for line in done.stdout.split()]

    return measure


def go(*argv):
    return export.main(["lth_tf.export", *map(str, argv)])


def test_every_exported_level_has_the_accuracy_of_results_csv(
    reference, rows, accuracies, tmp_path, capfd
):
    out = tmp_path / "new" / "ticket"
    command = [f"--run={reference}", "--replicate=1", "--level=1", "--notable", f"--out={out}"]
    assert go(*command) == 0
    told, error = capfd.readouterr()
    assert error == ""
    name = "replicate 1, level 1, ticket, trained weights, density 80.04%"
    assert told == f"{out}: {name}\n"
    assert {path.name for path in out.iterdir()} == {"saved_model", "README.md"}
    assert name in (out / "README.md").read_text()
    # Those that --export_saved_model wrote, and this one.
    folders = sorted(reference.rglob("saved_model"))
    table = {(int(r["replicate"]), int(r["level"])): r for r in rows(reference)}
    assert len(folders) == len(table) == 6
    wanted = [float(row["test_accuracy_final"]) for row in table.values()]
    assert len(set(wanted)) > 2
    found = accuracies([*folders, out / "saved_model"])
    assert found == pytest.approx([*wanted, float(table[1, 1]["test_accuracy_final"])], abs=1e-9)


@pytest.fixture
def latencies(monkeypatch):
    """The seconds that each file was measured to take, by its path and batch."""
    found = {}

    def measure(files, images, batches, threads):
        seconds = file_latencies(files, images, batches, threads)
        for (_, path), row in zip(files, seconds, strict=True):
            found.setdefault(path.name, []).append(dict(zip(batches, row, strict=True)))
        return seconds

    monkeypatch.setattr(exporting, "file_latencies", measure)
    return found


def test_each_format_is_verified_and_measured_beside_the_dense_network(
    reference, rows, latencies, tmp_path, capfd
):
    out = tmp_path / "ticket"
    formats = "--format=tflite,keras3"
    assert go(f"--run={reference}", "--level=2", formats, "--verify", f"--out={out}") == 0
    told, error = capfd.readouterr()
    assert error == ""
    entries = ["model.tflite", "model_keras3.keras"]
    assert {path.name for path in out.iterdir()} == {*entries, "README.md"}
    accuracy = next(
        float(row["test_accuracy_final"])
        for row in rows(reference)
        if (row["replicate"], row["level"]) == ("0", "2")
    )
    right = f"{round(1000 * accuracy)} of 1,000 test images right"
    readme = (out / "README.md").read_text()
    for entry in entries:
        assert f"\n{entry}: {right}, " in told and f"- {entry}: {right}, " in readme
    # The table, as README.md has it: title, bytes, gzip, milliseconds.
    cells = [line.strip("| ").split("|") for line in readme.splitlines() if line[0:1] == "|"]
    table = {row[0].strip(): [part.replace(",", "").strip() for part in row[1:]] for row in cells}
    for entry in entries:
        dense, sparse = (
            [float(part) for part in table[f"{entry}, {which} network"]]
            for which in ("dense", "this")
        )
        assert sparse[:2] == [float(size) for size in file_size(out / entry)]
        assert sparse[1] < dense[1]  # zeros compress
        for times, measured in zip((dense[2:], sparse[2:]), latencies[entry], strict=True):
            assert times == [round(1e3 * measured[batch], 3) for batch in (1, 100)]
            assert all(seconds > 0 for seconds in measured.values())
    masks = load_file(reference / "replicate_00/level_02/ticket/masks.safetensors")
    remaining = sum(int(np.unpackbits(mask).sum()) for mask in masks.values())
    assert f"266,200 dense, {remaining:,} with the remaining weights alone (64.06%)" in readme
    assert all(row in told for row in table if row.startswith("weights"))


def test_a_file_that_is_not_what_results_csv_says_is_not_exported(reference, tmp_path, capfd):
    run = tmp_path / "run"
    shutil.copytree(reference, run)
    path = run / "replicate_00/level_01/ticket/result.json"
    fields = json.loads(path.read_text())
    fields["test_accuracy_final"] -= 0.001
    del fields["checksum"]
    path.write_text(json.dumps(with_checksum(fields)))
    out = tmp_path / "x"
    command = [f"--run={run}", "--level=1", "--notable", f"--out={out}", "--format=tflite"]
    assert go(*command, "--verify") == 1
    error = capfd.readouterr().err
    assert error.startswith("lth_tf: model.tflite: must be right as often as its training was")
    assert error.count("\n") == 1 and {p.name for p in tmp_path.iterdir()} == {"run"}
    assert go(*command) == 0


def test_a_quantized_initial_ticket_is_verified_against_the_network(reference, tmp_path, capfd):
    out = tmp_path / "x"
    flags = ["--weights=initial", "--format=tflite", "--quantize=float16", "--notable"]
    assert go(f"--run={reference}", "--level=1", *flags, "--verify", f"--out={out}") == 0
    told = capfd.readouterr().out
    assert "float16 weights, stored densely" in told and "initial weights" in told
    assert "results.csv" not in told and "answers differ from the float32 network's" in told


def variables(folder):
    """A SavedModel's variables by name."""
    import tensorflow as tf

    return {v.name.split(":")[0]: v.numpy() for v in tf.saved_model.load(str(folder)).weights}


@pytest.mark.parametrize(
    ("level", "source"), [(0, "initial"), (1, "initial"), (1, "rewind"), (0, "rewind")]
)
def test_initial_weights_are_what_the_training_started_from(
    request, tmp_path, level, source, capfd
):
    run = request.getfixturevalue("rewound" if source == "rewind" else "reference")
    out = tmp_path / "ticket"
    capfd.readouterr()
    assert (
        go(f"--run={run}", f"--level={level}", "--weights=initial", "--notable", f"--out={out}")
        == 0
    )
    assert "initial weights" in capfd.readouterr().out
    found = variables(out / "saved_model")
    # The dense network starts from theta_0, whatever its tickets are rewound to.
    name = source if level else "initial"
    theta = load_file(run / "replicate_00/level_00/dense" / f"{name}.safetensors")
    folder = run / "replicate_00" / f"level_{level:02d}" / ("ticket" if level else "dense")
    masks = load_file(folder / "masks.safetensors")
    assert found.keys() == theta.keys()
    for name, array in theta.items():
        if name in masks:
            mask = np.unpackbits(masks[name], count=array.size).reshape(array.shape)
            array = np.where(mask, array, np.float32(0))
        assert np.array_equal(found[name].view(np.uint32), array.view(np.uint32))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--run=RUN", "--out=OUT/x"], "--level: must be given"),
        (["--level=1", "--out=OUT/x"], "--run: must be given"),
        (["--run=RUN", "--level=1"], "--out: must be given"),
        (["--run=RUN", "--level=1", "--out=OUT"], "--out=OUT: exists already"),
        (["--run=RUN", "--level=7", "--out=OUT", "--verify"], "--out=OUT: exists already"),
        (["--run=RUN", "--level=7", "--out=OUT/x"], "RUN: must have replicate_00/level_07/ticket"),
        (
            ["--run=RUN", "--level=-1", "--out=OUT/x"],
            "flag --level=-1: -1 is not an integer in the range",
        ),
        (["--run=RUN", "--level=1", "--replicate=5", "--out=OUT/x"], "RUN: must have replicate_05"),
        (["--run=OUT", "--level=1", "--out=OUT/x"], "OUT: must be a run directory"),
        (
            ["--run=RUN", "--level=1", "--format=keras,onnx", "--out=OUT/x"],
            "--format=keras,onnx: must",
        ),
        (["--run=RUN", "--level=1", "--format=keras,keras", "--out=OUT/x"], "each once"),
        (["--run=RUN", "--level=1", "--quantize=int8", "--out=OUT/x"], "--quantize=int8: only"),
        (["--run=RUN", "--level=1", "--arm=reinit_0", "--out=OUT/x"], "level_01/reinit_0"),
    ],
)
def test_what_cannot_be_exported_is_told_in_one_line(reference, tmp_path, capfd, flags, told):
    def fill(text):
        return text.replace("RUN", str(reference)).replace("OUT", str(tmp_path))

    assert go(*map(fill, flags)) == 1
    out, error = capfd.readouterr()
    assert out == "" and error.count("\n") == 1 and error.startswith("lth_tf: ")
    assert fill(told) in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("start", "used"),
    [({}, False), ({"hardware": None}, False), ({"hardware": {"gpus": ["a"]}}, True)],
)
def test_runs_that_do_not_know_their_hardware_are_compared_to_the_bit(start, used):
    store = types.SimpleNamespace(experiment_json=lambda: {"starts": [{"hardware": {}}, start]})
    found = exporting.Export(store=store, training=Training(0, 1, "ticket"))
    assert found._used_gpus() is used


@pytest.mark.parametrize("name", ["weights.safetensors", "masks.safetensors"])
def test_an_altered_file_is_not_exported(reference, tmp_path, capfd, name):
    run = tmp_path / "run"
    shutil.copytree(reference, run)
    path = run / "replicate_00/level_01/ticket" / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    flags = "trained" if name.startswith("weights") else "initial"
    out = tmp_path / "x"
    assert go(f"--run={run}", "--level=1", f"--weights={flags}", f"--out={out}") == 1
    error = capfd.readouterr().err
    assert error.startswith(f"lth_tf: {path}: ") and error.count("\n") == 1
    assert not out.exists()


def test_a_run_of_a_newer_version_is_refused(reference, tmp_path, capfd):
    fields = json.loads((reference / "experiment.json").read_text())
    (tmp_path / "experiment.json").write_text(json.dumps({**fields, "format": 2}))
    assert go(f"--run={tmp_path}", "--level=1", f"--out={tmp_path}/x") == 1
    error = capfd.readouterr().err
    assert error.startswith(f"lth_tf: {tmp_path}/experiment.json: ") and "newer" in error
