"""A run killed at any moment, any number of times, ends in the bits of one that was not."""

import concurrent.futures
import random

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
NETWORKS = {"lenet": "", "normalised": NORMALISED}
SEEDS = {"lenet": 1, "normalised": 2}  # of the moments; any others must do as well
# Many checkpoints in each of four trainings, and one thread each: both networks run at once.
FLAGS = ("--iterations=400", "--eval_every=10", "--rounds=3", "--threads=1", "--checkpoint_every=0")
# What a process is about to do when it is killed, and the how many-th time of it at most. In sum
# they leave a part of the run to its last process.
MOMENTS = [
    *[(r".*/killed", 60)] * 6,  # anything in the run directory: while it starts, or a little later
    *[(r"os.rename .*checkpoint", 4)] * 8,
    *[(r"os.rename .*replicate_", 3)] * 3,  # while it writes
    (r"os.rename .*/killed/[^/]+$", 1),
    *[(r"os.remove .*checkpoint", 1)] * 2,  # between two rounds
]


class Story:
    """A run that is killed again and again, and one that is not, of the same experiment."""

    def __init__(self, name, runs_dir, start, stop_at):
        self.whole, self.killed = runs_dir / "whole", runs_dir / "killed"
        self.seed = SEEDS[name]
        self.codes, self.inside, self.half_written = [], 0, 0
        self._start, self._stop_at = start, stop_at
        self._before, self._flags = NETWORKS[name], (*FLAGS, f"--model={name}")

    def tell(self):
        """Runs both."""
        assert self._run(self.whole) == 0
        chance = random.Random(self.seed)
        for step, most in chance.sample(MOMENTS, len(MOMENTS)):
            code = self._run(self.killed, self._stop_at(step, chance.randint(1, most)))
            self.codes.append(code)
            checkpoints = self.killed.rglob("checkpoint.safetensors")
            self.inside += any(not path.with_name("result.json").exists() for path in checkpoints)
            self.half_written += any(self.killed.rglob("*.tmp"))
        self.last = self._run(self.killed)
        return self

    def _run(self, folder, before=""):
        flags = (*self._flags, f"--name={folder.name}")
        process = self._start(folder.parent, *flags, before=self._before + before)
        process.join()
        return process.exitcode


@pytest.fixture(scope="module")
def stories(start, stop_at, tmp_path_factory):
    """The stories of both networks, told at the same time."""
    told = {name: Story(name, tmp_path_factory.mktemp(name), start, stop_at) for name in NETWORKS}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return dict(zip(told, pool.map(Story.tell, told.values()), strict=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_run_killed_at_random_moments_ends_in_the_same_bits(stories, name, outcome):
    story = stories[name]
    log = (story.whole.parent / "log").read_text()
    told = f"seed {story.seed}, {story.codes}, {story.inside} inside training, "
    told += f"{story.half_written} while writing\n{log[-3000:]}"
    assert story.codes == [-9] * len(MOMENTS) and len(MOMENTS) >= 20, told
    assert story.inside >= 5 and story.half_written >= 4 and story.last == 0, told
    assert outcome(story.killed) == outcome(story.whole), told
    for pattern in ("checkpoint*", "*.tmp"):
        assert not list(story.killed.rglob(pattern)), told
