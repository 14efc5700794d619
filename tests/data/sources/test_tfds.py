"""Tests of loading sets from TFDS, of their cache and of what a user is told when it fails."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from lth_tf.data import ImageInfo, info, load
from lth_tf.data.sources.tfds import PUBLISHED, cache, prepared, reach
from lth_tf.errors import UserError

TINY = "lth_tiny"  # made in conftest.py
TINY_INFO = ImageInfo((6, 5, 3), 7, 40, 12)
REPOSITORY = Path(__file__).resolve().parents[3]


def run_python(code, *args, **environment):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env=os.environ | environment,
    )


def cache_file(root):
    return root / TINY / "1.0.0" / f"lth_tf.{TINY}.safetensors"


def assert_is_tiny(data):
    """Checks that every example is there, once, with its own label."""
    for images, labels, size in (
        (data.train_images, data.train_labels, 40),
        (data.test_images, data.test_labels, 12),
    ):
        assert images.shape == (size, 6, 5, 3) and images.dtype == np.uint8
        assert labels.dtype == np.int32
        numbers = images[:, 0, 0, 0]
        assert (images == numbers[:, None, None, None]).all()
        np.testing.assert_array_equal(np.sort(numbers), np.arange(size))
        np.testing.assert_array_equal(labels, numbers % 7)
    assert (data.name, data.classes, data.image_shape) == (TINY, 7, (6, 5, 3))


def test_the_second_load_equals_the_first_and_needs_no_tfds(tiny_root, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tiny_root))
    assert info(TINY) == info(TINY, str(tiny_root)) == TINY_INFO
    data = load(TINY, str(tiny_root))
    assert_is_tiny(data)
    np.savez(tmp_path / "first.npz", images=data.train_images, labels=data.test_labels)
    code = """
