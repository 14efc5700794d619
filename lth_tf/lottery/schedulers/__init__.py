"""Schedulers: which process runs which training of a plan, one file each.

`in_turn` runs one after another in this process, `processes` several at the same time. Another one,
such as a cluster's, is a `Scheduler` in a file beside them, and a line where `run_experiment`
chooses. Like `processes`, this module is imported before a process has its devices: it imports no
TensorFlow.
"""

import abc
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lth_tf.runs.experiment import Training
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store

if TYPE_CHECKING:
    from lth_tf.lottery.inputs import Inputs
    from lth_tf.lottery.network import Network
    from lth_tf.lottery.worker import Listener


class Scheduler(abc.ABC):
    """Runs the trainings of an experiment's plan, each when what it needs is complete."""

    def __init__(
        self, network: "Network", inputs: "Inputs", store: Store, settings: Settings
    ) -> None:
        """Makes a scheduler; nothing is run yet.

        Args:
            network: the experiment's network.
            inputs: what the experiment has besides its recipe.
            store: where trainings find what they need, and leave their results.
            settings: how to run.
        """
        self._network = network
        self._inputs = inputs
        self._store = store
        self._settings = settings

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
        self,
        pending: Sequence[Training],
        listener: "Listener",
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Runs trainings, and leaves their files and results in the store.

        Args:
            pending: the trainings that are not complete, in the plan's order: none comes before
                one that it needs.
            listener: is called as trainings make progress, in this process and thread.
            should_stop: is asked again and again whether to keep the state and stop.

        Raises:
            UserError: if a training fails. What is complete stays; the same plan continues.
            KeyboardInterrupt: if it was asked to stop; what was trained so far is kept.
        """
