"""A run killed at any moment, any number of times, ends in the bits of one that was not.

Each process is killed just before a step that it would take: no clock decides where. The suite
kills a few times; `-m abuse` has all stories, of one process and of jobs, with forty kills each.
"""

import multiprocessing.forkserver
import random
import time

import pytest

# Defined in the process that runs it, as a script does that brings a network of its own.
NORMALISED = """
import tf_keras as keras
from lth_tf import models
from lth_tf.models import layers
from lth_tf.paper.recipes import RECIPES, paper_recipe

@models.NETWORKS.register
def normalised(image_shape, classes, init, dropout, width, scaling):
    images = keras.Input(image_shape, name="images")
    x = layers.scale(images, scaling)
    x = keras.layers.Conv2D(
        4, 3, strides=2, use_bias=False, kernel_initializer=init("conv"), name="conv"
    )(x)
    x = layers.batch_norm_relu(x, "conv")
    x = keras.layers.MaxPooling2D(name="pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.Model(images, layers.output(x, classes, init), name="normalised")

recipe = paper_recipe("lenet").override(
    model="normalised", augment="flip_crop", prune_conv=0.2, batch_size=20
)
RECIPES["normalised"] = recipe
"""
# In a job, before it begins: it kills itself, or the process that started it.
IN_JOB = """
import os, re, signal, sys
def watch(event, arguments, left=[COUNT]):
    if event == "os.rename" and re.search(STEP, str(arguments[1])):
        left[0] -= 1
        if not left[0]:
            os.kill(PARENT if WHO == "parent" else os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
BEGIN(*ARGUMENTS)
"""
# Jobs are forked from the tests' own process that has imported TensorFlow: another for each of
# forty starts would take most of the time, and test_processes.py has those.
WITH_JOBS = """
import multiprocessing.forkserver, os
from lth_tf.lottery.schedulers import processes
server = multiprocessing.forkserver._forkserver
server._forkserver_address, server.ensure_running = {address!r}, lambda: None
pool, about = processes._Pool, dict(COUNT={count}, STEP={step!r}, WHO={who!r}, PARENT=os.getpid())
processes._Pool = lambda count, context, begin, arguments: pool(
    count, context, exec, ({in_job!r}, {{**about, "BEGIN": begin, "ARGUMENTS": arguments}})
)
"""
# Many checkpoints in each training, and one thread each.
FLAGS = ("--iterations=400", "--eval_every=10", "--threads=1", "--checkpoint_every=0")
# Who is killed by whom, before which step, and before the how many-th of them at most. In sum they
# leave a part of the run to its last process.
ANYWHERE = ("itself", r".*/killed", 60)  # in the run directory: while it starts, or a little later
INSIDE = ("itself", r"os.rename .*checkpoint", 4)
WRITING = ("itself", r"os.rename .*replicate_", 3)
RESULTS = ("itself", r"os.rename .*/killed/[^/]+$", 1)
BETWEEN = ("itself", r"os.remove .*checkpoint", 1)  # two rounds
PARENT, JOB = ("parent", r"checkpoint", 4), ("job", r"checkpoint", 3)
A_FEW = [ANYWHERE, INSIDE, INSIDE, WRITING, BETWEEN]
FORTY = [*[ANYWHERE] * 10, *[INSIDE] * 22, *[WRITING] * 3, *[RESULTS] * 2, *[BETWEEN] * 3]
START, FINISHED = ("itself", r".*/killed", 8), ("itself", r"os.rename .*/results.csv", 1)
FORTY_OF_JOBS = [
    *[START] * 10, *[PARENT] * 20, *[RESULTS] * 2, *[FINISHED] * 3, *[JOB] * 5
]  # fmt: skip
SECONDS = 10  # after which no job is left


