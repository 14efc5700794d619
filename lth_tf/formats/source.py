"""Source: what a file is made of, whatever its format."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tf_keras as keras

QUANTIZE = ("none", "float16", "int8")


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A network that is to be written as files.

    Attributes:
        model: the network, a plain model with its weights set, pruned ones zero. A network of
            the paper's takes images with values 0-255 and returns logits.
        make_ticket: makes the object with masks and weights that the format `ticket` saves.
        quantize: how TFLite stores weights, one of `QUANTIZE`; the other formats keep float32.
    """

    model: "keras.Model"
    make_ticket: Callable[[], Any]
    quantize: str = "none"
