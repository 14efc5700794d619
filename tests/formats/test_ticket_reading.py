"""The file is read as docs/ticket.md says, in processes that have neither this program nor TF."""

import hashlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from lth_tf.formats.ticket import Ticket

DOCS = Path(__file__).parents[2] / "docs/ticket.md"
BLOCKED = ("tensorflow", "tf_keras", "keras", "tensorflow_model_optimization", "jax")
LENET = {"dense1": (784, 300), "dense2": (300, 100), "output": (100, 10)}
COMPARE = """
found = {"masks": masks, "weights": weights, "trained": trained}
with np.load("expected.npz") as expected:
    assert len(expected) == sum(map(len, found.values())) + 2
    for group, arrays in found.items():
        for name, array in arrays.items():
            wanted = expected[f"{group}:{name}"]
            assert (array.dtype, array.shape) == (wanted.dtype, wanted.shape), name
            assert array.tobytes() == wanted.tobytes(), name
    np.save("logits.npy", logits(expected["images"], trained))
"""
COMPARE_TORCH = """
import numpy as np
with np.load("expected.npz") as expected:
    for name, mask in masks.items():
        assert np.array_equal(mask.numpy(), expected["masks:" + name]), name
    assert len(masks) == 3
    images = torch.from_numpy(expected["images"])
np.save("logits.npy", lenet(images / 255).detach().numpy())
"""


def block(*texts):
    """The docs' Python code that has these texts."""
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [code for code in blocks if all(text in code for text in texts)]
    return found


def execute(code, folder, *blocked):
    block_them = f"import sys\nfor name in {blocked!r}:\n    sys.modules[name] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", block_them + code],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a ticket of LeNet, what is to be read of it, and the logits to expect."""
    folder = tmp_path_factory.mktemp("lenet")
    rng = np.random.default_rng(0)
    masks, weights, trained = {}, {}, {}
    for layer, shape in LENET.items():
        mask = masks[f"{layer}/kernel"] = rng.random(shape) < 0.2
        for group in (weights, trained):
            group[f"{layer}/kernel"] = np.where(mask, rng.normal(0, 0.1, shape), 0).astype("f4")
            group[f"{layer}/bias"] = rng.normal(size=shape[1]).astype("f4")
    metadata = {
        "level": 7,
        "density": 0.2,
        "recipe": {"model": "lenet", "dropout": 0.0},
        "data": {"image_shape": [28, 28, 1], "classes": 10},
    }
    ticket = Ticket(masks, weights, trained, metadata)
    ticket.save(folder / "ticket.safetensors")
    groups = {"masks": masks, "weights": weights, "trained": trained}
    arrays = {f"{g}:{n}": a for g, group in groups.items() for n, a in group.items()}
    images = rng.integers(0, 256, (5, 28, 28, 1), np.uint8)
    logits = ticket.model()(images).numpy()
    np.savez(folder / "expected.npz", images=images, logits=logits, **arrays)
    return folder


def assert_same_logits(folder):
    found, wanted = np.load(folder / "logits.npy"), np.load(folder / "expected.npz")["logits"]
    # Sums of 784 products in another order.
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_numpy_and_safetensors_alone_read_the_file_as_documented(folder):
    code = block("with safe_open", 'framework="numpy"') + block("def logits") + COMPARE
    assert execute(code, folder, *BLOCKED, "lth_tf", "torch") == "7 0.2\n"
    assert_same_logits(folder)


@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="PyTorch is not installed")
def test_pytorch_reads_the_file_as_documented(folder):
    execute(block("import torch") + COMPARE_TORCH, folder, *BLOCKED, "lth_tf")
    assert_same_logits(folder)


def test_this_program_reads_the_file_without_tensorflow(folder):
    code = (
        f"sys.path.insert(0, {str(DOCS.parents[1])!r})\nimport lth_tf\n"
        "print(lth_tf.Ticket.load('ticket.safetensors').metadata['level'])"
    )
    assert execute(code, folder, *BLOCKED, "torch") == "7\n"


def test_this_program_reads_the_file_as_documented(folder, monkeypatch):
    monkeypatch.chdir(folder)
    names = {}
    exec(block("ticket.model()"), names)
    kernels = [names[model].get_layer("dense1").kernel.numpy() for model in ("model", "start")]
    with np.load("expected.npz") as expected:
        for group, kernel in zip(("trained", "weights"), kernels, strict=True):
            assert np.array_equal(kernel, expected[f"{group}:dense1/kernel"])


def test_checksums_are_those_that_are_documented(folder):
    with safe_open(folder / "ticket.safetensors", framework="numpy") as file:
        (text,) = file.metadata().values()
        about = json.loads(text)
        for name in file.keys():  # noqa: SIM118
            content = name.encode() + file.get_tensor(name).tobytes()
            assert about["tensors"][name]["sha256"] == hashlib.sha256(content).hexdigest()
    wanted = about.pop("checksum")
    text = json.dumps(about, sort_keys=True, separators=(",", ":"))
    assert wanted == hashlib.sha256(text.encode()).hexdigest()
