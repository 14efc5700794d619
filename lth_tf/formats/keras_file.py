"""Keras file: a network that loads in plain tf_keras, without this program or tfmot."""

from pathlib import Path
from typing import TYPE_CHECKING

from lth_tf.formats.formats import FORMATS, Format
from lth_tf.formats.tensorflow_files import writing

if TYPE_CHECKING:
    import tf_keras as keras

    from lth_tf.formats.fresh import Logits


def export_keras(model: "keras.Model", path: Path) -> None:
    """Writes a network as a `.keras` file, its layers and weights.

    `tf_keras.models.load_model` reads it. A network of the paper's takes images with values 0-255,
    of any number type, returns logits, and has no custom classes.

    Args:
        model: the plain model, its weights set, pruned ones zero.
        path: the file, `NAME.keras`.

    Raises:
        UserError: if it cannot be written.
    """
    with writing(path):
        model.save(path, save_format="keras")


def load_keras(path: str, threads: int, trained: bool) -> "Logits":
    """Loads a Keras file, compiled as one function; see `Format`."""
    import tensorflow as tf
    import tf_keras as keras

    model = keras.models.load_model(path, compile=False)
    function = tf.function(lambda images: model(images, training=False), reduce_retracing=True)
    return lambda images: function(tf.constant(images)).numpy()


FORMATS.register(
    Format(
        name="keras",
        entry="model.keras",
        usage='tf_keras.models.load_model("model.keras")',
        write=lambda source, path: export_keras(source.model, path),
        load=load_keras,
        missing=("tensorflow_model_optimization", "keras", "lth_tf"),
        place=2,
    )
)
