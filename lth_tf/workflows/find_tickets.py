"""Finding tickets of one's own network in one's own data, from Python."""

import dataclasses
import functools
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lth_tf.analysis.figures import canvas
from lth_tf.analysis.figures.gallery import against_density
from lth_tf.analysis.figures.points import AT_EARLY_STOP, AT_END, level_points
from lth_tf.analysis.report.report import headline, write_report
from lth_tf.commandline import command
from lth_tf.data import UserData
from lth_tf.errors import UserError
from lth_tf.formats.ticket import Ticket
from lth_tf.importing import allow, name_of
from lth_tf.lottery.inputs import Inputs, fitted
from lth_tf.lottery.opened_run import OpenedRun, open_run
from lth_tf.lottery.tickets import ticket
from lth_tf.models.user_model import ModelFunction
from lth_tf.recipe import Recipe
from lth_tf.runs.experiment import DENSE, TICKET, Experiment, Training
from lth_tf.runs.run import read_runs
from lth_tf.runs.settings import Settings
from lth_tf.runs.store import Store
from lth_tf.workflows.run_experiment import run_experiment

if TYPE_CHECKING:
    import numpy as np
    import pandas
    import tf_keras as keras
    from matplotlib.figure import Figure


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
            data: the data, where they were passed in Python; see `open_run`.

        Raises:
            UserError: if it is none.
        """
        self.folder = Path(folder)
        self._model_fn, self._data = model_fn, data
        self._store = Store(self.folder)
        self._store.experiment_json()

    def __repr__(self) -> str:
        experiment = self._store.experiment()
        return (
            f"<Found {self.folder}: {experiment.recipe.model}, {experiment.strategy}, rounds "
            f"{experiment.rounds}, replicates {experiment.replicates}, "
            f"{len(self._store.finished())} trainings finished>"
        )

    def _repr_html_(self) -> str:
        """Shows the verdict and the results, in notebooks."""
        final = self._store.named_metric().column(AT_END)
        columns = ["replicate", "level", "arm", "density", "remaining", final]
        table = ""
        if (self.folder / "results.csv").exists():
            table = self.results[columns].to_html(index=False, float_format="{:.4g}".format)
        return f"<p>{html.escape(repr(self))}</p><p>{html.escape(self.verdict)}</p>{table}"

    def plot(self, quantity: str = AT_EARLY_STOP) -> "Figure":
        """Draws the paper's curve: what tickets and controls reach, against their density.

        Args:
            quantity: a column of `results`, such as "early_stop_iteration" or
                "test_accuracy_final".

        Returns:
            A Matplotlib figure, which notebooks show.

        Raises:
            UserError: if nothing is finished, or there is no such column.
        """
        (run,) = read_runs([self.folder])
        if not run.results:
            raise self._unfinished()
        points = level_points(run.slug, run.results)
        known = sorted({point.quantity for point in points if "/" not in point.quantity})
        drawn = run.metric.quantity(quantity)
        if drawn not in known:
            columns = ", ".join(map(run.metric.column, known))
            raise UserError(f"quantity={quantity}: must be one of {columns}")
        with canvas.style():
            figure = against_density(run, points, [], drawn).draw()
        # Notebooks show by themselves only what pyplot made.
        figure._repr_png_ = functools.partial(_png, figure)
        return figure

    @property
    def results(self) -> "pandas.DataFrame":
        """results.csv: a row for each finished training, accuracies as fractions.

        Of a model that is judged by another metric, columns have its name and its values.

        Raises:
            UserError: if nothing is finished.
        """
        import pandas

        path = self.folder / "results.csv"
        if not path.exists():
            raise self._unfinished()
        return pandas.read_csv(path)

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
        found = ticket(self._store, Training(replicate, level, arm), self._model_fn)
        return dataclasses.replace(found, make=self._model_fn)

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
        write_report([self.folder], out, command=command("lth_tf.report", [str(self.folder)]))
        return out / "report.html"

    def _unfinished(self) -> UserError:
        return UserError(f"{self.folder}: no training is finished yet")


def _png(figure: "Figure") -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100, bbox_inches="tight")
    return content.getvalue()


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
    metric: str | None = None,
    initial_weights: "keras.Model | Mapping[str, np.ndarray] | None" = None,
    folder: Path | str | None = None,
    settings: Settings | None = None,
    report: bool = True,
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
        higher_is_better: whether more of the metric is better. It must be said of a metric that is
            none of Keras's own.
        metric: the name of the metric that tickets are judged by; by default the first of those
            that the model is compiled with. "loss" for its loss.
        initial_weights: weights that all replicates start from, where they are not random: a
            pretrained model with the layers of `model_fn`'s, or arrays by name (as
            `lth_tf.named_weights` has them); weights that are not among them are drawn.
        folder: the run directory; runs/NAME by default, named after the function and the recipe.
        settings: how to run: jobs, devices and so on.
        report: whether to draw the report at the end; `Found.report` does it later.

    Returns:
        The run directory, opened.

    Raises:
        UserError: if the model cannot be pruned, the data do not fit, a loss is not finite, or the
            folder has another experiment. What is finished stays.
    """
    inputs = Inputs(
        model_fn,
        UserData.of(train, validation, test),
        higher_is_better=higher_is_better,
        metric=metric,
        pretrained=_by_name(initial_weights),
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
    run_experiment(experiment, folder, settings, inputs=inputs, report=report)
    return Found(folder, model_fn, inputs.data)


def _by_name(weights: "keras.Model | Mapping[str, np.ndarray] | None") -> "dict[str, np.ndarray]":
    if weights is None:
        return {}
    if isinstance(weights, Mapping):
        return dict(weights)
    if not hasattr(weights, "layers"):
        raise UserError(
            f"initial_weights: must be a model or a dict of arrays, not a {type(weights).__name__}"
        )
    from lth_tf.pruning.kernels import snapshot

    return snapshot(weights)
