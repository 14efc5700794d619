"""Schedulers: which process runs which training of which experiment, one file each.

`in_turn` runs one after another in this process, `processes` several at the same time,
`ray_cluster` on the machines of a Ray cluster. All take one queue of any number of experiments, so
that nothing waits while any of them has a training that is ready. Another one is a `Scheduler` in a
file beside them, and a line where `run_experiments` chooses. Like the others, this module is
imported before a process has its devices: it imports no TensorFlow.
"""

import abc
import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lth_tf.errors import UserError
from lth_tf.lottery.schedulers.ready import ReadyQueue
from lth_tf.runs.experiment import Experiment, Training
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store

if TYPE_CHECKING:
    from lth_tf.lottery.inputs import Inputs
    from lth_tf.lottery.network import Network
    from lth_tf.lottery.worker import Listener, Worker


@dataclasses.dataclass(frozen=True, eq=False)
class Queued:
    """An experiment that has begun, and what is to be run of it.

    Attributes:
        network: its network.
        inputs: what it has besides its recipe.
        store: where trainings find what they need, and leave their results.
        settings: how its trainings are run.
        pending: the trainings that are not complete, in the plan's order: none comes before one
            that it needs.
        listener: is called as trainings make progress, in the scheduler's process and thread.
        at_work: makes a context for what is done for it, in which log lines go to its log.
    """

    network: "Network"
    inputs: "Inputs"
    store: Store
    settings: Settings
    pending: Sequence[Training]
    listener: "Listener"
    at_work: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext


class Scheduler(abc.ABC):
    """Runs the trainings of experiments, each when what it needs is complete."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        """Makes a scheduler; nothing is run yet.

        Args:
            settings: how many trainings run at the same time, and where.
            folder: where its own files go: the run directory, or the sweep's folder.
        """
        self._settings = settings
        self._folder = folder

    @staticmethod
    @abc.abstractmethod
    def prepare(settings: Settings) -> None:
        """Sets up the devices of this process, before TensorFlow computes anything.

        Args:
            settings: how to run.

        Raises:
            UserError: if TensorFlow has started with other settings already.
        """

    @abc.abstractmethod
    def run(
        self, queue: Sequence[Queued], should_stop: Callable[[], bool] = lambda: False
    ) -> dict[Queued, Exception]:
        """Runs trainings, and leaves their files and results in the stores.

        Args:
            queue: the experiments; of two trainings that are ready, that of the first goes first.
            should_stop: is asked again and again whether to keep the state and stop.

        Returns:
            What went wrong, by experiment: one that fails stops no other. What is complete stays;
            the same plan continues.

        Raises:
            KeyboardInterrupt: if it was asked to stop; what was trained so far is kept.
        """


def ready_queue(queue: Sequence[Queued]) -> ReadyQueue[tuple[Queued, Training]]:
    """Returns the trainings of all experiments, each ready when what it needs is complete.

    An experiment's are a group.
    """

    def need(item: tuple[Queued, Training]) -> tuple[Queued, Training | None]:
        queued, training = item
        return queued, queued.network.experiment.parent(training)

    items = [(queued, training) for queued in queue for training in queued.pending]
    return ReadyQueue(items, need, lambda item: item[0])


def make_worker(
    experiment: Experiment, inputs: "Inputs", folder: Path, settings: Settings
) -> "Worker":
    """Returns a worker in a process of its own, whose threads and GPUs it sets up first.

    Args:
        experiment: what to run.
        inputs: what it has besides its recipe.
        folder: the run directory.
        settings: how to run.
    """
    from lth_tf.lottery.network import Network
    from lth_tf.lottery.worker import Worker
    from lth_tf.training.distribution import set_threads, use_gpus_sparingly

    set_threads(settings.threads_per_job)
    use_gpus_sparingly()
    store = Store(folder)
    return Worker(Network.of(experiment, store.data(), inputs), store, settings, inputs.data)


def with_path(training: Training, text: str) -> str:
    """Returns what is said of a training that failed: its folder, once, and why.

    Args:
        training: the training.
        text: why; some errors name the folder themselves.
    """
    return text if text.startswith(f"{training.path}: ") else f"{training.path}: {text}"


def failure(texts: Sequence[str]) -> UserError:
    """Returns what is said of an experiment some of whose trainings have failed.

    Args:
        texts: each of them, and why.
    """
    failed = "; ".join(texts)
    return UserError(f"{failed}. The others are complete; the same command continues")
