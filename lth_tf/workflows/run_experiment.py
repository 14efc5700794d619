"""Running an experiment from beginning to end, in its run directory."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from lth_tf import data, files
from lth_tf.analysis.report.report import headline, write_report
from lth_tf.analysis.report.results_table import results_table
from lth_tf.data import ImageInfo, UserDataInfo
from lth_tf.data.augmentations import augmentation
from lth_tf.formats.saved_model import export_saved_model as export
from lth_tf.importing import allow
from lth_tf.lottery.inputs import Inputs, inputs_of
from lth_tf.lottery.network import Network
from lth_tf.lottery.progress import ProgressListener, make_console
from lth_tf.lottery.schedulers import Scheduler
from lth_tf.lottery.schedulers.in_turn import InTurn, follow
from lth_tf.lottery.schedulers.processes import Processes
from lth_tf.runs.experiment import Experiment, Training, make_plan
from lth_tf.runs.provenance import describe_start
from lth_tf.runs.results import Result
from lth_tf.runs.run_log import full_disk_named, run_log
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store
from lth_tf.training.distribution import gpu_names, make_strategy
from lth_tf.training.process_group import ProcessGroup
from lth_tf.training.rewind import set_weights
from lth_tf.workflows.check_network import check_network

_log = logging.getLogger(__name__)


def run_experiment(
    experiment: Experiment,
    folder: Path,
    settings: Settings | None = None,
    *,
    inputs: Inputs | None = None,
    export_saved_model: bool = False,
    report: bool = True,
    should_stop: Callable[[], bool] = lambda: False,
    flags: Sequence[str] = (),
    console: Console | None = None,
    on_log_file: Callable[[Path], None] = lambda path: None,
) -> list[Result]:
    """Runs what is missing of an experiment, and shows its progress.

    Args:
        experiment: what to run.
        folder: the run directory; made if it is not there, continued if it is.
        settings: how to run it. Several jobs are started by `multiprocessing`'s spawn: a script
            that calls this with more than one needs its `if __name__ == "__main__"`.
        inputs: a model function and data, where the recipe's names do not find them.
        export_saved_model: whether to export each level's trained network as well.
        report: whether to draw the report at the end; `python -m lth_tf.report` does it later.
        should_stop: is asked at each evaluation whether to keep the state and stop.
        flags: the command line's flags, for experiment.json.
        console: where to draw; the standard output by default.
        on_log_file: is given the log file's path once there is one.

    Returns:
        The results of all finished trainings; none in a worker that is not the chief.

    Raises:
        UserError: if the directory is in use, holds another experiment or cannot be written, the
            data cannot be had, or a loss is not finite. What is finished stays.
        KeyboardInterrupt: if it was asked to stop; what was trained so far is kept.
    """
    console = console or make_console()
    settings = settings or Settings()
    scheduler = _choose_scheduler(settings)
    scheduler.prepare(settings)
    process_group = ProcessGroup(make_strategy(settings.distribution))
    if not experiment.is_transfer:  # whose recipe is the ticket file's
        recipe = experiment.recipe
        allow(recipe.model, recipe.dataset, recipe.augment)
    inputs = inputs or inputs_of(experiment.recipe)
    network, info, notes = _checked_network(experiment, inputs, settings)
    if not process_group.is_chief:
        place = f"Worker {process_group.index} of {process_group.size}"
        console.print(f"{place}; see worker 0, the chief, for the run.")
        follow(network, inputs, settings, should_stop)
        return []
    store = Store(folder)
    with full_disk_named(folder), store.lock(), run_log(folder / "run.log", console):
        with files.writing(folder / "run.log"):
            on_log_file(folder / "run.log")
        start = describe_start(flags, settings, gpu_names())
        store.begin(experiment, info, start, network.described)
        _keep_ticket(network, store)
        for note in notes:
            _log.warning(note)
        coverage = network.coverage
        _log.log(logging.WARNING if coverage.is_little else logging.INFO, coverage.text)
        plan = make_plan(experiment)
        pending = [training for training in plan if not store.is_done(training)]
        if pending:
            _log.info("%s: %d trainings, %d of them to run", folder, len(plan), len(pending))
        else:
            _log.warning(
                "%s: NOTHING TO TRAIN: all %d trainings were finished before; what follows is what "
                "they found. Another seed, recipe or --name trains anew.",
                folder,
                len(plan),
            )
        with ProgressListener(console, experiment, pending, network.metric) as listener:
            scheduler(network, inputs, store, settings).run(pending, listener, should_stop)
        if export_saved_model:
            _export_all(store, network, plan)
        results = store.update_results()
        console.print(results_table(results, network.metric))
        _conclude(folder, report)
    return results


def _choose_scheduler(settings: Settings) -> type[Scheduler]:
    return Processes if settings.jobs > 1 else InTurn


def _checked_network(
    experiment: Experiment, inputs: Inputs, settings: Settings
) -> tuple[Network, ImageInfo | UserDataInfo, list[str]]:
    """Makes the network and checks all that can be wrong before anything is written.

    Data that must be downloaded, or cannot be, show here.

    Returns:
        The network, what is known of its data, and what is to be said of it.
    """
    recipe = experiment.recipe
    info = inputs.info(recipe, settings.data_dir)
    network = Network.of(experiment, info, inputs)
    network.check(make_strategy(settings.distribution).num_replicas_in_sync)
    examples = inputs.data or data.load(recipe.dataset, settings.data_dir)
    augmentation(recipe.augment).check(examples.examples[0])
    if isinstance(info, ImageInfo):
        info = dataclasses.replace(info, sample=examples.sample)
    return network, info, check_network(network, examples)


def _keep_ticket(network: Network, store: Store) -> None:
    """Copies a transfer's ticket to the run directory, and says what does not fit."""
    if network.ticket:
        store.keep_ticket(network.ticket)
        for line in network.fitted_ticket.notes:
            _log.info(line)


def _conclude(folder: Path, report: bool) -> None:
    if report:
        out = folder / "report"
        section, *_ = write_report([folder], out, command=f"python -m lth_tf.report {folder}")
        _log.info(section.headline)
        _log.info("Report: %s", out / "report.html")
    else:
        _log.info(headline(folder))
    _log.info("To watch the trainings: tensorboard --logdir %s", folder.parent)


def _export_all(store: Store, network: Network, plan: Sequence[Training]) -> None:
    model = network.build()
    for training in plan:
        out = store.path(training) / "saved_model"
        if not out.exists():
            set_weights(model, store.read_arrays(training, "weights"))
            export(model, out)
            _log.info("Exported %s", out)
