"""The store: a run directory, where each training leaves its files and the next one finds them."""

import contextlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import filelock
import numpy as np
from msgspec import Meta

from lth_tf import files, reading
from lth_tf.data import ImageInfo, UserDataInfo
from lth_tf.errors import UserError
from lth_tf.formats.ticket import Ticket
from lth_tf.metric import Metric
from lth_tf.pruning import packing
from lth_tf.runs import record, stored_arrays
from lth_tf.runs.experiment import ARM_NAME, TICKET, Experiment, Training
from lth_tf.runs.results import Result, read_results_csv, results_csv

_log = logging.getLogger(__name__)
_LEFT_OUT = " It is left out."
EXPERIMENT, RESULT, LOG, LOCK = "experiment.json", "result.json", "run.log", ".lock"
# What a run directory may have before it says what experiment it holds.
_BEFORE = re.compile(rf"\.lock|{LOG}|job_\d+\.log|ticket\.safetensors")
# What the program writes in a training's folder: nothing else there is its to remove.
_OF_TRAINING = re.compile(
    r"metrics\.csv|result\.json|saved_model|events\.out\.tfevents\..*|"
    r"(weights|masks|initial|rewind|search|early_bird|scores|optimizer|checkpoint)\.safetensors"
)
_PATH = re.compile(rf"replicate_(\d{{2,6}})/level_(\d{{2,6}})/({ARM_NAME})")


_Checksums = dict[str, Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]]


class MisplacedError(UserError):
    """A training's folder has another training's result."""


class _Finished(NamedTuple):
    """What a training's result.json says.

    Attributes:
        state: of the file that it was read from: another has another.
        result: what came of the training.
        checksums: of its other files, by name.
    """

    state: tuple[int, ...]
    result: Result
    checksums: dict[str, str]