class Story:
    """A run that is killed again and again, and one that is not, of the same experiment.

    Attributes:
        codes: how its processes ended.
        inside: after how many kills a training was left in the midst.
        half_written: after how many a file was left half-written.
        slowest: the seconds that the last job was there after its parent's end, at most.
    """

    def __init__(self, runs_dir, tools, moments, flags, before="", jobs=1):
        self.whole, self.killed = runs_dir / "whole", runs_dir / "killed"
        self.codes, self.inside, self.half_written, self.slowest = [], 0, 0, 0.0
        self._start, self._stop_at, self._writing_to = tools
        self._moments = moments
        self._flags, self._before, self._jobs = (*FLAGS, *flags), before, jobs

    def tell(self, seed):
        """Runs both; any other seed of the moments must do as well."""
        assert self._run(self.whole, 1) == 0
        chance = random.Random(seed)
        for who, step, most in chance.sample(self._moments, len(self._moments)):
            count = chance.randint(1, most)
            before = self._with_jobs(who, step, count)
            before += self._stop_at(step, count) if who == "itself" else ""
            self.codes.append(self._run(self.killed, self._jobs, before))
            self._wait_for_end_of_jobs()
            checkpoints = self.killed.rglob("checkpoint.safetensors")
            self.inside += any(not path.with_name("result.json").exists() for path in checkpoints)
            self.half_written += any(self.killed.rglob("*.tmp"))
        self.last = self._run(self.killed, self._jobs, self._with_jobs())
        return self

    def _run(self, folder, jobs, before=""):
        flags = (*self._flags, f"--name={folder.name}", f"--jobs={jobs}")
        process = self._start(folder.parent, *flags, before=self._before + before)
        process.join()
        return process.exitcode

    def _with_jobs(self, who="nobody", step="^$", count=1):
        if self._jobs == 1:
            return ""
        address = multiprocessing.forkserver._forkserver._forkserver_address
        step = "^$" if who == "itself" else step
        return WITH_JOBS.format(who=who, step=step, count=count, in_job=IN_JOB, address=address)

    def _wait_for_end_of_jobs(self):
        begin = time.monotonic()
        logs = [self.killed / f"job_{job}.log" for job in range(self._jobs)]
        while left := [pid for log in logs for pid in self._writing_to(log)]:
            waited = time.monotonic() - begin
            assert waited < SECONDS, f"{left} outlive the process that started them"
            time.sleep(0.05)
        self.slowest = max(self.slowest, time.monotonic() - begin)

    @property
    def told(self):
        """What happened, for a person."""
        log = (self.whole.parent / "log").read_text()
        counts = f"{self.inside} inside training, {self.half_written} while writing"
        return f"{self.codes}, {counts}, slowest {self.slowest:.1f} s\n{log[-3000:]}"


@pytest.fixture(scope="session")
def tools(start, stop_at, processes_writing_to):
    """What a story is told with."""
    return start, stop_at, processes_writing_to


def check(story, outcome):
    """Asserts that a run that was killed is one that was not, and has nothing left over."""
    told = story.told
    print(told)
    assert story.last == 0, told
    assert outcome(story.killed) == outcome(story.whole), told
    for pattern in ("checkpoint*", "*.tmp"):
        assert not list(story.killed.rglob(pattern)), told


def test_a_run_killed_a_few_times_ends_in_the_same_bits(tools, tmp_path, outcome):
    flags = ("--model=normalised", "--rounds=1")
    story = Story(tmp_path, tools, A_FEW, flags, NORMALISED).tell(2)
    assert story.codes == [-9] * len(A_FEW), story.told
    assert story.inside >= 2 and story.half_written >= 1, story.told
    check(story, outcome)


@pytest.mark.abuse
@pytest.mark.parametrize(("name", "before"), [("lenet", ""), ("normalised", NORMALISED)])
def test_a_run_killed_forty_times_ends_in_the_same_bits(name, before, tools, tmp_path, outcome):
    flags = (f"--model={name}", "--rounds=4")
    story = Story(tmp_path, tools, FORTY, flags, before).tell(1)
    assert story.codes == [-9] * 40, story.told
    assert story.inside >= 10 and story.half_written >= 5, story.told
    check(story, outcome)


@pytest.mark.abuse
def test_two_jobs_killed_forty_times_end_in_the_same_bits(tools, tmp_path, outcome):
    flags = ("--rounds=5", "--arms=ticket,reinit")
    story = Story(tmp_path, tools, FORTY_OF_JOBS, flags, jobs=2).tell(3)
    # A job that is killed is told, and the others are done.
    assert len(story.codes) == 40 and set(story.codes) <= {-9, 1}, story.told
    assert story.codes.count(-9) == 35 and story.codes.count(1) == 5, story.told
    check(story, outcome)
