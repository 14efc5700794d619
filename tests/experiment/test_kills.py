"""A run killed at any moment, any number of times, ends in the bits of one that was not."""

import contextlib
import random
import time

import pytest

# Defined in the process that runs it, as a script does that brings a network of its own.
NORMALISED = """
import tf_keras as keras
from lth_tf import models
from lth_tf.models import layers
from lth_tf.paper.recipes import RECIPES, paper_recipe

def build(image_shape, classes, seed, dropout=0.0, width=1.0):
    init = layers.Initializers(seed)
    images = keras.Input(image_shape, name="images")
    x = layers.scale(images)
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
models.NETWORKS["normalised"], RECIPES["normalised"] = build, recipe
"""
# The smaller network is the faster one, and has more to do before it is killed the last time.
NETWORKS = {"lenet": ("", 400), "normalised": (NORMALISED, 1000)}
# Many checkpoints in each of four trainings, and one thread each: both networks run at once.
FLAGS = ("--eval_every=10", "--rounds=3", "--threads=1", "--checkpoint_every=0")
# What a process writes before it is killed, how often at most, and the seconds to wait then at
# most. In sum they leave a part of the run to its last process, however fast the machine is.
MOMENTS = [
    *[("", 0, 1.2)] * 6,  # while it starts, or a little later
    *[("replicate_*/**/checkpoint.safetensors", 4, 0.05)] * 8,
    *[("replicate_*/**/*.tmp", 1, 0)] * 3,  # while it writes
    ("*.tmp", 1, 0),
    *[("replicate_*/**/result.json", 1, 0.05)] * 2,  # between two rounds
]


class Story:
    """A run that is killed again and again, and one that is not, of the same experiment."""

    def __init__(self, name, runs_dir, start):
        self.whole, self.killed = runs_dir / "whole", runs_dir / "killed"
        self.seed = random.randrange(2**32)
        self.codes, self.inside, self.half_written = [], 0, 0
        before, iterations = NETWORKS[name]
        flags = (*FLAGS, f"--model={name}", f"--iterations={iterations}")
        self._begin = lambda folder: start(runs_dir, *flags, f"--name={folder.name}", before=before)

    def steps(self):
        """Runs both; yields whenever it waits."""
        yield from self._until(lambda: False, self._begin(self.whole))
        chance = random.Random(self.seed)
        for pattern, most, delay in chance.sample(MOMENTS, len(MOMENTS)):
            sign = news(self.killed, pattern, chance.randint(1, max(1, most)))
            process = self._begin(self.killed)
            if most:
                yield from self._until(sign, process)
            end = time.monotonic() + chance.uniform(0, delay)
            yield from self._until(lambda end=end: time.monotonic() > end, process)
            process.kill()
            process.join()
            self.codes.append(process.exitcode)
            checkpoints = self.killed.rglob("checkpoint.safetensors")
            self.inside += any(not path.with_name("result.json").exists() for path in checkpoints)
            self.half_written += any(self.killed.rglob("*.tmp"))
        self.last = self._begin(self.killed)
        yield from self._until(lambda: False, self.last)

    def _until(self, sign, process):
        while process.is_alive() and not sign():
            yield


def news(folder, pattern, count):
    """A function that says whether `count` files were written since it was made."""

    def written():
        found = set()
        for path in folder.glob(pattern or "nothing"):
            with contextlib.suppress(FileNotFoundError):
                found.add((path, path.stat().st_mtime_ns))
        return found

    known, new = written(), set()

    def sign():
        new.update(written() - known)
        return len(new) >= count

    return sign


@pytest.fixture(scope="module")
def stories(start, tmp_path_factory):
    """The stories of both networks, told at the same time."""
    told = {name: Story(name, tmp_path_factory.mktemp(name), start) for name in NETWORKS}
    going = [story.steps() for story in told.values()]
    while going:
        going = [steps for steps in going if next(steps, "end") != "end"]
        time.sleep(0.001)
    return told


@pytest.mark.parametrize("name", NETWORKS)
def test_a_run_killed_at_random_moments_ends_in_the_same_bits(stories, name, outcome):
    story = stories[name]
    log = (story.whole.parent / "log").read_text()
    told = f"seed {story.seed}, {story.codes}, {story.inside} inside training, "
    told += f"{story.half_written} while writing\n{log[-3000:]}"
    assert story.codes == [-9] * len(MOMENTS) and len(MOMENTS) >= 20, told
    assert story.inside >= 5 and story.last.exitcode == 0, told
    assert outcome(story.killed) == outcome(story.whole), told
    for pattern in ("checkpoint*", "*.tmp"):
        assert not list(story.killed.rglob(pattern)), told
