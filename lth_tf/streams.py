"""Named, independent random streams: one seed, and from it one stream for each purpose.

A stream is named by replicate, purpose and indices (a round, an epoch), so that any of them can
be drawn again at any time, in any order and in any process.
"""

import dataclasses
import zlib

import numpy as np


@dataclasses.dataclass(frozen=True)
class Streams:
    """The random streams of one replicate.

    Attributes:
        seed: the experiment's seed, a non-negative integer.
        replicate: the replicate's number.
    """

    seed: int
    replicate: int

    def _sequence(self, purpose: str, indices: tuple[int, ...]) -> np.random.SeedSequence:
        name = zlib.crc32(purpose.encode())
        # Indices as the spawn key: numpy pads the entropy with zeros, so that in it an index of 0
        # would be no index.
        return np.random.SeedSequence([self.seed, self.replicate, name], spawn_key=indices)

    def generator(self, purpose: str, *indices: int) -> np.random.Generator:
        """Returns a generator at the beginning of the stream for a purpose.

        Args:
            purpose: what the stream is for, as in "order".
            *indices: which of its streams, as in the round.
        """
        return np.random.Generator(np.random.Philox(self._sequence(purpose, indices)))

    def key(self, purpose: str, *indices: int) -> int:
        """Returns a 31-bit key for TensorFlow's stateless random operations and initialisers.

        Args:
            purpose: what the stream is for.
            *indices: which of its streams.
        """
        return int(self._sequence(purpose, indices).generate_state(1)[0] >> 1)
