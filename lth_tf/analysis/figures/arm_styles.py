"""What arms are called and how they are drawn, in every figure and table of every run alike.

An arm that is not registered, as its package is not installed here, is drawn by its name, last.
"""

import zlib
from collections.abc import Iterable

from lth_tf.analysis.figures import canvas
from lth_tf.arms import ARMS


def in_order(arms: Iterable[str]) -> list[str]:
    """Sorts names of arms, without their draws, as figures and tables have them."""
    known = list(ARMS)
    return sorted(arms, key=lambda arm: (known.index(arm) if arm in known else len(known), arm))


def label_of(arm: str) -> str:
    """Returns what an arm is called."""
    return ARMS[arm].label if arm in ARMS else arm.replace("_", " ")


def note_of(arm: str) -> str:
    """Returns what is said below tables that compare the ticket with an arm; mostly nothing."""
    return ARMS[arm].note if arm in ARMS else ""


def style_of(arm: str) -> dict[str, object]:
    """Returns an arm's colour and marker: as many arms as both have can be told apart."""
    known = list(ARMS)
    place = known.index(arm) if arm in known else len(known) + zlib.crc32(arm.encode())
    return canvas.look(place)
