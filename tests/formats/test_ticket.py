"""A ticket's file gives back the ticket to the bit, or says which tensor it cannot give."""

import json

import hypothesis.extra.numpy as arrays_of
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from lth_tf import UserError
from lth_tf.formats import ticket_file
from lth_tf.formats.ticket import Ticket

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)  # fmt: skip


@st.composite
def tickets(draw):
    """Tickets of any names, shapes, float types, memory layouts and densities."""
    masks, weights, trained = {}, {}, {}
    for name in draw(st.lists(st.text(max_size=8), min_size=1, max_size=4, unique=True)):
        shape = draw(arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
        dtype = draw(st.sampled_from(["float16", "float32", "float64", "int64"]))
        array = (
            arrays_of.arrays(dtype, shape)
            .map(np.nan_to_num)
            .map(np.asarray)
            .map(draw(st.sampled_from([np.array, transposed])))
        )
        weights[name], trained[name] = draw(array), draw(array)
        if draw(st.booleans()):
            masks[name] = draw(arrays_of.arrays(bool, weights[name].shape))
            for group in (weights, trained):
                group[name][~masks[name]] = 0
    return Ticket(masks, weights, draw(st.sampled_from([trained, None])), draw_json(draw))


def transposed(array):
    return np.array(array).T


def draw_json(draw):
    return draw(st.dictionaries(st.text(max_size=8), JSON, max_size=3))


def bits(arrays):
    """What two dicts of arrays must have in common to be equal to the bit."""
    return arrays and {n: (a.dtype, a.shape, a.tobytes()) for n, a in arrays.items()}


@settings(max_examples=60, deadline=None)
@given(tickets())
def test_a_ticket_comes_back_to_the_bit_and_its_file_repeats(tmp_path_factory, ticket):
    folder = tmp_path_factory.mktemp("ticket")
    for name in ("one", "two"):
        ticket.save(folder / name)
    assert (folder / "one").read_bytes() == (folder / "two").read_bytes()
    found = Ticket.load(folder / "one")
    assert found.metadata == ticket.metadata
    for group in ("masks", "weights", "trained"):
        assert bits(getattr(found, group)) == bits(getattr(ticket, group))


MASKS = {"a/kernel": np.array([[True, False, True], [False, True, True]])}
WEIGHTS = {
    "a/kernel": np.array([[1, 0, 2], [0, 3, 4]], np.float32),
    "a/bias": np.array([5, 6, 7], np.float32),
}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "ticket.safetensors"
    trained = {name: array * 2 for name, array in WEIGHTS.items()}
    Ticket(MASKS, WEIGHTS, trained, {"level": 1}).save(path)
    return path


def alter(path, change):
    """Writes a ticket's file again, after `change` of its tensors and its JSON."""
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(file.metadata()["ticket"])
    change(tensors, about)
    save_file(tensors, path, {"ticket": json.dumps(about)})


def flip(array):
    return (array.view(np.uint8) ^ 1).view(array.dtype)


DAMAGE = {
    "missing mask": (lambda t, a: t.pop("mask:a/kernel"), "mask:a/kernel: .*missing"),
    "missing weight": (lambda t, a: t.pop("weights:a/bias"), "weights:a/bias: .*missing"),
    "missing trained": (lambda t, a: t.pop("trained:a/bias"), "trained:a/bias: .*missing"),
    "unknown": (lambda t, a: t.update(b=t["weights:a/bias"]), "b: must not be there"),
    "one more": (
        lambda t, a: t.update({"weights:b": t["weights:a/bias"]}), "weights:b: must not be there"
    ),
    "one bit": (
        lambda t, a: t.update({"weights:a/bias": flip(t["weights:a/bias"])}),
        "weights:a/bias: .*checksum differs",
    ),
    "a bit of a mask": (
        lambda t, a: t.update({"mask:a/kernel": flip(t["mask:a/kernel"])}),
        "mask:a/kernel: .*checksum differs",
    ),
    "exchanged": (
        lambda t, a: t.update({"weights:a/bias": t["trained:a/bias"]}),
        "weights:a/bias: .*checksum differs",
    ),
    "dtype": (
        lambda t, a: t.update({"trained:a/kernel": t["trained:a/kernel"].view(np.int32)}),
        r"trained:a/kernel: must be float32 of shape \(2, 3\), found int32",
    ),
    "shape": (
        lambda t, a: t.update({"weights:a/kernel": t["weights:a/kernel"].reshape(3, 2)}),
        r"weights:a/kernel: must be float32 of shape \(2, 3\), found float32 of \(3, 2\)",
    ),
    "mask's dtype": (
        lambda t, a: t.update({"mask:a/kernel": t["mask:a/kernel"].view(np.int8)}),
        r"mask:a/kernel: must be uint8 of shape \(1,\), found int8",
    ),
    "mask's length": (
        lambda t, a: t.update({"mask:a/kernel": np.zeros(2, np.uint8)}),
        r"mask:a/kernel: must be uint8 of shape \(1,\), found uint8 of \(2,\)",
    ),
    "metadata": (lambda t, a: a["metadata"].update(level=2), "metadata: .*checksum differs"),
    "mask's shape": (
        lambda t, a: a["tensors"]["mask:a/kernel"].update(shape=[3, 2]),
        "metadata: .*checksum differs",
    ),
    "no checksum": (lambda t, a: a.pop("checksum"), "metadata: .*checksum is missing"),
    "no format": (lambda t, a: a.pop("format"), "metadata: .*format is missing"),
    "newer": (lambda t, a: a.update(format=2), "must be of format 1 or older, found 2; .*newer"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_to_a_tensor_is_refused_by_its_name(saved, name):
    change, told = DAMAGE[name]
    alter(saved, lambda tensors, about: None)
    assert bits(Ticket.load(saved).weights) == bits(WEIGHTS)
    alter(saved, change)
    with pytest.raises(UserError, match=f"^{saved}: {told}"):
        Ticket.load(saved)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (truncate, "must be a whole safetensors file"),
        (lambda path: path.write_text("no ticket"), "must be a whole safetensors file"),
        (lambda path: path.unlink(), "must be a whole file"),
        (lambda path: save_file(WEIGHTS, path), "must be a ticket that lth_tf wrote"),
        (
            lambda path: save_file(WEIGHTS, path, {"ticket": "{"}),
            "metadata: its entry \"ticket\".* must be a whole JSON file",
        ),
    ],
)  # fmt: skip
def test_what_is_no_ticket_is_refused(saved, change, told):
    change(saved)
    with pytest.raises(UserError, match=f"^{saved}: {told}"):
        Ticket.load(saved)


WHOLE = np.ones((2, 3), np.float32)
MISFITS = {
    "mask without weight": (
        {"mask": {"b/kernel": MASKS["a/kernel"]}}, "mask:b/kernel: must have a weight"
    ),
    "mask of another shape": (
        {"mask": {"a/kernel": MASKS["a/kernel"].T}},
        r"mask:a/kernel: must be bool of its weight's shape \(2, 3\), found bool of \(3, 2\)",
    ),
    "pruned weight": (
        {"weights": {**WEIGHTS, "a/kernel": WHOLE}},
        "weights:a/kernel: must be zero where pruned, but 2 are not",
    ),
    "pruned trained weight": (
        {"trained": {**WEIGHTS, "a/kernel": WHOLE}},
        "trained:a/kernel: must be zero where pruned, but 2 are not",
    ),
    "trained of fewer names": (
        {"trained": {"a/bias": WEIGHTS["a/bias"]}}, "trained:a/kernel: is missing"
    ),
    "trained of more names": (
        {"trained": {**WEIGHTS, "b": WHOLE}}, "trained:b: must have initial weights"
    ),
    "trained of another shape": (
        {"trained": {**WEIGHTS, "a/bias": WHOLE}},
        r"trained:a/bias: must be float32 of shape \(3,\) as its initial weights, found ",
    ),
    "trained of another type": (
        {"trained": {**WEIGHTS, "a/bias": WEIGHTS["a/bias"].astype(np.float16)}},
        r"trained:a/bias: must be float32 .*, found float16",
    ),
    "weights that are no numbers": (
        {"weights": {**WEIGHTS, "a/bias": np.ones(3, np.complex64)}},
        "weights:a/bias: must be of float16, float32 or float64",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_parts_that_do_not_fit_are_refused_in_the_making_and_in_a_whole_file(tmp_path, name):
    wrong, told = MISFITS[name]
    groups = {"mask": MASKS, "weights": WEIGHTS, "trained": WEIGHTS, **wrong}
    path = tmp_path / "ticket"
    ticket_file.write(path, groups, {})
    with pytest.raises(UserError, match=f"^{path}: {told}"):
        Ticket.load(path)
    with pytest.raises(UserError, match=f"^{told}"):
        Ticket(groups["mask"], groups["weights"], groups["trained"])


def test_a_tensor_of_no_known_kind_is_refused_in_a_whole_file(tmp_path):
    ticket_file.write(tmp_path / "ticket", {"weights": WEIGHTS, "other": {"b": WHOLE}}, {})
    with pytest.raises(UserError, match=f"^{tmp_path}/ticket: other:b: must not be there"):
        Ticket.load(tmp_path / "ticket")


@pytest.mark.parametrize("metadata", [{"loss": float("nan")}, {"a": object()}, [1]])
def test_metadata_must_be_a_json_object(metadata):
    with pytest.raises(UserError, match=r"^metadata: must be "):
        Ticket(MASKS, WEIGHTS, None, metadata)


def test_other_byte_orders_are_refused_not_written_wrong():
    weights = {**WEIGHTS, "a/bias": WEIGHTS["a/bias"].astype(">f4")}
    with pytest.raises(UserError, match=r"^weights:a/bias: .*byte order, found >f4"):
        Ticket(MASKS, weights)
