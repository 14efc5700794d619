"""The order of a training: which examples make up each iteration, and where its chunks end.

Each epoch visits the training examples in an order of its own, drawn from (stream, epoch), and
leaves out the last few that do not fill a batch; so an iteration's batch is known without
running the ones before it.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Order:
    """The batches of a training.

    Attributes:
        rows: the training examples' rows in the data set, int [n].
        batch_size: examples per iteration.
        epoch_generator: gives the random generator of an epoch.
        augment_key: key of the augmentation's stream.
        dropout_key: key of dropout's stream.
    """

    rows: np.ndarray
    batch_size: int
    epoch_generator: Callable[[int], np.random.Generator]
    augment_key: int
    dropout_key: int

    def batches(self, start: int, stop: int) -> np.ndarray:
        """Returns the rows of iterations start to stop - 1, int32 [stop - start, batch_size].

        Args:
            start: first iteration.
            stop: the iteration behind the last.
        """
        per_epoch = len(self.rows) // self.batch_size
        parts = []
        for epoch in range(start // per_epoch, (stop - 1) // per_epoch + 1):
            shuffled = self.epoch_generator(epoch).permutation(self.rows)
            batches = shuffled[: per_epoch * self.batch_size].reshape(per_epoch, self.batch_size)
            first = epoch * per_epoch
            parts.append(batches[max(start - first, 0) : stop - first])
        return np.concatenate(parts).astype(np.int32)

    def dataset(self, start: int, ends: list[int]) -> tf.data.Dataset:
        """Returns what the compiled loop needs for each chunk, as a data set for one pass of `fit`.

        A chunk is a dict of int32 arrays. All have the batch as their first axis, so that
        tf.distribute can share a chunk out among replicas: `rows` [batch, iterations]; `position`,
        each example's place in the batch; and `first` (iteration), `augment_key` and
        `dropout_key`, the same for all examples.

        Args:
            start: first iteration.
            ends: iterations at which chunks end, rising.
        """

        def rows(first: np.ndarray, end: np.ndarray) -> np.ndarray:
            return self.batches(int(first), int(end)).T

        def chunk(first: tf.Tensor, end: tf.Tensor) -> dict[str, tf.Tensor]:
            values = {
                "first": first,
                "augment_key": self.augment_key,
                "dropout_key": self.dropout_key,
            }
            drawn = tf.numpy_function(rows, [first, end], tf.int32)
            return {
                "rows": tf.ensure_shape(drawn, [self.batch_size, None]),
                "position": tf.range(self.batch_size),
                **{name: tf.fill([self.batch_size], value) for name, value in values.items()},
            }

        # Not from_generator: its operation has the allocator give memory back at once and fetch it
        # again in each iteration, for which a convolutional network pays a quarter of its time.
        firsts, lasts = np.int32([start, *ends[:-1]]), np.int32(ends)
        chunks = tf.data.Dataset.from_tensor_slices((firsts, lasts)).map(chunk)
        # Batching example by example is what lets tf.distribute see, and divide, the batch.
        chunks = chunks.unbatch().batch(self.batch_size, drop_remainder=True)
        chunks = chunks.apply(tf.data.experimental.assert_cardinality(len(ends))).prefetch(1)
        options = tf.data.Options()
        # Its tuner sleeps for 10 ms, 20 ms, 40 ms and so on, and `fit` would wait for it to wake
        # up before it returns: a training of 10.4 seconds would take 20.6.
        options.autotune.enabled = False
        return chunks.with_options(options)


def chunk_ends(start: int, stop: int, every: int, also: Iterable[int] = ()) -> list[int]:
    """Returns where chunks end: multiples of `every`, the iterations in `also`, and `stop`.

    Args:
        start: first iteration.
        stop: the last chunk's end.
        every: iterations between evaluations.
        also: further ends.
    """
    ends = {*range(every, stop, every), *also, stop}
    return sorted(end for end in ends if start < end <= stop)
