"""Sizes and multiply-adds are those that one counts by hand."""

import gzip

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lth_tf import models
from lth_tf.formats.sizes import encodings, file_size
from lth_tf.training.arithmetic import remaining_multiply_adds


@given(
    rows=st.integers(1, 40),
    columns=st.sampled_from([1, 10, 256, 257, 300]),
    remaining=st.sampled_from([0, 1, 255, 256, 300]),
    biases=st.integers(0, 9),
)
def test_bytes_of_each_encoding(rows, columns, remaining, biases):
    size = 3 * rows * columns
    remaining = min(remaining, size)
    mask = np.zeros(size, bool)
    mask[np.random.default_rng(0).permutation(size)[:remaining]] = True
    mask = mask.reshape(3, rows, columns)
    weights = {"a/kernel": mask.astype(np.float32), "a/bias": np.zeros(biases, np.float32)}
    column, end = 1 if columns <= 256 else 2, 1 if remaining <= 255 else 2
    assert {way: found.plain - 4 * biases for way, found in encodings(
        weights, {"a/kernel": mask}
    ).items()} == {
        "weights with their zeros": 4 * size,
        "weights as CSR": (4 + column) * remaining + (3 * rows + 1) * end,
        "weights as bitmask and values": -(-size // 8) + 4 * remaining,
    }  # fmt: skip


def test_a_folder_is_as_large_as_its_files(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "a").write_bytes(bytes(1000))
    (tmp_path / "inner" / "b").write_bytes(bytes(234))
    plain, compressed = file_size(tmp_path)
    assert plain == 1234 and gzip.compress(bytes(1234)).__len__() == compressed < 60
    assert file_size(tmp_path / "a").plain == 1000


def test_a_remaining_weight_of_a_convolution_counts_at_each_position():
    model = models.build("conv2", (8, 8, 3), 10, seed=0)
    shapes = {f"{layer.name}/kernel": layer.kernel.shape for layer in model.layers if layer.weights}
    masks = {name: np.zeros(tuple(shape), bool) for name, shape in shapes.items()}
    dense, remaining = remaining_multiply_adds(model, masks)
    convolutions = 64 * (27 + 9 * 64) * 64
    assert dense == convolutions + 4 * 4 * 64 * 256 + 256 * 256 + 256 * 10
    assert remaining == 0
    masks["block1_conv1/kernel"][0, 0, 0, :5] = masks["dense1/kernel"][:3, 0] = True
    assert remaining_multiply_adds(model, masks) == (dense, 5 * 64 + 3)
    del masks["output/kernel"]  # without a mask, all of it remains
    assert remaining_multiply_adds(model, masks)[1] == 5 * 64 + 3 + 2560
