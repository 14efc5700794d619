"""The formats that a network can be written in, by name, one file each.

A new format is a file in this folder, or in a user's package (see `lth_tf.registry`), that
registers a `Format`:

    from lth_tf.formats.formats import FORMATS, Format

    def write(source, path):
        ...

    def load(path, threads, trained):
        import tensorflow as tf
        ...
        return lambda images: ...

    FORMATS.register(Format("mine", "model.mine", 'mine.load("model.mine")', write, load))

The modules that register formats import TensorFlow inside functions only: the flags' help lists
their names.
"""

import inspect
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lth_tf.errors import UserError
from lth_tf.formats.source import Source
from lth_tf.registry import Registry

if TYPE_CHECKING:
    from lth_tf.formats.fresh import Logits


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        name: what `--format` calls it.
        entry: what the file or folder is called.
        usage: the Python expression that loads it.
        write: writes a source to a path; may return a line about how.
        load: loads it where nothing of what wrote it can be imported: a function of path, threads
            (0 for all cores) and whether trained weights are asked for, which returns a function
            from images, uint8 [n, height, width, channels], to logits, float32 [n, classes]. A new
            process gets its source alone: it imports all that it uses, annotations aside.
        missing: modules that it must be possible to load it without.
        place: where it stands in lists.
    """

    name: str
    entry: str
    usage: str
    write: Callable[[Source, Path], str | None]
    load: "Callable[[str, int, bool], Logits]"
    missing: tuple[str, ...] = ()
    place: int = 1_000

    @property
    def load_source(self) -> str:
        """The source of `load`."""
        return textwrap.dedent(inspect.getsource(self.load))


FORMATS: Registry[Format] = Registry("format", __package__)


def check_formats(names: Iterable[str], quantize: str) -> None:
    """Checks that formats are known, each once, and that one can be quantized if that is asked.

    Args:
        names: names of formats.
        quantize: how TFLite stores weights, one of `QUANTIZE`.

    Raises:
        UserError: if not.
    """
    names = list(names)
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names or len(set(names)) < len(names):
        raise UserError(
            f"--format={','.join(names)}: must be one or more of {', '.join(FORMATS)}, each once"
        )
    if quantize != "none" and "tflite" not in names:
        raise UserError(
            f"--quantize={quantize}: only TFLite files can have it; add --format=tflite"
        )