class Store:
    """A run directory. See `runs/README.md` for what lies where.

    Attributes:
        folder: its path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._record: tuple[tuple[int, ...], dict[str, Any]] | None = None
        self._results: dict[Training, _Finished] = {}
        self._warned: dict[str, None] = {}

    @property
    def left_out(self) -> list[str]:
        """What `finished` has left out so far, and why, in sentences."""
        return [text for text in self._warned if text.endswith(_LEFT_OUT)]

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Makes the folder and holds its lock inside the context; it ends with the process.

        Raises:
            UserError: if another process has it, the folder cannot be written, or it is there and
                no run directory: what is in it is somebody else's.
        """
        self._check_ours()
        lock = filelock.FileLock(self.folder / LOCK)
        with files.writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                raise UserError(
                    f"{self.folder}: another process is running this experiment; "
                    "wait for it, or give this one another --name"
                ) from None
        try:
            yield
        finally:
            lock.release()

    def _check_ours(self) -> None:
        """Checks that a folder is a run directory, or empty, or not there."""
        if not os.path.lexists(self.folder) or os.path.lexists(self.folder / EXPERIMENT):
            return
        with files.writing(self.folder):
            names = sorted(os.listdir(self.folder))
        left = {path.name for path, _ in files.leftovers(self.folder)}
        others = [name for name in names if name not in left and not _BEFORE.fullmatch(name)]
        if others:
            raise UserError(
                f"{self.folder}: must be a run directory, or not be there, but it has {others[0]} "
                f"and no {EXPERIMENT}; give another --runs_dir or --name"
            )

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
        fields = self._continued(record.describe(experiment, data, start, objective))
        if len(fields["starts"]) == 1:  # of the experiment that is replaced
            self.ticket_path.unlink(missing_ok=True)
        self._clear_up()
        files.write_json(self.folder / EXPERIMENT, fields)

    def check(
        self,
        experiment: Experiment,
        data: ImageInfo | UserDataInfo,
        objective: Mapping[str, Any] | None = None,
    ) -> None:
        """Checks that an experiment may be run here, and writes nothing.

        Args:
            experiment: what would be run.
            data: what is known of its data; the images themselves need not be.
            objective: the loss and metric of a user's network, as JSON values.

        Raises:
            UserError: as `lock` and `begin` do.
        """
        self._check_ours()
        self._continued(record.describe(experiment, data, {}, objective))

    def _continued(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Returns what experiment.json says once an experiment is started here."""
        if os.path.lexists(self.folder / EXPERIMENT):
            known = self.experiment_json()
            try:
                return record.continued(self.folder, known, fields)
            except UserError:
                if self._has_begun or self.is_published:
                    raise
        return fields

    @property
    def _has_begun(self) -> bool:
        """Whether a training is finished, or one is kept that can go on: a call may have failed."""
        kept = self.folder.glob("replicate_*/level_*/*/checkpoint.safetensors")
        return bool(self.finished()) or any(kept)

    def experiment_json(self) -> dict[str, Any]:
        """Returns experiment.json, its recipe with all fields that this version has.

        Raises:
            UserError: if it is missing, damaged, not what was written, or of a newer version.
        """
        path = self.folder / EXPERIMENT
        if not os.path.lexists(path):
            with files.reading_folder(self.folder):
                os.stat(path)
        state = _state(path)
        if self._record is None or self._record[0] != state:
            fields, has_checksum = record.read(path)
            if not has_checksum:
                self._warn_unchecked()
            self._record = state, fields
        return self._record[1]

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
            path = self.folder / EXPERIMENT
            raise UserError(f'{path}: needs "higher_is_better" in "objective": {error}') from None

    def named_metric(self) -> Metric:
        """Returns the metric for its name: whether more of it is better may not be known."""
        return record.named_metric(self.experiment_json())

    @property
    def ticket_path(self) -> Path:
        """The path of a transfer's ticket."""
        return self.folder / "ticket.safetensors"

    def keep_ticket(self, ticket: Ticket) -> None:
        """Copies a transfer's ticket to the directory, or checks the copy that is there.

        Raises:
            UserError: see `ticket`.
        """
        if os.path.lexists(self.ticket_path):
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
        """Removes what a training that did not finish left in its folder, but for its checkpoint.

        Files that this program does not write are the user's, and stay.
        """
        folder = self.path(training)
        with files.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            left = {path for path, _ in files.leftovers(folder)}
            for path in list(folder.iterdir()):
                is_ours = path in left or _OF_TRAINING.fullmatch(path.name)
                if is_ours and path != self.checkpoint(training):
                    _remove(path)
        return folder

    def checkpoint(self, training: Training) -> Path:
        """Returns the path of the checkpoint that an unfinished training goes on from."""
        return self.path(training) / "checkpoint.safetensors"

    def is_done(self, training: Training) -> bool:
        """Says whether a training is complete.

        Raises:
            UserError: if what stands in its folder is damaged, or another training's.
        """
        if not os.path.lexists(self.path(training) / RESULT):
            return False
        self.result(training)
        return True

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
        path = self._checked(training, f"{name}.safetensors")
        arrays = reading.read_arrays(path)[0]
        layers = self.result(training).layers
        if name in stored_arrays.OF_WEIGHTS:
            stored_arrays.check_weights(path, arrays, layers)
        else:
            reading.require_finite(path, arrays)
        if name == "weights":
            stored_arrays.check_pruned(path, arrays, self.read_masks(training))
        return arrays

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
        masks = self._masks(training)
        if training.kind == TICKET and training.level > 1:
            parent = self.experiment().parent(training)
            if parent and parent.kind == TICKET and self.is_done(parent):
                path = self.path(training) / "masks.safetensors"
                stored_arrays.check_nested(path, masks, self._masks(parent))
        return masks

    def _masks(self, training: Training) -> dict[str, np.ndarray]:
        path = self._checked(training, "masks.safetensors")
        return stored_arrays.masks_of(
            path, *reading.read_arrays(path), self.result(training).layers
        )

    def finish(self, training: Training, result: Result) -> None:
        """Writes result.json, with checksums of the training's files: it is complete now.

        Args:
            training: the training.
            result: what came of it.
        """
        folder, checkpoint = self.path(training), self.checkpoint(training)
        checksums = {}
        for path in sorted(folder.iterdir()):
            is_ours = _OF_TRAINING.fullmatch(path.name) and path.name != RESULT
            if is_ours and path != checkpoint and not path.is_dir():
                files.sync(path)  # TensorBoard's may not be on the disk yet
                checksums[path.name] = reading.sha256(path)
        fields = {**vars(result), "checksums": checksums}
        files.write_json(folder / RESULT, fields)
        checkpoint.unlink(missing_ok=True)

    def result(self, training: Training) -> Result:
        """Returns a finished training's result.

        Raises:
            UserError: if result.json is missing, damaged, not what was written, or another
                training's.
        """
        return self._finished(training).result

    def _finished(self, training: Training) -> _Finished:
        path = self.path(training) / RESULT
        state = _state(path)
        known = self._results.get(training)
        if known is None or known.state != state:
            known = self._results[training] = _Finished(state, *self._read_result(path))
        result = known.result
        if (result.replicate, result.level, result.arm) != tuple(vars(training).values()):
            found = Training(result.replicate, result.level, result.arm)
            raise MisplacedError(f"{path}: is the result of {found.path}")
        return known

    def _read_result(self, path: Path) -> tuple[Result, dict[str, str]]:
        fields = reading.read_json(path)
        try:
            if not reading.take_checksum(path, fields):
                self._warn_unchecked()
        except UserError as error:
            raise UserError(f"{error}; remove its folder to train it again") from None
        checksums = reading.conform(path, fields.pop("checksums", None), _Checksums, "checksums")
        result = Result.from_json(fields, path)
        if record.is_judged_by_share(self.experiment_json()):
            result.check_shares(path)
        return result, checksums

    def update_results(self) -> list[Result]:
        """Writes results.csv anew from every result.json there is; returns the results."""
        results = self.results()
        files.write_text(self.folder / "results.csv", results_csv(results, self.named_metric()))
        return results

    def results(self) -> list[Result]:
        """Returns the results of all finished trainings, in order; see `finished`."""
        return [self.result(training) for training in self.finished()]

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
        results = read_results_csv(path, self.named_metric())
        if record.is_judged_by_share(self.experiment_json()):
            for result in results:
                result.check_shares(path)
        return results

    def finished(self) -> list[Training]:
        """Lists the finished trainings in order.

        Folders of other names, those of another training's result and those that may not be read
        are left out, with a warning.

        Raises:
            UserError: if a result is damaged.
        """
        found = []
        for training in self._folders():
            try:
                if self.is_done(training):
                    found.append(training)
            except (MisplacedError, reading.UnreadableError) as error:
                self._warn(f"{error}.{_LEFT_OUT}")
        return sorted(found)

    def _folders(self) -> Iterator[Training]:
        """Yields the trainings that have a folder."""
        for path in (path for folder in self._inside(self.folder) for path in self._inside(folder)):
            for folder in self._inside(path):
                name = folder.relative_to(self.folder).as_posix()
                known = _PATH.fullmatch(name)
                training = known and Training(int(known[1]), int(known[2]), known[3])
                if training and training.path == name:
                    yield training
                elif os.path.lexists(folder / RESULT):
                    self._warn(f"{folder}: must be named as in level_07/ticket.{_LEFT_OUT}")

    def _inside(self, folder: Path) -> list[Path]:
        """Lists the folders of replicates in a run's, of levels in theirs, of arms in theirs."""
        depth = len(folder.relative_to(self.folder).parts)
        prefix = ("replicate_", "level_", "")[depth]
        try:
            with os.scandir(folder) as there:
                return [
                    folder / entry.name
                    for entry in there
                    if entry.name.startswith(prefix) and not entry.name.startswith(".")
                    if entry.is_dir()
                ]
        except OSError as error:
            if depth:
                self._warn(f"{folder}: cannot be read ({error.strerror}).{_LEFT_OUT}")
            return []

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned[text] = None
            _log.warning(text)

    def _warn_unchecked(self) -> None:
        self._warn(
            f"{self.folder}: has files from before {EXPERIMENT} and {RESULT} had checksums of "
            "their own: whether somebody has edited them cannot be told"
        )

    def _clear_up(self) -> None:
        """Removes what a process left that was killed while it wrote or tidied."""
        finished = self.finished()
        for folder in (self.folder, *map(self.path, finished)):
            for path, _ in list(files.leftovers(folder)):
                if not path.is_dir():  # nobody else writes files here
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
        if not os.path.lexists(path):
            raise UserError(f"{path}: is missing; remove its folder to train it again")
        if reading.sha256(path) != self._finished(training).checksums.get(name):
            raise UserError(
                f"{path}: is not what the training wrote (its checksum differs); "
                "remove its folder to train it again"
            )
        return path

    def metrics_path(self, training: Training) -> Path:
        """Returns the path of a finished training's metrics.csv.

        Raises:
            UserError: if it is missing or not what the training wrote.
        """
        return self._checked(training, "metrics.csv")


def _state(path: Path) -> tuple[int, ...]:
    """Returns what tells whether a file was replaced or changed.

    Raises:
        UserError: if it is not there, or is none.
    """
    with reading.opened(path) as file:
        found = os.fstat(file.fileno())
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _remove(path: Path) -> None:
    """Removes a file, a link (not what it leads to) or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
