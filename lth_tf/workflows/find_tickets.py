"""Finding tickets of one's own network in one's own data, from Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lth_tf.analysis.report.report import headline, write_report
from lth_tf.data import UserData
from lth_tf.formats.ticket import Ticket
from lth_tf.importing import allow, name_of
from lth_tf.lottery.inputs import Inputs, fitted
from lth_tf.lottery.opened_run import OpenedRun, open_run
from lth_tf.lottery.tickets import ticket
from lth_tf.models.user_model import ModelFunction
from lth_tf.recipe import Recipe
from lth_tf.runs.experiment import DENSE, TICKET, Experiment, Training
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store
from lth_tf.workflows.run_experiment import run_experiment

if TYPE_CHECKING:
    import pandas


class Found:
    """What an experiment has found: its run directory, opened.

    Attributes:
        folder: the run directory.
    """

    def __init__(
        self,
        folder: Path | str,
        model_fn: ModelFunction | None = None,
        data: UserData | None = None,
    ) -> None:
        """Opens a run directory, finished or not.

        Args:
            folder: the run directory.
            model_fn: the function that makes the network, where the run's name does not find it.
            data: the data, where they were given in Python; see `open_run`.

        Raises:
            UserError: if it is none.
        """
        self.folder = Path(folder)
        self._model_fn, self._data = model_fn, data
        self._store = Store(self.folder)
        self._store.experiment_json()

    @property
    def results(self) -> "pandas.DataFrame":
        """results.csv: a row for each finished training, accuracies as fractions.

        They are values of the model's first metric where that is something else.
        """
        import pandas

        return pandas.read_csv(self.folder / "results.csv")

    def ticket(self, level: int, replicate: int = 0, arm: str | None = None) -> Ticket:
        """Returns the ticket of a level: its mask, initial and trained weights.

        Args:
            level: the level; 0 is the dense network.
            replicate: the replicate.
            arm: "ticket" by default ("dense" at level 0), or a control, as in "reinit_0".

        Raises:
            UserError: if its training is not finished.
        """
        arm = arm or (TICKET if level else DENSE)
        return ticket(self._store, Training(replicate, level, arm))

    @property
    def tickets(self) -> dict[int, Ticket]:
        """The tickets of the first replicate, by level."""
        finished = self._store.finished()
        levels = [t.level for t in finished if t.replicate == 0 and t.arm == TICKET]
        return {level: self.ticket(level) for level in levels}

    @property
    def verdict(self) -> str:
        """The verdict in a sentence."""
        return headline(self.folder)

    def open(self) -> OpenedRun:
        """Opens the run to run its networks; see `open_run`."""
        return open_run(self.folder, self._model_fn, self._data)

    def report(self) -> Path:
        """Writes the report (HTML, Markdown, figures, levels.csv); returns report.html."""
        out = self.folder / "report"
        write_report([self.folder], out, command=f"python -m lth_tf.report {self.folder}")
        return out / "report.html"


def find_tickets(
    model_fn: ModelFunction,
    train: Any,
    validation: Any,
    test: Any,
    recipe: Recipe | None = None,
    *,
    rounds: int = 10,
    replicates: int = 1,
    arms: Sequence[str] = (TICKET,),
    reinits: int = 1,
    strategy: str = "iterative",
    seed: int = 0,
    higher_is_better: bool | None = None,
    folder: Path | str | None = None,
    settings: Settings | None = None,
) -> Found:
    """Finds lottery tickets of a network in data, or goes on with a search that was stopped.

    Args:
        model_fn: returns a new functional or Sequential tf_keras model, compiled with its loss and
            metrics. The first metric is what tickets are judged by; the recipe has the optimizer.
        train: (inputs, targets) of arrays or structures of arrays, or a tf.data.Dataset of
            batches of them.
        validation: likewise; None sets the recipe's `validation_size` of `train` aside, drawn
            anew in each replicate.
        test: likewise.
        recipe: iterations, batch size, optimizer, pruning rates and so on; `Recipe()` if not given.
        rounds: levels after the dense network.
        replicates: repetitions, each with initial weights and an order of its own; a verdict needs
            two or more.
        arms: what each level's mask is trained with: "ticket", and controls such as "reinit".
        reinits: draws of each control.
        strategy: "iterative", "one_shot", "at_init", "early_bird", or a mask schedule such as
            "gradual" or "rigl"; see `Experiment`.
        seed: the seed that all randomness comes from.
        higher_is_better: whether more of the model's first metric is better. It must be said of a
            metric that is none of Keras's own.
        folder: the run directory; runs/NAME by default, named after the function and the recipe.
        settings: how to run: jobs, devices and so on.

    Returns:
        The run directory, opened.

    Raises:
        UserError: if the model cannot be pruned, the data do not fit, a loss is not finite, or the
            folder has another experiment. What is finished stays.
    """
    inputs = Inputs(
        model_fn, UserData.of(train, validation, test), higher_is_better=higher_is_better
    )
    allow(name_of(model_fn))
    recipe = (recipe or Recipe()).override(model=name_of(model_fn))
    experiment = Experiment(
        recipe=fitted(recipe, inputs.data.info),
        rounds=rounds,
        replicates=replicates,
        seed=seed,
        strategy=strategy,
        arms=tuple(arms),
        reinits=reinits,
    )
    folder = Path("runs") / experiment.name if folder is None else Path(folder)
    run_experiment(experiment, folder, settings, inputs=inputs)
    return Found(folder, model_fn, inputs.data)
