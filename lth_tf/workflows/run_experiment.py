"""Running an experiment from beginning to end, in its run directory."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from lth_tf.lottery.inputs import Inputs
from lth_tf.lottery.progress import make_console
from lth_tf.runs.experiment import Experiment
from lth_tf.runs.results import Result
from lth_tf.runs.settings import Settings
from lth_tf.workflows.run_experiments import Planned, run_experiments


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
        settings: how to run it. Several jobs are processes of `multiprocessing`: a script
            that calls this with more than one needs its `if __name__ == "__main__"`.
        inputs: a model function and data, where the recipe's names do not find them.
        export_saved_model: whether to export the network of each training, controls' too, as well.
        report: whether to draw the report at the end; `python -m lth_tf.report` does it later.
        should_stop: is asked at each evaluation whether to keep the state and stop.
        flags: the command line's flags, for experiment.json.
        console: where to draw; the standard output by default.
        on_log_file: is called with the log file's path once there is one.

    Returns:
        The results of all finished trainings; none in a worker that is not the chief.

    Raises:
        UserError: if the directory is in use, holds another experiment or cannot be written, the
            data cannot be had, or a loss is not finite. What is finished stays.
        KeyboardInterrupt: if it was asked to stop; what was trained so far is kept.
    """
    planned = Planned(
        experiment=experiment,
        folder=folder,
        settings=settings or Settings(),
        inputs=inputs,
        export_saved_model=export_saved_model,
        report=report,
        flags=flags,
    )
    return run_planned(planned, console or make_console(), should_stop, on_log_file)


def run_planned(
    planned: Planned,
    console: Console,
    should_stop: Callable[[], bool],
    on_log_file: Callable[[Path], None],
) -> list[Result]:
    """Runs what is missing of an experiment that stands alone.

    Args:
        planned: the experiment.
        console: where to draw.
        should_stop: is asked at each evaluation whether to keep the state and stop.
        on_log_file: is called with the log file's path once there is one.

    Returns:
        See `run_experiment`.

    Raises:
        UserError: see `run_experiment`.
        KeyboardInterrupt: see `run_experiment`.
    """
    run = run_experiments([planned], planned.folder, console, should_stop, on_log_file)
    outcome = run[planned]
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
