"""An arm: masks, weights and order, made of the ticket's and of random streams."""

import dataclasses
import re
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.errors import UserError
from lth_tf.streams import Streams

_NAME = re.compile(r"[a-z]([a-z0-9_]*[a-z0-9])?")


@dataclasses.dataclass(frozen=True)
class Draw:
    """Where a draw of an arm takes its randomness from.

    Attributes:
        streams: the random streams of its replicate.
        level: its level.
        number: the number of the draw.
        initial_weights: returns the network's weights, by name, drawn anew from a seed.
        theta_0: returns the initial weights of its replicate, by name.
    """

    streams: Streams
    level: int
    number: int
    initial_weights: Callable[[int], Arrays]
    theta_0: Callable[[], Arrays]

    def generator(self, name: str) -> np.random.Generator:
        """Returns a random generator of this draw alone, another at each level.

        Args:
            name: of the stream, for which an arm's own name will do.
        """
        return self.streams.generator(name, self.level, self.number)


class Arm:
    """What a level's mask is trained with; as it stands here, the ticket itself.

    All arms but the ticket are controls: it is compared with them, and `--reinits` draws each.
    Those whose names begin with "dense_" are trained at level 0, beside the dense network.

    Attributes:
        name: what flags, files and folders call it.
        label: what figures and tables call it.
        help: its masks, weights and order in a line, for `--help` and the README.
        place: its place among the arms, which decides colour and marker; users' arms come last.
        has_fresh_weights: whether its weights are initial ones, drawn anew or made of theta_0, so
            that it is trained from iteration 0 with a new optimizer, whatever `--rewind` says.
        inverts_criterion: whether its masks are pruned by the opposite of the criterion; they must
            be made of the whole network at once (`--strategy=one_shot` or `at_init`).
        note: a sentence below the table that compares the ticket with it.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    help: ClassVar[str]
    place: ClassVar[int] = 1_000
    has_fresh_weights: ClassVar[bool] = False
    inverts_criterion: ClassVar[bool] = False
    note: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        """Checks that the name can be a folder's.

        Raises:
            UserError: if it cannot.
        """
        if not _NAME.fullmatch(cls.name) or cls.name == "dense":
            raise UserError(
                f"--arms={cls.name}: {cls.__module__} must name it by small letters, digits and "
                "underscores between them, and not dense"
            )

    def masks(self, ticket: Arrays, draw: Draw) -> Arrays:
        """Returns its masks, boolean arrays by kernel name.

        Args:
            ticket: the masks of the level's ticket, or by the opposite of its criterion.
            draw: where randomness comes from.
        """
        return ticket

    def weights(self, ticket: Callable[[], Arrays], masks: Arrays, draw: Draw) -> Arrays:
        """Returns the weights that it starts from, by name, before masking.

        Args:
            ticket: returns what the ticket starts from: theta_0, theta_k, or weights as trained;
                theta_0 in any case where `has_fresh_weights`. In a transfer those of the ticket
                that came from elsewhere, and drawn ones where it has none.
            masks: the arm's masks, boolean arrays by kernel name.
            draw: where randomness comes from.
        """
        return ticket()

    def order(self, draw: Draw) -> tuple[str, tuple[int, ...]]:
        """Returns a prefix and indices of the streams of its order, augmentation and dropout.

        All arms of a level share the level's, so that they differ in nothing else.
        """
        return "", (draw.level,)
