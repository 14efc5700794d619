"""Two processes that train together, by TF_CONFIG, are one training, and one run directory."""

import json
import socket
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

from lth_tf.data import ImageInfo
from lth_tf.errors import UserError
from lth_tf.lottery.network import Network
from lth_tf.paper.recipes import paper_recipe
from lth_tf.runs.experiment import Experiment

pytestmark = pytest.mark.long

# Momentum: Adam, where a gradient is about 0, divides rounding by rounding.
FLAGS = (
    "--name=e", "--rounds=1", "--rewind=20", "--optimizer=momentum", "--augment=flip_crop",
    "--checkpoint_every=0",
)  # fmt: skip


@pytest.fixture
def start_two(start, tmp_path):
    """Starts two workers on loopback, each with a --runs_dir of its own; or fewer of the two."""

    def start_workers(count=2):
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            two.bind(("127.0.0.1", 0))
            addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in (one, two)]
        workers = []
        for index in range(count):
            task = {"type": "worker", "index": index}
            config = json.dumps({"cluster": {"worker": addresses}, "task": task})
            before = f"import os; os.environ['TF_CONFIG'] = {config!r}"
            flags = (*FLAGS, "--distribution=multi_worker")
            workers.append(start(tmp_path / f"of_{index}", *flags, before=before))
        return workers

    return start_workers


def end(workers):
    for worker in workers:
        worker.join(180)
    return [worker.exitcode for worker in workers]


def test_two_workers_train_as_one_and_continue_after_one_was_killed(
    run, start_two, wait_for, rows, tmp_path
):
    chiefs, others = tmp_path / "of_0/e", tmp_path / "of_1"
    ticket = "replicate_00/level_01/ticket"

    workers = start_two()
    wait_for(workers[0], chiefs, f"{ticket}/checkpoint.safetensors")
    workers[1].kill()
    assert end(workers) == [1, -9]
    told = (tmp_path / "of_0/log").read_text().splitlines()[-1]
    assert told.startswith("lth_tf: worker 0 of 2: another worker has ended (")
    assert told.endswith("continues from its last checkpoint")

    assert (chiefs / ticket / "checkpoint.safetensors").exists()
    assert end(start_two()) == [0, 0]
    assert len(json.loads((chiefs / "experiment.json").read_text())["starts"]) == 2
    assert {path.name for path in others.iterdir()} == {"log"}, "only the chief writes"

    assert run(tmp_path, *FLAGS) == 0
    alone = tmp_path / "e"
    for path in alone.glob("replicate_*/**/*.safetensors"):
        found = load_file(chiefs / path.relative_to(alone))
        for name, array in load_file(path).items():
            # The sums over half a batch each are rounded otherwise than that over the batch.
            np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=5e-6, err_msg=name)
    for one, two in zip(rows(alone), rows(chiefs), strict=True):
        assert (one["level"], one["remaining"]) == (two["level"], two["remaining"])
        losses = [float(row["validation_loss_at_early_stop"]) for row in (one, two)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.abuse
def test_a_worker_whom_no_other_answers_ends_and_says_so(start_two, tmp_path):
    begin = time.monotonic()
    (worker,) = start_two(1)
    assert end([worker]) == [1]
    seconds = time.monotonic() - begin
    told = (tmp_path / "of_0/log").read_text().splitlines()[-1]
    print(f"{seconds:.0f} s: {told}")
    assert told.startswith("lth_tf: --distribution=multi_worker: no worker answers within 45 sec")
    assert "at 127.0.0.1:" in told


def test_a_batch_that_does_not_divide_among_the_devices_is_refused():
    recipe = paper_recipe("lenet").override(batch_size=61)
    network = Network(Experiment(recipe=recipe, rounds=1), ImageInfo((28, 28, 1), 10, 60_000, 1))
    network.check(devices=1)
    with pytest.raises(UserError, match="--batch_size=61: must be divisible among the 2 devices"):
        network.check(devices=2)
