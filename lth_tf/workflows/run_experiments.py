"""Running experiments from beginning to end, each in its run directory, all from one queue."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from lth_tf import data
from lth_tf.analysis.report.report import headline, write_report
from lth_tf.analysis.report.results_table import results_table
from lth_tf.commandline import command
from lth_tf.data import ImageInfo, UserDataInfo
from lth_tf.data.augmentations import augmentation
from lth_tf.errors import UserError, UsersCodeError
from lth_tf.formats.saved_model import export_saved_model as export
from lth_tf.importing import allow
from lth_tf.lottery.inputs import Inputs, inputs_of
from lth_tf.lottery.network import Network
from lth_tf.lottery.progress import ProgressListener, ProgressTable
from lth_tf.lottery.schedulers import Queued, Scheduler
from lth_tf.lottery.schedulers.in_turn import InTurn, follow
from lth_tf.lottery.schedulers.processes import Processes
from lth_tf.lottery.schedulers.ray_cluster import RayCluster
from lth_tf.runs.experiment import Experiment, Training, make_plan
from lth_tf.runs.provenance import describe_start
from lth_tf.runs.results import Result
from lth_tf.runs.run_log import RunLog, full_disk_named
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store
from lth_tf.training.distribution import gpu_names, make_strategy
from lth_tf.training.process_group import ProcessGroup
from lth_tf.training.rewind import set_weights
from lth_tf.workflows.check_network import check_network

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Planned:
    """An experiment that is to be run, and how.

    Attributes:
        experiment: what to run.
        folder: the run directory; made if it is not there, continued if it is.
        settings: how to run it; those of one queue have the same jobs, cluster, threads and
            distribution.
        inputs: a model function and data, where the recipe's names do not find them.
        export_saved_model: whether to export the network of each training, controls' too, as well.
        report: whether to draw the report at the end.
        flags: the command line's flags, for experiment.json.
        title: what it is called beside others; its folder's name if this is empty.
    """

    experiment: Experiment
    folder: Path
    settings: Settings = dataclasses.field(default_factory=Settings)
    inputs: Inputs | None = None
    export_saved_model: bool = False
    report: bool = True
    flags: Sequence[str] = ()
    title: str = ""

    @property
    def name(self) -> str:
        """What it is called beside others."""
        return self.title or self.folder.name


def run_experiments(
    planned: Sequence[Planned],
    folder: Path,
    console: Console,
    should_stop: Callable[[], bool] = lambda: False,
    on_log_file: Callable[[Path], None] = lambda path: None,
) -> dict[Planned, list[Result] | Exception]:
    """Runs what is missing of experiments, and shows their progress.

    What is wrong with one of them, before or while it trains, is no fault of the others.

    Args:
        planned: the experiments, each with a folder of its own.
        folder: where the queue's own files go: the run directory of a single one.
        console: where to draw.
        should_stop: is asked at each evaluation whether to keep the state and stop.
        on_log_file: is called with each run's log file once there is one.

    Returns:
        By experiment, the results of all its finished trainings (none in a worker that is not the
        chief), or what went wrong. What is finished stays.

    Raises:
        KeyboardInterrupt: if it was asked to stop; what was trained so far is kept.
        UserError: if the settings cannot be had.
    """
    settings = planned[0].settings
    scheduler = _choose_scheduler(settings)
    scheduler.prepare(settings)
    process_group = ProcessGroup(make_strategy(settings.distribution))
    outcomes: dict[Planned, list[Result] | Exception] = {}

    def fail(each: Planned, error: Exception) -> None:
        outcomes[each] = error
        if len(planned) > 1:  # that of a single one is raised
            _tell(console, each, error)

    with contextlib.ExitStack() as stack:
        begun: dict[Planned, _Begun] = {}
        for each in planned:
            try:
                checked = _checked(each)
                if process_group.is_chief:
                    run = stack.enter_context(_Begun(each, checked, console))
                    with run.at_work():
                        on_log_file(run.log_file)
                        run.begin()
                    begun[each] = run
                else:
                    place = f"Worker {process_group.index} of {process_group.size}"
                    console.print(f"{place}; see worker 0, the chief, for the run.")
                    follow(checked.network, checked.inputs, settings, should_stop)
                    outcomes[each] = []
            except Exception as error:
                fail(each, error)
        if not begun:
            return outcomes
        for each, error in _run(begun, scheduler(settings, folder), console, should_stop).items():
            fail(each, error)
        for each in [each for each in begun if each not in outcomes]:
            try:
                with begun[each].at_work():
                    outcomes[each] = begun[each].conclude(alone=len(planned) == 1)
            except Exception as error:
                fail(each, error)
    return outcomes


def _run(
    begun: "dict[Planned, _Begun]",
    scheduler: Scheduler,
    console: Console,
    should_stop: Callable[[], bool],
) -> dict[Planned, Exception]:
    """Runs the trainings of all experiments that have begun."""
    queue: dict[Queued, Planned] = {}
    with contextlib.ExitStack() as stack:
        table = None
        if len(begun) > 1:
            trainings = sum(len(run.pending) for run in begun.values())
            table = stack.enter_context(ProgressTable(console, trainings))
        for each, run in begun.items():
            what = (each.experiment, run.pending, run.network.metric)
            if table:
                listener = table.listener(each.name, *what)
            else:
                listener = stack.enter_context(ProgressListener(console, *what))
            queue[run.queued(listener)] = each
        failed = scheduler.run(list(queue), should_stop)
    return {queue[queued]: error for queued, error in failed.items()}


def _tell(console: Console, each: Planned, error: Exception) -> None:
    """Says at once that one of several experiments has failed."""
    if isinstance(error, UsersCodeError) or not isinstance(error, UserError | OSError):
        _log.error("%s", each.name, exc_info=error)
    console.print(f"{each.name}: FAILED: {said_of(error)}", markup=False, soft_wrap=True)


def said_of(error: Exception) -> str:
    """Returns what is said of an experiment that has failed."""
    known = isinstance(error, UserError | OSError)
    return str(error) if known else f"{type(error).__name__}: {error}"


def _choose_scheduler(settings: Settings) -> type[Scheduler]:
    if settings.cluster:
        return RayCluster
    return Processes if settings.jobs > 1 else InTurn


class _Checked(NamedTuple):
    """An experiment in which all is right that can be checked before anything is written.

    Attributes:
        network: its network.
        inputs: its inputs.
        info: what is known of its data.
        notes: what is to be said of it.
    """

    network: Network
    inputs: Inputs
    info: ImageInfo | UserDataInfo
    notes: Sequence[str]


def _checked(planned: Planned) -> _Checked:
    """Makes the network and checks all that can be wrong before anything is written.

    Data that must be downloaded, or cannot be, show here.
    """
    recipe = planned.experiment.recipe
    if not planned.experiment.is_transfer:  # whose recipe is the ticket file's
        allow(recipe.model, recipe.dataset, recipe.augment)
    inputs = planned.inputs or inputs_of(recipe)
    settings = planned.settings
    info = inputs.info(recipe, settings.data_dir)
    network = Network.of(planned.experiment, info, inputs)
    network.check(make_strategy(settings.distribution).num_replicas_in_sync)
    examples = inputs.data or data.load(recipe.dataset, settings.data_dir)
    augmentation(recipe.augment).check(examples.examples[0])
    if isinstance(info, ImageInfo):
        info = dataclasses.replace(info, sample=examples.sample)
    return _Checked(network, inputs, info, check_network(network, examples))


class _Begun(contextlib.AbstractContextManager):
    """An experiment whose run directory this process holds.

    Attributes:
        network: its network.
        log_file: the run's log.
        pending: its trainings that are not complete, once it has begun.
    """

    def __init__(self, planned: Planned, checked: _Checked, console: Console) -> None:
        self.network = checked.network
        self.log_file = planned.folder / "run.log"
        self.pending: list[Training] = []
        self._planned, self._checked, self._console = planned, checked, console
        self._store = Store(planned.folder)
        self._held = contextlib.ExitStack()

    def __enter__(self) -> "_Begun":
        with contextlib.ExitStack() as held, full_disk_named(self._store.folder):
            held.enter_context(self._store.lock())
            self._log = RunLog(self.log_file, self._console)
            held.callback(self._log.close)
            self._held = held.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Makes a context for what is done for it: its log hears, and a full disk is named."""
        with full_disk_named(self._store.folder), self._log.hearing():
            yield

    def begin(self) -> None:
        """Writes what the run is, and finds what is missing of it."""
        network, store = self.network, self._store
        start = describe_start(self._planned.flags, self._planned.settings, gpu_names())
        store.begin(network.experiment, self._checked.info, start, network.described)
        if network.ticket:
            store.keep_ticket(network.ticket)
            for line in network.fitted_ticket.notes:
                _log.info(line)
        for note in self._checked.notes:
            _log.warning(note)
        coverage = network.coverage
        _log.log(logging.WARNING if coverage.is_little else logging.INFO, coverage.text)
        plan = make_plan(network.experiment)
        self.pending = [training for training in plan if not store.is_done(training)]
        if self.pending:
            to_run = len(self.pending)
            _log.info("%s: %d trainings, %d of them to run", store.folder, len(plan), to_run)
        else:
            _log.warning(
                "%s: NOTHING TO TRAIN: all %d trainings were finished before; what follows is what "
                "they found. Another seed, recipe or --name trains anew.",
                store.folder,
                len(plan),
            )

    def queued(self, listener: ProgressListener) -> Queued:
        """Returns it as a scheduler takes it."""
        settings, inputs = self._planned.settings, self._checked.inputs
        return Queued(
            self.network, inputs, self._store, settings, self.pending, listener, self.at_work
        )

    def conclude(self, alone: bool) -> list[Result]:
        """Exports, shows and reports what the run has found; returns its results.

        Args:
            alone: whether its results are shown in a table; several are compared in one.
        """
        if self._planned.export_saved_model:
            self._export_all()
        folder = self._store.folder
        results = self._store.update_results()
        if alone:
            self._console.print(results_table(results, self.network.metric))
        if self._planned.report:
            out = folder / "report"
            asked = command("lth_tf.report", [str(folder)])
            section, *_ = write_report([folder], out, command=asked)
            _log.info(section.headline)
            _log.info("Report: %s", out / "report.html")
        else:
            _log.info(headline(folder))
        if alone:
            _log.info("To watch the trainings: tensorboard --logdir %s", folder.parent)
        return results

    def _export_all(self) -> None:
        model, store = self.network.build(), self._store
        for training in make_plan(self.network.experiment):
            out = store.path(training) / "saved_model"
            if not out.exists():
                set_weights(model, store.read_arrays(training, "weights"))
                export(model, out)
                _log.info("Exported %s", out)
