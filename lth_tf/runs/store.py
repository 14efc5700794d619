"""The store: a run directory, where each training leaves its files and the next one finds them."""

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from lth_tf import files
from lth_tf.data import ImageInfo, UserDataInfo
from lth_tf.errors import UserError
from lth_tf.formats.ticket import Ticket
from lth_tf.metric import Metric
from lth_tf.pruning import packing
from lth_tf.runs import record
from lth_tf.runs.experiment import Experiment, Training
from lth_tf.runs.results import Result, results_csv, results_of_csv

_log = logging.getLogger(__name__)


class Store:
    """A run directory. See `runs/README.md` for what lies where.

    Attributes:
        folder: its path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lock(self) -> filelock.BaseFileLock:
        """Makes the folder and takes its lock, which ends with the process.

        Raises:
            UserError: if another process has it, or the folder cannot be written.
        """
        lock = filelock.FileLock(self.folder / ".lock")
        with files.writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                raise UserError(
                    f"{self.folder}: another process is running this experiment; "
                    "wait for it, or give this one another --name"
                ) from None
        return lock

    def begin(
        self,
        experiment: Experiment,
        data: ImageInfo | UserDataInfo,
        start: Mapping[str, Any],
        objective: Mapping[str, Any] | None = None,
    ) -> None:
        """Writes experiment.json, or checks that the one there is of the same experiment.

        What a process left half-written is removed, once it is known to be of this program. A
        folder in which no training has been kept may be begun anew with another experiment.

        Args:
            experiment: what is to be run.
            data: what is known of its data.
            start: what is known of this start of it: flags, versions, hardware, time.
            objective: the loss and metric of a user's network, as JSON values.

        Raises:
            UserError: if the directory holds another experiment; names each field that differs.
        """
        fields = record.describe(experiment, data, start, objective)
        path = self.folder / "experiment.json"
        if path.exists() and (self._has_begun or self.is_published):
            fields = record.continued(self.folder, self.experiment_json(), fields)
        self._clear_up()
        files.write_text(path, json.dumps(fields, indent=1) + "\n")

    @property
    def _has_begun(self) -> bool:
        """Whether a training is finished, or one is kept that can go on: a call may have failed."""
        kept = self.folder.glob("replicate_*/level_*/*/checkpoint.safetensors")
        return bool(self.finished()) or any(kept)

    def experiment_json(self) -> dict[str, Any]:
        """Returns experiment.json, its recipe with all fields that this version has.

        Raises:
            UserError: if it is missing, damaged, or of a newer version.
        """
        path = self.folder / "experiment.json"
        if not path.exists():
            raise UserError(f"{self.folder}: must be a run directory, but has no experiment.json")
        return record.read(path)

    def experiment(self) -> Experiment:
        """Returns the experiment that the directory holds.

        Raises:
            UserError: see `experiment_json`.
        """
        return record.experiment_of(self.experiment_json())

    def data(self) -> ImageInfo | UserDataInfo:
        """Returns what is known of the experiment's data."""
        return record.data_of(self.experiment_json())

    def metric(self) -> Metric:
        """Returns what the columns of accuracies hold.

        Raises:
            UserError: if an earlier version did not record whether more of the metric is better,
                and its name does not tell.
        """
        try:
            return record.metric_of(self.experiment_json())
        except UserError as error:
            path = self.folder / "experiment.json"
            raise UserError(f'{path}: needs "higher_is_better" in "objective": {error}') from None

    @property
    def ticket_path(self) -> Path:
        """The path of a transfer's ticket."""
        return self.folder / "ticket.safetensors"

    def keep_ticket(self, ticket: Ticket) -> None:
        """Copies a transfer's ticket to the directory, or checks the copy that is there.

        Raises:
            UserError: see `ticket`.
        """
        if self.ticket_path.exists():
            self.ticket()
        else:
            ticket.save(self.ticket_path)

    def ticket(self) -> Ticket | None:
        """Returns the ticket that a transfer trains; None if the experiment is another.

        Raises:
            UserError: if the copy in the directory is damaged, or of another ticket.
        """
        expected = self.experiment_json().get("ticket")
        if expected is None:
            return None
        ticket = Ticket.load(self.ticket_path)
        if ticket.checksum != expected:
            raise UserError(
                f"{self.ticket_path}: must be the ticket that this run was begun with; remove it, "
                "and give that one again by --from_ticket"
            )
        return ticket

    def path(self, training: Training) -> Path:
        """Returns a training's folder."""
        return self.folder / training.path

    def clear(self, training: Training) -> Path:
        """Empties the folder of a training that did not finish, but for its checkpoint."""
        folder = self.path(training)
        with files.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for path in folder.iterdir():
                if path != self.checkpoint(training):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        return folder

    def checkpoint(self, training: Training) -> Path:
        """Returns the path of the checkpoint that an unfinished training goes on from."""
        return self.path(training) / "checkpoint.safetensors"

    def is_done(self, training: Training) -> bool:
        """Says whether a training is complete."""
        return (self.path(training) / "result.json").exists()

    def write_arrays(self, training: Training, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes a training's arrays as `name`.safetensors.

        Args:
            training: the training.
            name: of the file, without its ending.
            arrays: arrays by name, of any shape.
        """
        files.write_arrays(self.path(training) / f"{name}.safetensors", arrays)

    def read_arrays(self, training: Training, name: str) -> dict[str, np.ndarray]:
        """Reads arrays of a finished training.

        Args:
            training: a finished training.
            name: of the file, without its ending.

        Raises:
            UserError: if the file is missing or not what it was when the training ended.
        """
        return files.read_arrays(self._checked(training, f"{name}.safetensors"))[0]

    def write_masks(self, training: Training, masks: Mapping[str, np.ndarray]) -> None:
        """Writes a training's masks, bit-packed, with their shapes beside them.

        Args:
            training: the training.
            masks: boolean arrays by kernel name, of the kernels' shapes.
        """
        packed = {name: packing.pack(mask) for name, mask in masks.items()}
        shapes = json.dumps({name: mask.shape for name, mask in masks.items()})
        path = self.path(training) / "masks.safetensors"
        files.write_arrays(path, packed, {"shapes": shapes})

    def read_masks(self, training: Training) -> dict[str, np.ndarray]:
        """Reads the masks of a finished training, boolean arrays by kernel name.

        Raises:
            UserError: if the file is missing or not what it was when the training ended.
        """
        packed, metadata = files.read_arrays(self._checked(training, "masks.safetensors"))
        shapes = json.loads(metadata["shapes"])
        return {name: packing.unpack(packed[name], tuple(shape)) for name, shape in shapes.items()}

    def finish(self, training: Training, result: Result) -> None:
        """Writes result.json, with checksums of the training's files: it is complete now.

        Args:
            training: the training.
            result: what came of it.
        """
        folder, checkpoint = self.path(training), self.checkpoint(training)
        lasting = (path for path in sorted(folder.iterdir()) if path != checkpoint)
        checksums = {}
        for path in lasting:
            files.sync(path)  # TensorBoard's may not be on the disk yet
            checksums[path.name] = files.sha256(path)
        fields = {**vars(result), "checksums": checksums}
        files.write_text(folder / "result.json", json.dumps(fields, indent=1) + "\n")
        checkpoint.unlink(missing_ok=True)

    def result(self, training: Training) -> Result:
        """Returns a finished training's result.

        Raises:
            UserError: if result.json is missing or damaged.
        """
        path = self.path(training) / "result.json"
        try:
            return Result.from_json(files.read_json(path))
        except KeyError as error:
            raise UserError(f"{path}: must have the field {error}; remove the folder") from None

    def update_results(self) -> list[Result]:
        """Writes results.csv anew from every result.json there is; returns the results."""
        results = [self.result(training) for training in self.finished()]
        files.write_text(self.folder / "results.csv", results_csv(results))
        return results

    @property
    def is_published(self) -> bool:
        """Whether it has results.csv without the trainings' own folders, as runs/published has."""
        has_trainings = any(self.folder.glob("replicate_*"))
        return (self.folder / "results.csv").exists() and not has_trainings

    def published_results(self) -> list[Result]:
        """Returns what results.csv says of the trainings, where they are not there themselves.

        Raises:
            UserError: if it is damaged.
        """
        path = self.folder / "results.csv"
        try:
            return results_of_csv(path.read_text(encoding="utf-8"))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: must have the columns of a run's, but {error}") from None

    def finished(self) -> list[Training]:
        """Lists the finished trainings in order."""
        found = self.folder.glob("replicate_*/level_*/*/result.json")
        return sorted(_training(path.parent) for path in found)

    def _clear_up(self) -> None:
        """Removes what a process left that was killed while it wrote or tidied."""
        finished = self.finished()
        for folder in (self.folder, *map(self.path, finished)):
            for path, _ in list(files.leftovers(folder)):
                if path.is_file():  # nobody else writes files here
                    path.unlink()
                elif files.is_abandoned(path):
                    shutil.rmtree(path)
        for training in finished:
            self.checkpoint(training).unlink(missing_ok=True)

    def _checked(self, training: Training, name: str) -> Path:
        path = self.path(training) / name
        if self.is_published:
            raise UserError(
                f"{path}: was not published with the run; the command in experiment.json trains it"
            )
        if not path.exists():
            raise UserError(f"{path}: is missing; remove its folder to train it again")
        expected = files.read_json(path.with_name("result.json"))["checksums"].get(name)
        if files.sha256(path) != expected:
            raise UserError(
                f"{path}: is not what the training wrote (its checksum differs); "
                "remove its folder to train it again"
            )
        return path


def _training(folder: Path) -> Training:
    level, replicate = folder.parent.name, folder.parent.parent.name
    return Training(int(replicate.split("_")[1]), int(level.split("_")[1]), folder.name)
