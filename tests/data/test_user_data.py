"""A user's data: arrays and tf.data are one thing; what does not fit is told."""

import numpy as np
import pytest
import tensorflow as tf

from lth_tf.data import UserData
from lth_tf.errors import UserError, UsersCodeError

RNG = np.random.default_rng(0)
INPUTS, TARGETS = RNG.random((10, 3)), RNG.integers(0, 2, 10).astype(np.int32)
TRAIN, TEST = (INPUTS, TARGETS), (INPUTS[:4], TARGETS[:4])


def test_arrays_and_batches_of_tf_data_are_the_same():
    arrays = UserData.of(TRAIN, TEST, TEST)
    batches = [tf.data.Dataset.from_tensor_slices(pair).batch(3) for pair in (TRAIN, TEST, TEST)]
    streamed = UserData.of(*batches)
    assert streamed.info == arrays.info
    for one, other in zip(streamed.examples, arrays.examples, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_given_validation_examples_are_the_last_rows_and_others_are_drawn():
    rng = np.random.default_rng(1)
    given = UserData.of(TRAIN, TEST, TEST).info
    rows, validation = given.split(4, rng)
    assert (list(rows), list(validation)) == (list(range(10)), [10, 11, 12, 13])
    rows, validation = UserData.of(TRAIN, None, TEST).info.split(4, rng)
    assert sorted([*rows, *validation]) == list(range(10))
    assert list(validation) != [6, 7, 8, 9]


def test_structures_keep_their_names():
    both = {"a": INPUTS, "b": INPUTS * 2}
    data = UserData.of((both, TARGETS), ({"a": INPUTS, "b": INPUTS}, TARGETS), (both, TARGETS))
    assert data.examples[0].keys() == {"a", "b"}
    assert data.examples[0]["b"].shape == (20, 3)
    np.testing.assert_allclose(data.examples[0]["b"][:10], 2 * INPUTS, rtol=1e-6)


def test_every_value_is_in_the_checksum():
    before = UserData.of(TRAIN, TEST, TEST).info.sha256
    for place in range(3):
        sets = [TRAIN, TEST, TEST]
        changed = sets[place][0].copy()
        changed[-1, -1] += 1
        sets[place] = changed, sets[place][1]
        assert UserData.of(*sets).info.sha256 != before


REFUSED = {
    "train: must be a pair": lambda: (INPUTS, TEST, TEST),
    r"test: its arrays must have as many .* \(10, 3\), \(4,\)": lambda: (
        TRAIN,
        TEST,
        (INPUTS, TARGETS[:4]),
    ),
    "validation: must be arrays like": lambda: (TRAIN, ({"a": INPUTS}, TARGETS), TEST),
    "train: must be a data set with an end": lambda: (
        tf.data.Dataset.from_tensor_slices(TRAIN).batch(2).repeat(),
        TEST,
        TEST,
    ),
    "train: must be a data set of pairs": lambda: (
        tf.data.Dataset.from_tensor_slices(INPUTS).batch(2),
        TEST,
        TEST,
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refuses(message):
    with pytest.raises(UserError, match=message):
        UserData.of(*REFUSED[message]())


def test_a_function_must_return_three_sets():
    with pytest.raises(UserError, match="--dataset=mine:data: must return"):
        UserData.made_by("mine:data", lambda: (TRAIN, TEST))


class Broken(tf.keras.utils.Sequence):
    """Fails when its batches are read."""

    def __len__(self):
        return 1

    def __getitem__(self, place):
        raise KeyError("no column")


def test_code_of_the_users_that_runs_when_the_data_are_read_is_said_to_be_theirs():
    mapped = tf.data.Dataset.from_tensor_slices(TRAIN).batch(2)
    mapped = mapped.map(lambda x, y: (tf.debugging.check_numerics(x / 0.0, "divided"), y))
    for train, cause in ((Broken(), "KeyError: .no column"), (mapped, "divided")):
        with pytest.raises(UsersCodeError, match=f"--dataset=mine:data: its own code .*{cause}"):
            UserData.made_by("mine:data", lambda train=train: (train, None, TEST))