import sys
import numpy as np
import lth_tf
before = set(sys.modules)
from lth_tf.data import info, load
root, first = sys.argv[1:]
data, first = load("lth_tiny", root), np.load(first)
assert np.array_equal(data.train_images, first["images"])
assert np.array_equal(data.test_labels, first["labels"])
print(info("lth_tiny", root))
assert not {"tensorflow", "tensorflow_datasets"} & (set(sys.modules) - before)
"""
    result = run_python(code, tiny_root, tmp_path / "first.npz")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(TINY_INFO)
    mode = cache_file(tiny_root).stat().st_mode
    assert mode == cache_file(tiny_root).with_name("dataset_info.json").stat().st_mode


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def prepare_anew(path):
    record = path.with_name("dataset_info.json")
    record.write_text(record.read_text() + "\n")


def replace_by_a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def promise_too_much(path):
    content = path.read_bytes()
    path.write_bytes((2**40).to_bytes(8, "little") + content[8:])


def sealed(change):
    """Changes arrays and metadata, and makes the checksum right."""

    def damage(path):
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
            arrays = {key: file.get_tensor(key) for key in cache._ARRAYS}
        change(arrays, metadata)
        metadata["checksum"] = cache._checksum(arrays.values())
        save_file(arrays, path, metadata)

    damage.__name__ = change.__name__
    return damage


def foreign_labels(arrays, metadata):
    arrays["test_labels"] = arrays["test_labels"] + 7


def fewer_labels(arrays, metadata):
    arrays["train_labels"] = arrays["train_labels"][1:].copy()


def other_images(arrays, metadata):
    arrays["train_images"] = arrays["train_images"].astype(np.float32)


def other_test_images(arrays, metadata):
    arrays["test_images"] = arrays["test_images"][:, 1:].copy()


def no_classes(arrays, metadata):
    metadata["classes"] = "0"


DAMAGE = [
    truncate, flip_a_bit, empty, prepare_anew, replace_by_a_pipe, promise_too_much,
    *map(sealed, (foreign_labels, fewer_labels, other_images, other_test_images, no_classes)),
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_or_stale_cache_is_noticed_and_made_anew(tiny_root, caplog, damage):
    load(TINY, str(tiny_root))
    damage(cache_file(tiny_root))
    assert cache.read(str(tiny_root), TINY) is None
    assert str(cache_file(tiny_root)) in caplog.text
    assert_is_tiny(load(TINY, str(tiny_root)))
    assert_is_tiny(cache.read(str(tiny_root), TINY))


def test_a_folder_that_cannot_be_written_costs_the_cache_only(tiny_root, caplog, monkeypatch):
    def refuse(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr(os, "replace", refuse)
    assert_is_tiny(load(TINY, str(tiny_root)))
    assert "read-only" in caplog.text
    assert not list(tiny_root.rglob("*safetensors*"))


OFFLINE = """
import sys
import tensorflow_datasets as tfds
from lth_tf.data import load
# It would try for minutes.
tfds.core.DatasetBuilder.download_and_prepare = lambda *_, **__: sys.exit("TFDS was asked")
load("cifar10", sys.argv[1])
"""


def test_offline_the_user_is_told_before_tfds_tries(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        proxy = f"http://127.0.0.1:{unused.getsockname()[1]}"
        names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
        environment = dict.fromkeys(names, proxy) | {"no_proxy": "", "NO_PROXY": ""}
        result = run_python(OFFLINE, tmp_path, **environment)
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("lth_tf.errors.UserError: --dataset=cifar10: ")
    for part in (str(tmp_path), "www.cs.toronto.edu", "tfds.load('cifar10')", "--data_dir"):
        assert part in message
    assert "No network is needed for --dataset=mnist_5k" in message


def test_only_hosts_that_answer_in_time_count(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not reach.any_answers([f"http://127.0.0.1:{silent.getsockname()[1]}"], timeout=0.3)
    code = "import http.server as s; s.test(s.SimpleHTTPRequestHandler, port=0)"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        port = server.stdout.readline().split()[5].decode()
        urls = ["http://127.0.0.1:1", f"http://127.0.0.1:{port}/missing"]
        assert reach.any_answers(urls, timeout=600)
        server.terminate()


def test_a_lookup_that_hangs_is_not_waited_for(monkeypatch):
    end, ended = threading.Event(), []
    monkeypatch.setattr(reach, "_answers", lambda *_: ended.append(end.wait(600)) or True)
    assert not reach.any_answers(["http://a", "http://b"], timeout=0.1)
    assert not ended
    end.set()


def test_a_failing_download_is_told_in_one_line(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def fail(*_, **__):
        raise RuntimeError("disk\nfull")

    monkeypatch.setattr(prepared, "any_answers", lambda _: True)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(UserError, match=f"--dataset=mnist: .*{tmp_path} .RuntimeError: disk full"):
        load("mnist", str(tmp_path))


def test_damaged_records_are_told_with_their_folder(tiny_root):
    (record,) = tiny_root.rglob("*test.tfrecord*")
    record.write_bytes(record.read_bytes()[:-10])
    with pytest.raises(UserError, match=f"--dataset={TINY}: {record.parent} cannot be read"):
        load(TINY, str(tiny_root))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", "--dataset=mnits: there is no such data set; did you mean mnist"),
        ("mnist5k", "--dataset=mnist5k: .* mnist_5k"),
        ("", "--dataset=: there is no such data set"),
        ("../mnist", r"--dataset=\.\./mnist: there is no such data set"),
        ("emnist/x", "--dataset=emnist/x: .*BuilderConfig x not found"),
        ("cats_vs_dogs", "--dataset=cats_vs_dogs: its images differ in shape"),
        ("iris", "--dataset=iris: it is not an image classification set"),
    ],
)
def test_unfit_sets_are_refused_in_one_line(tmp_path, name, message):
    for function in (load, info):
        with pytest.raises(UserError, match=message) as caught:
            function(name, str(tmp_path))
        assert "\n" not in str(caught.value)


def test_a_set_without_test_split_is_refused(untested_root):
    with pytest.raises(UserError, match=f"--dataset={TINY}: it has no split test"):
        load(TINY, str(untested_root))


def test_real_sets_are_whole_and_have_their_published_sizes(real_name, tmp_path):
    data = load(real_name)
    assert info(real_name) == PUBLISHED[real_name] == info(real_name, str(tmp_path))
    assert data.train_images.shape == (PUBLISHED[real_name].train_size, *data.image_shape)
    counts = np.bincount(data.train_labels), np.bincount(data.test_labels)
    if real_name == "mnist":
        expected = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
        np.testing.assert_array_equal(counts[0], expected)
        np.testing.assert_allclose(data.train_images.mean(), 33.3184, atol=1e-3)
    else:
        np.testing.assert_array_equal(counts, [[5000] * 10, [1000] * 10])


def test_channels_are_standardised_by_published_numbers_or_those_of_the_training_images(
    tiny_root, real_name
):
    tiny = info(TINY, str(tiny_root), standardize=True)
    values = np.arange(40) / 255
    assert tiny.mean == (pytest.approx(values.mean(), abs=5e-5),) * 3
    assert tiny.deviation == (pytest.approx(values.std(), abs=5e-5),) * 3
    assert (tiny.image_shape, tiny.train_size) == (TINY_INFO.image_shape, TINY_INFO.train_size)

    known, measured = info(real_name, standardize=True), load(real_name).statistics()
    # The copy of CIFAR-10 at hand may be compressed, which moves the third digit.
    np.testing.assert_allclose([known.mean, known.deviation], measured, atol=0.004)
    assert info(real_name).mean is None
