"""A Ray cluster: a machine that dies costs no bit, and what is missing is told in one line."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from lth_tf.errors import UserError
from lth_tf.lottery import ray_machines
from lth_tf.lottery.schedulers import with_path
from lth_tf.lottery.schedulers.ray_cluster import RayCluster
from lth_tf.runs.experiment import Training
from lth_tf.runs.settings import Settings

FLAGS = ("--name=e", "--rounds=1", "--replicates=2", "--iterations=2000", "--checkpoint_every=0")
ONE_CORE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


def test_without_ray_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        UserError, match=r"--cluster=auto: needs Ray, .*; pip install 'lth_tf.clust"
    ):
        RayCluster.prepare(Settings(cluster="auto"))


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"cluster": "ray://host:1"}, "--cluster=ray://host:1: must be auto, or the address"),
        ({"cluster": "auto", "jobs": 2}, "--cluster=auto: must be left out with --jobs=2"),
        ({"cluster": "auto", "distribution": "mirrored"}, "--cluster=auto: must be left out with"),
        ({"cluster": "auto", "gpu_share": 1.5}, "--gpu_share=1.5: must be above 0"),
        ({"cluster": "auto", "gpu_share": 0}, "--gpu_share=0: must be above 0"),
    ],
)
def test_what_does_not_go_together_is_refused(how, told):
    with pytest.raises(UserError, match=re.escape(told)):
        Settings(**how)


def test_an_address_where_nothing_listens_is_told_at_once():
    pytest.importorskip("ray")
    told = "--cluster=127.0.0.1:9: no Ray cluster can be reached there .*refused"
    with (
        pytest.raises(UserError, match=told),
        ray_machines.connected(Settings(cluster="127.0.0.1:9")),
    ):
        pass


@pytest.mark.parametrize(
    ("has", "needs", "room"), [(2, 0.6, 2), (2, 0.5, 4), (1, 1 / 3, 3), (8, 1, 8), (8, 3, 2)]
)
def test_a_share_of_a_gpu_never_spans_two(has, needs, room):
    assert ray_machines._room(has, needs) == room


def test_modules_that_lie_beside_the_installation_are_sent(monkeypatch):
    monkeypatch.setattr("sys.prefix", "/usr")
    monkeypatch.setattr("sys.base_prefix", "/opt/py")
    ours = ["/usr/src/app", "/opt/python_project", "/opt/py_lib"]
    theirs = ["/opt/py/lib/python311.zip", "/opt/py/lib/python3.11/lib-dynload", "/usr/lib/python3"]
    monkeypatch.setattr("sys.path", [*theirs, *ours])
    assert ray_machines._own_paths() == ours


def test_a_users_mistake_is_said_whole_and_once():
    training = Training(0, 1, "ticket")
    text = f"{training.path}: the loss is nan; {'set it to less ' * 40}."
    assert with_path(training, ray_machines.said_by_ray(UserError(text))) == text
    assert with_path(training, "gone") == f"{training.path}: gone"
    assert len(ray_machines.said_by_ray(ValueError("x" * 400))) == 300


def test_an_address_in_the_environment_may_leave_the_cluster_open(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    for address, expected in (("auto", None), ("host:1", "host:1")):
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert ray_machines._own_address() == expected


def test_this_machines_cluster_that_has_ended_is_told_at_once(tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray/ray_current_cluster").write_text("127.0.0.1:9\n")
    told = "--cluster=auto: no Ray cluster can be reached there .*refused"
    with pytest.raises(UserError, match=told), ray_machines.connected(Settings(cluster="auto")):
        pass


@pytest.fixture(scope="module")
def two_machines():
    """A cluster of two machines with one core each, on this one; and what ends one of them."""
    pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=ONE_CORE)
    try:
        yield cluster, cluster.add_node(**ONE_CORE)
    finally:
        cluster.shutdown()


def kill(node):
    """Kills all processes of a machine at once, those that train first."""
    raylet = node.all_processes["raylet"][0].process.pid
    for pid in (*children_of(raylet), raylet):
        os.kill(pid, signal.SIGKILL)


def children_of(parent):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


@pytest.fixture(scope="module")
def alone(start, tmp_path_factory):
    """The run directory of the same experiment in one process of one thread."""
    folder = tmp_path_factory.mktemp("alone")
    process = start(folder, *FLAGS, "--threads=1")
    process.join(600)
    assert process.exitcode == 0, (folder / "log").read_text()
    return folder / "e"


def wait_for_both(process, folder):
    """Waits until both replicates are inside a training."""
    deadline = time.monotonic() + 400
    while len(list(folder.glob("e/replicate_*/level_00/dense/checkpoint.safetensors"))) < 2:
        assert process.is_alive(), (folder / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_run_that_was_stopped_on_a_cluster_continues_without_it(
    two_machines, start, alone, outcome, tmp_path
):
    cluster, _ = two_machines
    process = start(tmp_path, *FLAGS, f"--cluster={cluster.address}")
    wait_for_both(process, tmp_path)
    os.kill(process.pid, signal.SIGINT)
    process.join(300)
    assert process.exitcode == 130, (tmp_path / "log").read_text()
    assert not list(tmp_path.glob("e/replicate_*/level_01/*/result.json"))
    process = start(tmp_path, *FLAGS, "--threads=1")
    process.join(600)
    assert process.exitcode == 0, (tmp_path / "log").read_text()
    assert outcome(tmp_path / "e") == outcome(alone)


def test_a_machine_that_does_not_see_the_folder_is_named(two_machines, tmp_path, monkeypatch):
    cluster, _ = two_machines
    settings = Settings(cluster=cluster.address)
    with ray_machines.connected(settings):
        machines = ray_machines.machines_of(settings)
        assert [machine.room for machine in machines] == [1, 1]
        ray_machines.check(machines, [tmp_path])
        assert not list(tmp_path.iterdir())
        monkeypatch.setattr(ray_machines.files, "write_text", lambda path, text: None)
        told = rf"^\S+ \(node \w{{8}}\): does not share {tmp_path} with this machine \(.*No such"
        with pytest.raises(UserError, match=told):
            ray_machines.check(machines, [tmp_path])
        with pytest.raises(UserError, match="none of its 2 machines has the 64 cores"):
            ray_machines.machines_of(Settings(cluster=cluster.address, threads=64))


def test_a_machine_that_is_killed_in_a_training_changes_no_bit(
    two_machines, start, alone, outcome, tmp_path
):
    cluster, node = two_machines
    process = start(tmp_path, *FLAGS, f"--cluster={cluster.address}")
    wait_for_both(process, tmp_path)
    kill(node)
    process.join(900)
    cluster.add_node(**ONE_CORE)  # for the other tests
    told = (tmp_path / "e/run.log").read_text()
    assert process.exitcode == 0, told
    place = rf"\S+ \(node {node.node_id[:8]}\)"
    assert re.search(rf"level_0\d/\w+ died on {place} .* run again 1 of 3 times", told), told
    assert outcome(tmp_path / "e") == outcome(alone)
    assert not list(tmp_path.glob("e/**/.*.lock")) or [*tmp_path.glob("e/**/.*.lock")] == [
        tmp_path / "e/.lock"
    ]
