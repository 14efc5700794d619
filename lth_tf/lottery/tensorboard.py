"""TensorBoard: a training's scalars by iteration, hyperparameters, weights and densities."""

import contextlib
from pathlib import Path

import tensorflow as tf
from tensorboard.plugins.histogram.summary import histogram_pb
from tensorboard.plugins.hparams import api as hparams

from lth_tf.errors import UserError
from lth_tf.formats.tensorflow_files import writing
from lth_tf.metric import Metric
from lth_tf.runs.experiment import Experiment, Training
from lth_tf.runs.results import Result
from lth_tf.training.measure import MetricsRow
from lth_tf.training.trainer import Trained


class TensorBoardLog(contextlib.AbstractContextManager):
    """Writes one training's events into its folder."""

    def __init__(
        self, folder: Path, experiment: Experiment, training: Training, metric: Metric
    ) -> None:
        """Opens the event file and writes the hyperparameters.

        Args:
            folder: the training's folder.
            experiment: its recipe's fields become hyperparameters.
            training: the training.
            metric: what its accuracies are.

        Raises:
            UserError: if it cannot be written; the other methods raise this too.
        """
        self._folder = folder
        self._metric = metric.tag
        fields = {**experiment.recipe.to_json(), "seed": experiment.seed, **vars(training)}
        values = {k: v if isinstance(v, int | float | str) else str(v) for k, v in fields.items()}
        with writing(folder):
            self._writer = tf.summary.create_file_writer(str(folder))
            with self._writer.as_default():
                hparams.hparams(values, trial_id=training.path)
            self._writer.flush()

    def row(self, row: MetricsRow) -> None:
        """Writes an evaluation's losses and accuracies, the learning rate and density at it."""
        scalars = {
            "loss/train": row.train_loss,
            "loss/validation": row.validation_loss,
            f"{self._metric}/validation": row.validation_accuracy,
            "learning_rate": row.learning_rate,
            "density/all": row.density,
        }
        with writing(self._folder):
            with self._writer.as_default(row.iteration):
                for name, value in scalars.items():
                    if value is not None:
                        tf.summary.scalar(name, value)
            self._writer.flush()

    def finish(self, outcome: Trained, result: Result) -> None:
        """Writes what is known at the end: test accuracies, densities, surviving weights.

        Args:
            outcome: what the training left.
            result: its result.
        """
        with writing(self._folder):
            self._finish(outcome, result)

    def _finish(self, outcome: Trained, result: Result) -> None:
        for row in outcome.rows:
            found = {"test": row.test_accuracy, "train": row.train_accuracy}
            with self._writer.as_default(row.iteration):
                for name, value in found.items():
                    if value is not None:
                        tf.summary.scalar(f"{self._metric}/{name}", value)
        with self._writer.as_default(result.iterations):
            for name, mask in outcome.masks.items():
                layer = name.rsplit("/", 1)[0]
                tf.summary.scalar(f"density/{layer}", mask.mean())
                # TensorFlow's histogram takes 60 times the memory of the weights.
                survivors = histogram_pb(f"surviving_weights/{layer}", outcome.weights[name][mask])
                tf.summary.experimental.write_raw_pb(survivors.SerializeToString())

    def __exit__(self, error_type: object, *error: object) -> None:
        # The error that ended the training is shown, not that this could not be written either.
        quietly = contextlib.suppress(UserError) if error_type else contextlib.nullcontext()
        with quietly, writing(self._folder):
            self._writer.close()
