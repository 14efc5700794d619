"""Alone, a process is the chief of its group."""

import numpy as np
import pytest
import tensorflow as tf

from lth_tf.training.process_group import ProcessGroup


def test_one_process_is_a_team_of_its_chief():
    process_group = ProcessGroup(tf.distribute.get_strategy())
    assert (process_group.size, process_group.is_chief) == (1, True)
    assert process_group.any(True, False) == [True, False]
    assert process_group.share(b"all of it") == b"all of it"
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    arrays, record = process_group.share_arrays({"a": array, "none": np.zeros(0, bool)}, {"n": 1})
    np.testing.assert_array_equal(arrays["a"], array)
    assert arrays["none"].shape == (0,) and record == {"n": 1}
    with pytest.raises(tf.errors.InternalError), process_group.holding():
        raise tf.errors.InternalError(None, None, "not another worker's end")
