"""TFLite: a network for phones and small devices, stored sparsely where that pays and runs.

The converter has a sparse encoding, which stores the non-zero weights of a kernel and where they
are (of the very sparse ones, blocks). What the interpreter makes of it depends on its version, so
that nothing is taken for granted here: a file is stored sparsely only if it is smaller so, and
gives the logits of the same weights stored densely. `docs/export.md` says which do.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lth_tf import files
from lth_tf.errors import UserError
from lth_tf.formats.formats import FORMATS, Format
from lth_tf.formats.saved_model import serving

if TYPE_CHECKING:
    import tf_keras as keras

    from lth_tf.formats.fresh import Logits

_ROUNDING = 1e-4  # of the largest logit: other sums of the same products, in float32
_PROBES = 8  # images


def export_tflite(model: "keras.Model", path: Path, quantize: str = "none") -> str:
    """Writes a network as a TFLite file; its signature is `serving`'s.

    Args:
        model: the plain model, its weights set, pruned ones zero.
        path: the file, `NAME.tflite`.
        quantize: "none"; "float16" for weights in float16; "int8" for weights in int8, which
            quantizes activations as it runs (dynamic range).

    Returns:
        How the weights are stored, and why not sparsely where that would be smaller.

    Raises:
        UserError: if TFLite cannot convert or run it, or it cannot be written.
    """
    content, how = _smaller(model, quantize)
    with files.atomic(path) as temporary:
        temporary.write_bytes(content)
    return how


def _smaller(model: "keras.Model", quantize: str) -> tuple[bytes, str]:
    from lth_tf.pruning.sample_inputs import sample_inputs

    if len(model.inputs) > 1 or len(model.outputs) > 1:
        raise UserError("--format=tflite: must have a network with one input and one output")
    kind = {"none": "float32"}.get(quantize, quantize)
    is_quantized = quantize != "none"
    dense, sparse = (convert(model, quantize, encoding) for encoding in (False, True))
    try:
        (images,) = sample_inputs(model, serving(model).serve.input_signature, _PROBES)
    except UserError as error:
        raise UserError(f"--format=tflite: {error}; use another --format") from None
    wanted, problem = _logits(dense, images)
    if wanted is None or not np.isfinite(wanted).all():
        problem = problem or "nan"
        if is_quantized:
            raise UserError(
                f"--quantize={quantize}: TFLite cannot run this network so ({problem}); "
                "use --quantize=none, or another --format"
            )
        raise UserError(
            f"--format=tflite: TFLite cannot run this network ({problem}); use another --format"
        )
    if len(sparse) >= len(dense):
        return dense, f"{kind} weights, stored densely: too few are zero to save bytes"
    hint = "; --quantize=none may be smaller" if is_quantized else ""
    found, _ = _logits(sparse, images)
    if found is None:
        return dense, (
            f"{kind} weights, stored densely: TFLite's default delegate cannot run them sparse "
            f"({len(sparse):,} bytes){hint}"
        )
    if not np.allclose(found, wanted, rtol=0, atol=_ROUNDING * np.abs(wanted).max()):
        return dense, (
            f"{kind} weights, stored densely: TFLite computes wrong logits from them sparse "
            f"({len(sparse):,} bytes){hint}"
        )
    return sparse, f"{kind} weights, stored sparsely"


def convert(model: "keras.Model", quantize: str, sparse: bool) -> bytes:
    """Converts a model to TFLite's format.

    Args:
        model: the plain model.
        quantize: see `export_tflite`.
        sparse: whether the converter may store kernels sparsely.

    Raises:
        UserError: if the converter cannot: it knows no tables of text, for one.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    module = serving(model)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.serve.get_concrete_function()], module
    )
    optimizations = [tf.lite.Optimize.DEFAULT] if quantize != "none" else []
    if sparse:
        optimizations.append(tf.lite.Optimize.EXPERIMENTAL_SPARSITY)
    converter.optimizations = optimizations
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    try:
        return converter.convert()
    except ConverterError as error:
        cause = " ".join(str(error).split())[:200]
        raise UserError(
            f"--format=tflite: cannot convert this network ({cause}); use another --format"
        ) from None


def _logits(content: bytes, images: np.ndarray) -> tuple[np.ndarray | None, str]:
    """Runs the default interpreter; returns logits, or none and why it cannot."""
    import tensorflow as tf

    try:
        interpreter = tf.lite.Interpreter(model_content=content)
        (image,), (logit,) = interpreter.get_input_details(), interpreter.get_output_details()
        interpreter.resize_tensor_input(image["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(image["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(logit["index"]), ""
    except RuntimeError as error:
        return None, " ".join(str(error).split())


def load_tflite(path: str, threads: int, trained: bool) -> "Logits":
    """Loads a TFLite file in the default interpreter, with its default delegate; see `Format`."""
    import os

    import tensorflow as tf

    # TFLite's default is one thread.
    interpreter = tf.lite.Interpreter(path, num_threads=threads or os.cpu_count())
    (image,), (logit,) = interpreter.get_input_details(), interpreter.get_output_details()

    def logits(images: np.ndarray) -> np.ndarray:
        if logits.shape != images.shape:
            interpreter.resize_tensor_input(image["index"], images.shape)
            interpreter.allocate_tensors()
            logits.shape = images.shape
        interpreter.set_tensor(image["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(logit["index"])

    logits.shape = None
    return logits


FORMATS.register(
    Format(
        name="tflite",
        entry="model.tflite",
        usage='tensorflow.lite.Interpreter("model.tflite").get_signature_runner()',
        write=lambda source, path: export_tflite(source.model, path, source.quantize),
        load=load_tflite,
        missing=("tensorflow_model_optimization", "tf_keras", "keras", "lth_tf"),
        place=3,
    )
)
