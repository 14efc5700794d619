"""The formats that a network can be written in, by name. Imports no TensorFlow before it writes."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

from lth_tf.errors import UserError
from lth_tf.formats.source import Source


@dataclasses.dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        entry: what the file or folder is called.
        usage: the Python expression that loads it.
        write: writes a source to a path; may return a line about how.
        missing: modules that it must be possible to load it without.
    """

    entry: str
    usage: str
    write: Callable[[Source, Path], str | None]
    missing: tuple[str, ...] = ()


def _saved_model(source: Source, path: Path) -> None:
    from lth_tf.formats.saved_model import export_saved_model

    export_saved_model(source.model, path)


def _keras(source: Source, path: Path) -> None:
    from lth_tf.formats.keras_file import export_keras

    export_keras(source.model, path)


def _tflite(source: Source, path: Path) -> str:
    from lth_tf.formats.tflite import export_tflite

    return export_tflite(source.model, path, source.quantize)


def _ticket(source: Source, path: Path) -> None:
    source.make_ticket().save(path)


# How a new process loads each of them, `fresh.py` says.
FORMATS = {
    "saved_model": Format(
        "saved_model",
        'tensorflow.saved_model.load("saved_model").signatures["serving_default"]',
        _saved_model,
        missing=("tensorflow_model_optimization", "tf_keras", "keras", "lth_tf"),
    ),
    "keras": Format(
        "model.keras",
        'tf_keras.models.load_model("model.keras")',
        _keras,
        missing=("tensorflow_model_optimization", "keras", "lth_tf"),
    ),
    "tflite": Format(
        "model.tflite",
        'tensorflow.lite.Interpreter("model.tflite").get_signature_runner()',
        _tflite,
        missing=("tensorflow_model_optimization", "tf_keras", "keras", "lth_tf"),
    ),
    # This program's own format, which needs tfmot.
    "ticket": Format(
        "ticket.safetensors", 'lth_tf.Ticket.load("ticket.safetensors").model()', _ticket
    ),
}


def check_formats(names: Iterable[str], quantize: str) -> None:
    """Checks that formats are known, and that one of them can be quantized if that is asked for.

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
