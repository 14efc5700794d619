"""A cluster is checked before TensorFlow waits for it; alone, a process is the chief."""

import json

import numpy as np
import pytest
import tensorflow as tf

from lth_tf.errors import UserError
from lth_tf.training.distribution import make_strategy
from lth_tf.training.process_group import ProcessGroup

TWO = {"worker": ["a:1", "b:1"]}
FIRST = {"type": "worker", "index": 0}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (None, "'TF_CONFIG' is missing"),
        ("{", "Expecting property name"),
        ({"cluster": TWO}, "'task' is missing"),
        ({"cluster": TWO, "task": {"type": "chief", "index": 0}}, "'chief' is missing"),
        ({"cluster": TWO, "task": {"type": "worker", "index": 2}}, "there is no worker 2 in"),
        ({"cluster": {"worker": ["a:1"]}, "task": FIRST}, "has one worker; use --distribution="),
        ({"cluster": {**TWO, "ps": ["c:1"]}, "task": FIRST}, "has the tasks ps; remove them"),
    ],
)
def test_a_wrong_cluster_is_refused_at_once(monkeypatch, config, told):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        text = config if isinstance(config, str) else json.dumps(config)
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError) as error:
        make_strategy("multi_worker")
    assert str(error.value).startswith("--distribution=multi_worker: TF_CONFIG must be as in {")
    assert told in str(error.value) and "\n" not in str(error.value)


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
