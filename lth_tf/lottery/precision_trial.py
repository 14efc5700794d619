"""A trial of precisions: which of them trains an experiment's network faster on this machine.

It runs in a process of its own: some machines announce instructions for bfloat16 and kill the
process that uses them.
"""

import concurrent.futures
import dataclasses
import multiprocessing
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from lth_tf.lottery.inputs import Inputs
from lth_tf.runs.experiment import Experiment
from lth_tf.runs.settings import Settings

TRIED = ("float32", "mixed_bfloat16")
_LEAST_GAIN = 1.1  # below, float32's exactness is worth more
_SECONDS = 2.0  # of each
_OPERATIONS = 1e10  # of a chunk: a fraction of a second on a CPU core


@dataclasses.dataclass(frozen=True)
class Trial:
    """What a trial has found.

    Attributes:
        precision: the one to take.
        reason: why, for a person.
    """

    precision: str
    reason: str


def try_precisions(experiment: Experiment, inputs: Inputs, settings: Settings) -> Trial:
    """Trains an experiment's dense network for some seconds in each precision.

    Args:
        experiment: what is to be run.
        inputs: what it has besides its recipe.
        settings: how it is to be run.

    Raises:
        UserError: if the network or the data cannot be had.
    """
    plain, half = TRIED
    context = multiprocessing.get_context("spawn")
    with inputs.saved() as path, concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        try:
            seconds = pool.submit(_race, experiment, path, settings).result()
        except BrokenProcessPool:
            return Trial(plain, f"a process that computed in {half} died")
    return choose(seconds)


def choose(seconds: dict[str, float]) -> Trial:
    """Returns the precision to take.

    Args:
        seconds: what an iteration takes, by precision.
    """
    plain, half = TRIED
    gain = seconds[plain] / seconds[half]
    found = f"an iteration takes {1000 * seconds[half]:.4g} ms in {half}"
    reason = f"{found}, {1000 * seconds[plain]:.4g} ms in {plain}"
    return Trial(half if gain >= _LEAST_GAIN else plain, reason)


def _race(experiment: Experiment, inputs: Path | None, settings: Settings) -> dict[str, float]:
    """Returns the seconds of an iteration by precision, the shortest of several chunks."""
    from lth_tf.training.distribution import set_threads, use_gpus_sparingly

    set_threads(settings.threads_per_job)
    use_gpus_sparingly()
    loaded = Inputs.load(inputs)
    runners = {name: _Runner(in_precision(name, experiment), loaded, settings) for name in TRIED}
    times: dict[str, list[float]] = {name: [] for name in TRIED}
    # In turn, as other programs on the machine come and go.
    while min(map(sum, times.values())) < _SECONDS:
        for name, runner in runners.items():
            times[name].append(runner.run_chunk())
    return {name: min(times[name]) / runners[name].length for name in TRIED}


def in_precision(precision: str, experiment: Experiment) -> Experiment:
    """Returns an experiment with another precision.

    Args:
        precision: the one that it is to have.
        experiment: the experiment.
    """
    recipe = experiment.recipe.override(precision=precision)
    return dataclasses.replace(experiment, recipe=recipe)


class _Runner:
    """Trains a dense network by chunks.

    Attributes:
        length: iterations of a chunk.
    """

    def __init__(self, experiment: Experiment, inputs: Inputs, settings: Settings) -> None:
        from lth_tf import data
        from lth_tf.lottery.network import Network
        from lth_tf.lottery.next_level import draw_of
        from lth_tf.lottery.worker import make_order
        from lth_tf.runs.experiment import make_plan
        from lth_tf.training.arithmetic import training_operations
        from lth_tf.training.distribution import make_strategy
        from lth_tf.training.trainer import Trainer

        recipe = experiment.recipe
        examples = inputs.data or data.load(recipe.dataset, settings.data_dir)
        network = Network.of(experiment, inputs.info(recipe, settings.data_dir), inputs)
        strategy = make_strategy("none")
        metric = network.metric.name
        trainer = Trainer(recipe, network.build, examples, strategy, settings.xla, metric)
        operations = recipe.batch_size * training_operations(trainer.model)
        self.length = min(recipe.eval_every, max(1, round(_OPERATIONS / operations)))
        dense = make_plan(experiment)[0]
        rows, _ = network.split(dense.replicate)
        order = make_order(dense, draw_of(dense, network), rows, recipe.batch_size)
        chunk = next(iter(order.dataset(0, [self.length])))
        self._train = trainer.model.make_train_function()
        self._chunk = chunk
        self.run_chunk()  # compiles it

    def run_chunk(self) -> float:
        """Trains on a chunk, the same each time; returns its seconds."""
        began = time.perf_counter()
        float(self._train(iter([self._chunk]))["loss"])
        return time.perf_counter() - began
