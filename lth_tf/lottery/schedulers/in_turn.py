"""One training after another, in this process.

A training may be spread over several machines (`--distribution=multi_worker`). Then each of them
runs this program: the chief schedules as if it were alone, and the others `follow` it.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from lth_tf.lottery.inputs import Inputs
from lth_tf.lottery.network import Network
from lth_tf.lottery.schedulers import Queued, Scheduler
from lth_tf.lottery.worker import Worker
from lth_tf.runs.experiment import Training
from lth_tf.runs.settings import Settings
from lth_tf.training.distribution import make_strategy, set_threads, use_gpus_sparingly
from lth_tf.training.process_group import ProcessGroup


class InTurn(Scheduler):
    """Runs trainings in the plans' order, with all devices for each."""

    @staticmethod
    def prepare(settings: Settings) -> None:
        """See `Scheduler`."""
        set_threads(settings.threads)
        use_gpus_sparingly()

    def run(
        self, queue: Sequence[Queued], should_stop: Callable[[], bool] = lambda: False
    ) -> dict[Queued, Exception]:
        """See `Scheduler`."""
        failed = {}
        for queued in queue:
            try:
                with queued.at_work():
                    self._run(queued, should_stop)
            except Exception as error:
                failed[queued] = error
        return failed

    def _run(self, queued: Queued, should_stop: Callable[[], bool]) -> None:
        """Runs an experiment's trainings."""
        process_group = ProcessGroup(make_strategy(self._settings.distribution))
        with process_group.holding():
            fields = [dataclasses.astuple(training) for training in queued.pending]
            process_group.share_arrays({}, fields)
            if not fields:
                return
            worker = Worker(queued.network, queued.store, queued.settings, queued.inputs.data)
            trainings = _in_turn(queued, process_group, should_stop)
            worker.run(trainings, queued.listener, should_stop)


def _in_turn(
    queued: Queued, process_group: ProcessGroup, should_stop: Callable[[], bool]
) -> Iterator[Training]:
    """Yields trainings one after another; each is complete when the next is asked for."""
    for training in queued.pending:
        _stop_if_asked(process_group, should_stop)
        yield training
        queued.store.update_results()


def follow(
    network: Network, inputs: Inputs, settings: Settings, should_stop: Callable[[], bool]
) -> None:
    """Takes part in the trainings that the chief runs, in a worker that is not the chief.

    Args:
        network: the experiment's network.
        inputs: what the experiment has besides its recipe.
        settings: how to run, the same in all workers.
        should_stop: is asked at each evaluation whether all workers are to stop.

    Raises:
        UserError: if another worker has ended, or a loss is not finite.
        KeyboardInterrupt: if any worker was asked to stop.
    """
    process_group = ProcessGroup(make_strategy(settings.distribution))
    with process_group.holding():
        _, pending = process_group.share_arrays({}, None)
        if not pending:
            return
        worker = Worker(network, None, settings, inputs.data)
        for fields in pending:
            _stop_if_asked(process_group, should_stop)
            worker.follow(Training(*fields), should_stop)


def _stop_if_asked(process_group: ProcessGroup, should_stop: Callable[[], bool]) -> None:
    """Stops all workers together if any of them was asked to."""
    if process_group.any(should_stop())[0]:
        raise KeyboardInterrupt
