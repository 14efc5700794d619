"""A cluster is checked, and waited for, before TensorFlow waits for it."""

import contextlib
import json
import socket
import threading

import pytest

from lth_tf.errors import UserError
from lth_tf.training.cluster import Cluster, read_cluster

TWO = {"worker": ["a:1", "b:1"]}
FIRST = {"type": "worker", "index": 0}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (None, "is missing"),
        ("{", "it: must be a whole JSON file"),
        ("[" * 100_000, "it: must be "),
        ([], "it must be an object, found []"),
        ({"cluster": TWO}, "it: task is missing"),
        ({"cluster": "ab", "task": FIRST}, 'it: cluster must be an object, found "ab"'),
        ({"cluster": {"worker": "ab"}, "task": FIRST}, "it: cluster[...] is wrong"),
        ({"cluster": {"worker": ["a:1", None]}, "task": FIRST}, "None is no address"),
        ({"cluster": {"worker": ["a:1", "b"]}, "task": FIRST}, "but b is no address with"),
        (
            {"cluster": {"worker": ["a:1", "b:70000"]}, "task": FIRST},
            "b:70000 is no address with a port",
        ),
        ({"cluster": {"worker": ["a:1", "a:1"]}, "task": FIRST}, "has an address twice: a:1, a:1"),
        ({"cluster": TWO, "task": {"type": "chief", "index": 0}}, "there is no chief 0 among a:1"),
        ({"cluster": TWO, "task": {"type": "worker", "index": 2}}, "there is no worker 2 among"),
        ({"cluster": TWO, "task": {"type": "worker", "index": -1}}, "it: task.index"),
        ({"cluster": TWO, "task": {"type": "worker", "index": "x"}}, "it: task.index"),
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
        read_cluster()
    assert str(error.value).startswith("--distribution=multi_worker: TF_CONFIG must be as in {")
    assert told in str(error.value) and "\n" not in str(error.value)


def test_a_place_may_be_written_as_text(monkeypatch):
    cluster = {"chief": ["a:1"], "worker": ["c:1", "b:1"]}
    config = {"cluster": cluster, "task": {"type": "worker", "index": "1"}}
    monkeypatch.setenv("TF_CONFIG", json.dumps({**config, "environment": "cloud"}))
    assert read_cluster() == Cluster("b:1", ["a:1", "c:1"])


def free_addresses(count):
    """Addresses of this machine where nobody listens."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def test_a_worker_answers_while_it_waits_and_goes_on_when_the_others_answer():
    own, other = free_addresses(2)
    waiting = threading.Thread(target=Cluster(own, [other]).wait_for_workers)
    waiting.start()
    answered = False
    while not answered and waiting.is_alive():
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", int(own.rpartition(":")[2]))).close()
            answered = True
    assert answered and waiting.is_alive()
    with socket.create_server(("127.0.0.1", int(other.rpartition(":")[2]))):
        waiting.join(60)
    assert not waiting.is_alive()


def test_addresses_that_do_not_answer_are_named():
    own, silent = free_addresses(2)
    with pytest.raises(UserError) as error:
        Cluster(own, [silent, "no.such.host.invalid:1"]).wait_for_workers(0.5)
    assert f"at {silent} (Connection refused), no.such.host.invalid:1 (" in str(error.value)
    with (
        socket.create_server(("127.0.0.1", int(own.rpartition(":")[2]))),
        pytest.raises(UserError, match=f"cannot listen at {own}, this worker's address"),
    ):
        Cluster(own, [silent]).wait_for_workers(0.5)
