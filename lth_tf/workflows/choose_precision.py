"""`--precision=auto`: what trains faster here, and goes on in what it has begun in."""

from collections.abc import Callable
from pathlib import Path

from lth_tf.errors import UserError
from lth_tf.lottery.inputs import Inputs
from lth_tf.lottery.precision_trial import TRIED, in_precision, try_precisions
from lth_tf.recipe import AUTO
from lth_tf.runs.experiment import Experiment
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import EXPERIMENT, Store


def choose_precision(
    experiment: Experiment,
    folder_of: Callable[[Experiment], Path],
    settings: Settings,
    inputs: Inputs,
    say: Callable[[str], None],
    *,
    tries: bool = True,
) -> Experiment:
    """Returns an experiment with its precision chosen.

    A run that has begun keeps its own, so that the same command continues it; else a trial of some
    seconds decides. What was taken stands in the run's recipe.

    Args:
        experiment: what is to be run, its precision of no account.
        folder_of: returns an experiment's run directory.
        settings: how it is to be run.
        inputs: what it has besides its recipe.
        say: is called with a sentence that says what was taken, and why.
        tries: whether a trial decides where none has begun; else it is left open, at float32.

    Raises:
        UserError: if several machines would choose, each for itself, or a run directory is damaged.
    """
    if settings.distribution == "multi_worker" or settings.cluster:
        raise UserError(
            f"--precision={AUTO}: must be one of {', '.join(TRIED)} where several machines train, "
            "which this one cannot try for"
        )
    for name in TRIED:
        candidate = in_precision(name, experiment)
        folder = folder_of(candidate)
        if (folder / EXPERIMENT).is_file():
            taken = Store(folder).experiment().recipe.precision
            say(f"--precision={AUTO}: {taken}, in which {folder} was begun")
            return in_precision(taken, experiment)
    if not tries:
        say(f"--precision={AUTO}: chosen when it runs; {TRIED[0]} here")
        return in_precision(TRIED[0], experiment)
    trial = try_precisions(experiment, inputs, settings)
    say(f"--precision={AUTO}: {trial.precision}; {trial.reason}")
    return in_precision(trial.precision, experiment)
