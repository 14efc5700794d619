"""The process group: the processes, on one machine or several, that run one training together.

Every worker runs the same program. One of them, the chief, has the run directory and alone reads
and writes it; it sends the others what they need of it.
"""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from lth_tf.errors import UserError

_PIECE = 2**22  # numbers that are sent at a time
# What TensorFlow raises, in one worker or another, when a worker has gone.
_GONE = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)


class WorkerGoneError(UserError):
    """A worker has ended before the others."""


class ProcessGroup:
    """The workers of a strategy; a strategy of one process has the chief alone.

    All workers must call `share` and `any` equally often and in the same order.

    Attributes:
        size: number of workers.
        index: this worker's place among them.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        """Finds this worker's place.

        Args:
            strategy: the devices of all workers.
        """
        self._strategy = strategy
        resolver = strategy.cluster_resolver
        self.size, self.index = 1, 0
        if resolver and resolver.cluster_spec():
            cluster = resolver.cluster_spec().as_dict()
            jobs = [job for job in ("chief", "worker") if job in cluster]
            self.size = sum(len(cluster[job]) for job in jobs)
            before = jobs[: jobs.index(resolver.task_type)]
            self.index = sum(len(cluster[job]) for job in before) + resolver.task_id

    @property
    def is_chief(self) -> bool:
        """Whether this worker has the run directory."""
        return self.index == 0

    def share(self, content: bytes) -> bytes:
        """Returns the chief's bytes, on every worker; what the others give is not used."""
        if self.size == 1:
            return content
        mine = np.frombuffer(content + bytes(len(content) % 2), np.uint16)
        sizes = self._chiefs(np.array([len(content) >> 16, len(content) & 0xFFFF]))
        length = (int(sizes[0]) << 16) + int(sizes[1])
        numbers = np.zeros(-(-length // 2)) if not self.is_chief else mine
        pieces = range(0, len(numbers), _PIECE)
        received = [self._chiefs(numbers[i : i + _PIECE]) for i in pieces]
        return np.concatenate([*received, np.zeros(0)]).astype(np.uint16).tobytes()[:length]

    def share_arrays(
        self, arrays: Mapping[str, np.ndarray], record: Any
    ) -> tuple[dict[str, np.ndarray], Any]:
        """Returns the chief's arrays by name, and its record in JSON's terms, on every worker.

        Args:
            arrays: the chief's, of any shape; of others nothing is used.
            record: JSON values.
        """
        described = [[name, array.dtype.str, array.shape] for name, array in arrays.items()]
        header = self.share(json.dumps([described, record]).encode())
        described, record = json.loads(header)
        content = self.share(b"".join(array.tobytes() for array in arrays.values()))
        received, begin = {}, 0
        for name, dtype, shape in described:
            count = math.prod(shape)
            received[name] = np.frombuffer(content, dtype, count, begin).reshape(shape)
            begin += received[name].nbytes
        return received, record

    def any(self, *questions: bool) -> list[bool]:
        """Says of each question whether any worker's answer is yes."""
        if self.size == 1:
            return list(questions)
        return [bool(count) for count in self._sum(np.array(questions))]

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Turns the errors that a worker's end causes in the others into one that says so.

        Raises:
            WorkerGoneError: if a worker has ended.
        """
        try:
            yield
        except _GONE as error:
            if self.size == 1:
                raise
            raise WorkerGoneError(
                f"worker {self.index} of {self.size}: another worker has ended "
                f"({_cause(error)}); see what it says, and start all of them again: the run "
                "continues from its last checkpoint"
            ) from error

    def _chiefs(self, numbers: np.ndarray) -> np.ndarray:
        return self._sum(numbers if self.is_chief else np.zeros(len(numbers)))

    def _sum(self, numbers: np.ndarray) -> np.ndarray:
        # float32, which every device can add up, holds whole numbers up to 2**24 exactly.
        mine = tf.constant(numbers.astype(np.float32))

        def of_replica() -> tf.Tensor:
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            local = self._strategy.num_replicas_in_sync // self.size
            return mine * tf.cast(replica % local == 0, tf.float32)

        shares = self._strategy.run(of_replica)
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, shares, axis=None).numpy()


def _cause(error: tf.errors.OpError) -> str:
    """Returns what happened in one line; a graph's errors begin with where it was built."""
    said = error.message.partition("aborted by: ")[2] or error.message
    return " ".join(said.partition("\nAdditional")[0].partition("\nThe tasks")[0].split())
