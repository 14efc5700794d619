"""Readers given any bytes, any JSON and any header: what they return is right, or they say why."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lth_tf import reading
from lth_tf.data.image_data import ImageFields
from lth_tf.errors import UserError
from lth_tf.formats.ticket import Ticket
from lth_tf.recipe import Recipe
from lth_tf.runs import record
from lth_tf.runs.results import Result, read_results_csv

FEW, MANY = settings(max_examples=60), settings(max_examples=3_000)
FIELDS = st.sampled_from(
    ["recipe", "rounds", "replicate", "level", "arm", "layers", "density", "iterations", "rewind",
     "model", "image_shape", "classes", "dtype", "shape", "data_offsets", "__metadata__", "ticket"]
)  # fmt: skip
PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), FIELDS,
    st.sampled_from([10**13, 2**64, -1, 1e308, "F32", "U8", "9" * 5_000]),
)  # fmt: skip
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=12,
)
TENSOR = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "U8", "BOOL", "I64", "F99", "BF16"]) | PLAIN,
        "shape": st.lists(st.sampled_from([0, 1, 2, 3, -1, 2**31, 2**62]), max_size=4) | VALUES,
        "data_offsets": st.tuples(st.integers(-1, 40), st.integers(-1, 2**40)) | VALUES,
    }
)
HEADERS = st.dictionaries(st.sampled_from(["a", "b", "__metadata__"]), TENSOR | VALUES, max_size=3)
CONTENTS = st.binary(max_size=200) | st.builds(
    lambda header, body, change: _safetensors(header, body, change),
    HEADERS,
    st.binary(max_size=40),
    st.sampled_from([0, 0, 0, 1, -1, 2**40]),
)


def _safetensors(header, body, change):
    text = json.dumps(header).encode()
    return max(0, len(text) + change).to_bytes(8, "little") + text + body


@contextlib.contextmanager
def told():
    """What a reader may do: say in one line what is wrong."""
    try:
        yield
    except UserError as error:
        assert str(error) and "\n" not in str(error) and len(str(error)) < 4_000


def read_bytes(path, content):
    path.write_bytes(content)
    for read in (
        reading.read_json, reading.read_text, reading.tail_of, reading.read_table,
        reading.read_arrays, read_results_csv, record.read, Ticket.load,
    ):  # fmt: skip
        with told():
            read(path)


def read_values(path, value):
    for kind in (Result, Recipe, ImageFields, dict[str, tuple[int, int]]):
        with told():
            reading.conform("it", value, kind)
    with told():
        Recipe.from_json(value, "it").to_json()
    with told():
        Result.from_json(value if isinstance(value, dict) else {}, "it")
    path.write_text(json.dumps(value))
    with told():
        record.experiment_of(record.read(path)[0])


@FEW
@given(content=CONTENTS)
def test_any_bytes_are_read_or_told(tmp_path_factory, content):
    read_bytes(tmp_path_factory.getbasetemp() / "any", content)


@FEW
@given(value=VALUES)
def test_any_values_are_taken_or_told(tmp_path_factory, value):
    read_values(tmp_path_factory.getbasetemp() / "value", value)


@pytest.mark.abuse
@MANY
@given(content=CONTENTS)
def test_thousands_of_bytes_are_read_or_told(tmp_path_factory, content):
    read_bytes(tmp_path_factory.getbasetemp() / "any", content)


@pytest.mark.abuse
@MANY
@given(value=VALUES)
def test_thousands_of_values_are_taken_or_told(tmp_path_factory, value):
    read_values(tmp_path_factory.getbasetemp() / "value", value)
