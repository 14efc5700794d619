"""Exporting: the network of a training as a folder of files for other programs."""

import dataclasses
import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tf_keras as keras

from lth_tf import data, files
from lth_tf.errors import UserError
from lth_tf.formats.formats import FORMATS, check_formats
from lth_tf.formats.process import file_latencies
from lth_tf.formats.saved_model import serving, signature_text
from lth_tf.formats.sizes import encodings, file_size
from lth_tf.formats.source import Source
from lth_tf.formats.table import BATCHES, Gains, Row
from lth_tf.formats.verify import Expected, verify
from lth_tf.lottery.network import Network
from lth_tf.lottery.tickets import initial_weights, trained_weights
from lth_tf.pruning.compaction import compact, compare
from lth_tf.pruning.kernels import snapshot
from lth_tf.pruning.sample_inputs import sample_inputs
from lth_tf.recipe import IN_PYTHON
from lth_tf.runs.experiment import Training
from lth_tf.runs.store import Store
from lth_tf.training.arithmetic import remaining_multiply_adds
from lth_tf.training.evaluation import inference
from lth_tf.training.rewind import set_weights
from lth_tf.workflows.exported import Exported

WEIGHTS = {"trained": trained_weights, "initial": initial_weights}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export:
    """What to export of a training, and how.

    Attributes:
        store: the run directory.
        training: the training.
        weights: "trained", or "initial" for those that it started from.
        formats: names of `FORMATS`, each once.
        quantize: how TFLite stores weights, one of `lth_tf.formats.source.QUANTIZE`.
        structured: whether units that the mask has cut off are removed.

    Raises:
        UserError: if a format is unknown, none of them can be quantized, or a ticket is to be
            smaller than its masks.
    """

    store: Store
    training: Training
    weights: str = "trained"
    formats: Sequence[str] = ("saved_model",)
    quantize: str = "none"
    structured: bool = False

    def __post_init__(self) -> None:
        check_formats(self.formats, self.quantize)
        if self.structured and "ticket" in self.formats:
            raise UserError(
                "--structured: a ticket's masks are of the whole network; leave out --format=ticket"
            )

    def write(
        self, out: Path, expected: Expected | None = None, threads: int | None = None
    ) -> Exported:
        """Writes a folder, whole or not at all: an entry for each format, and a README.md.

        Args:
            out: the folder; must not exist.
            expected: what each file must do in a new process, if that is to be checked.
            threads: threads to measure the files' latency with, 0 for all cores; None leaves the
                table of what sparsity buys out.

        Raises:
            UserError: if the training is not finished or its files are damaged, a format cannot
                take the network, a file does not do what it must, or the folder cannot be written.
        """
        require_new(out)
        source = self._source(self.training)
        result = self.store.result(self.training)
        with files.atomic_folder(out) as folder:
            notes = self._write_files(source, folder)
            checks = self._check(folder, expected) if expected else {}
            gains = None if threads is None else self._measure(source, folder, threads)
            units = self._units(source.model) if self.structured else []
            exported = Exported(
                experiment=self._network.experiment,
                result=result,
                weights=self.weights,
                notes=notes,
                checks=checks,
                gains=gains,
                units=units,
                signature=signature_text(source.model),
                metric=self.store.metric(),
            )
            files.write_text(folder / "README.md", exported.readme())
        return exported

    def expected(self, data_dir: str | None = None) -> Expected:
        """Returns what the files must do on the test set.

        Args:
            data_dir: TFDS's folder; see `lth_tf.data.load`.

        Raises:
            UserError: if the training is not finished or its files are damaged, or the data cannot
                be had.
        """
        model = dataclasses.replace(self, structured=False)._source(self.training).model
        _require_single(model, "--verify: must be left out")
        recipe = self._network.experiment.recipe
        if recipe.dataset == IN_PYTHON:
            raise UserError("--verify: must be left out where data were passed in Python")
        inputs, targets = data.load(recipe.dataset, data_dir).test
        trained = self.weights == "trained"
        accuracy = self.store.result(self.training).test_accuracy_final
        return Expected(
            images=inputs,
            labels=targets if self._has_classes(model, targets) else None,
            logits=inference(model)(inputs),
            right=round(accuracy * len(targets))
            if trained and not self._network.is_from_user
            else None,
            comparable=recipe.precision == "float32" and not self._used_gpus(),
            trained=trained,
        )

    def _has_classes(self, model: keras.Model, targets: np.ndarray) -> bool:
        """Whether the outputs are of classes, whose numbers the targets are."""
        return (
            len(model.output_shape) == 2
            and model.output_shape[-1] > 1
            and np.ndim(targets) == 1
            and np.issubdtype(np.asarray(targets).dtype, np.integer)
        )

    def _used_gpus(self) -> bool:
        """Whether the training may have run on a GPU, which rounds otherwise."""
        starts = self.store.experiment_json()["starts"]
        return any((start.get("hardware") or {}).get("gpus") for start in starts)

    @functools.cached_property
    def _network(self) -> Network:
        return Network(self.store.experiment(), self.store.data())

    def _source(self, training: Training) -> Source:
        """Makes the model that is written."""
        weights = WEIGHTS[self.weights](self.store, training)
        model = self._network.build()
        set_weights(model, weights)
        if self.structured:
            model = compact(model)

        def make_ticket() -> object:
            from lth_tf.lottery.tickets import ticket

            return ticket(self.store, training)

        return Source(model, make_ticket, self.quantize)

    def _units(self, smaller: keras.Model) -> list[str]:
        """Says how many units of each layer are left, where some are gone."""
        return [
            f"{size.name}: {size.units_after} of {size.units_before} units"
            for size in compare(self._network.build(), smaller)
            if size.units_after < size.units_before
        ] or ["no unit is cut off"]

    def _write_files(self, source: Source, folder: Path) -> dict[str, str | None]:
        return {
            name: FORMATS[name].write(source, folder / FORMATS[name].entry) for name in self.formats
        }

    def _check(self, folder: Path, expected: Expected) -> dict[str, str]:
        exact = {name: name != "tflite" or self.quantize == "none" for name in self.formats}
        return {
            name: verify((name, folder / FORMATS[name].entry), expected, exact[name])
            for name in self.formats
        }

    def _measure(self, source: Source, folder: Path, threads: int) -> Gains:
        """Measures the files, beside those of the dense network of the same replicate."""
        _require_single(source.model, "--notable: must be given")
        weights = snapshot(source.model)
        masks = self.store.read_masks(self.training)
        if self.structured:
            masks = {name: weights[name] != 0 for name in masks}
        rows = [Row(way, size) for way, size in encodings(weights, masks).items()]
        with tempfile.TemporaryDirectory() as scratch:
            written = {"this network": folder}
            if self.training != self.training.dense:
                self._write_files(self._source(self.training.dense), Path(scratch))
                written = {"dense network": Path(scratch), **written}
            measured = [
                (f"{FORMATS[name].entry}, {title}", (name, place / FORMATS[name].entry))
                for name in self.formats
                for title, place in written.items()
            ]
            times = file_latencies(
                [file for _, file in measured], _some_images(source.model), BATCHES, threads
            )
            for (title, file), seconds in zip(measured, times, strict=True):
                rows.append(Row(title, file_size(file[1]), seconds))
        return Gains(rows, remaining_multiply_adds(source.model, masks), threads)


def require_new(out: Path) -> None:
    """Checks that nothing stands where a folder is to be written.

    Raises:
        UserError: if something does.
    """
    if out.exists():
        raise UserError(f"--out={out}: exists already; choose another folder, or remove it")


def _some_images(model: keras.Model) -> np.ndarray:
    try:
        (images,) = sample_inputs(model, serving(model).serve.input_signature, max(BATCHES))
    except UserError:
        raise UserError("--notable: must be given where inputs are text") from None
    return images


def _require_single(model: keras.Model, wanted: str) -> None:
    if len(model.inputs) > 1 or len(model.outputs) > 1:
        raise UserError(f"{wanted} where a network has several inputs or outputs")
