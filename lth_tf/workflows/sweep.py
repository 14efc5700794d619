"""A sweep: several experiments as one plan, run from one queue and compared on one page."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from lth_tf import files
from lth_tf.analysis.pages.console import console_table
from lth_tf.analysis.report.index import Entry, require_room, write_index
from lth_tf.errors import UserError
from lth_tf.lottery.ray_machines import connected, machines_of
from lth_tf.machine import usable_cores
from lth_tf.runs.settings import Settings
from lth_tf.training.distribution import count_gpus
from lth_tf.workflows.cost import Speed
from lth_tf.workflows.dry_run import Room, forecast, print_sweep
from lth_tf.workflows.run_experiments import Planned, run_experiments, said_of


def run_sweep(
    planned: Sequence[Planned],
    out: Path,
    console: Console,
    should_stop: Callable[[], bool] = lambda: False,
    on_log_file: Callable[[Path], None] = lambda path: None,
    command: str = "",
) -> None:
    """Runs what is missing of experiments, and writes an index that compares them.

    Args:
        planned: the experiments, each with a folder of its own.
        out: where the index and the queue's own files go.
        console: where to draw.
        should_stop: is asked at each evaluation whether to keep the state and stop.
        on_log_file: is called with the log file of the libraries' messages.
        command: the command line that asked for it.

    Raises:
        UserError: if an experiment failed: the others are complete; or, before any begins, if the
            index would replace somebody's file.
        KeyboardInterrupt: if it was asked to stop; what was trained so far is kept.
    """
    require_room(out)
    log = out / "sweep.log"
    with files.writing(log):
        out.mkdir(parents=True, exist_ok=True)
        log.touch()
    on_log_file(log)
    outcomes = run_experiments(planned, out, console, should_stop)
    failed = {p: said_of(error) for p, error in outcomes.items() if isinstance(error, Exception)}
    entries = [Entry(each.folder, each.name, failed.get(each, "")) for each in planned]
    table = write_index(entries, out, command)
    console.print(console_table(table))
    console.print(f"Index: {out / 'index.html'}", soft_wrap=True)
    if failed:
        said = "; ".join(f"{each.name}: {text}" for each, text in failed.items())
        raise UserError(f"{len(failed)} of {len(planned)} experiments failed: {said}")


def preview_sweep(
    planned: Sequence[Planned],
    workers: Sequence[int],
    tflops: float | None,
    console: Console,
) -> None:
    """Prints what experiments will take, together and each, and runs nothing.

    Args:
        planned: the experiments.
        workers: for how many trainings at the same time it is simulated; where there are none, for
            those of the settings.
        tflops: the speed that each of these is taken to have; None for this machine's.
        console: where to print.

    Raises:
        UserError: if a recipe does not fit its data set or network, or there is no such cluster.
    """
    settings = planned[0].settings
    speed = Speed.assumed(tflops) if tflops else Speed.measured(_share(settings))
    forecasts = [forecast(each, speed) for each in planned]
    print_sweep(forecasts, _rooms(settings, workers), console)


def _rooms(settings: Settings, workers: Sequence[int]) -> list[Room]:
    if settings.cluster:
        with connected(settings):
            machines = machines_of(settings)
        ours = [Room(sum(machine.room for machine in machines), len(machines))]
    else:
        ours = [] if workers else [Room(settings.jobs)]
    return [*ours, *map(Room, workers)]


def _share(settings: Settings) -> float:
    """Returns the share of this machine's speed that each training has."""
    if count_gpus() or not settings.threads_per_job:
        return 1.0
    return min(1.0, settings.threads_per_job / usable_cores())
