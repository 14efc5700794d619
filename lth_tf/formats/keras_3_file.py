"""Keras 3 file: a network that loads in plain Keras 3, without tf_keras, this program or tfmot."""

from pathlib import Path
from typing import TYPE_CHECKING

from lth_tf.formats.formats import FORMATS, Format
from lth_tf.formats.tensorflow_files import writing
from lth_tf.models.keras_3 import to_keras_3

if TYPE_CHECKING:
    import tf_keras as keras

    from lth_tf.formats.fresh import Logits


def export_keras_3(model: "keras.Model", path: Path) -> None:
    """Writes a network as a `.keras` file of Keras 3.

    `keras.models.load_model` reads it. The model takes and returns what `export_keras`'s does.

    Args:
        model: the plain model, its weights set, pruned ones zero.
        path: the file, `NAME.keras`.

    Raises:
        UserError: if a layer has no counterpart in Keras 3, or the file cannot be written.
    """
    network = to_keras_3(model)
    with writing(path):
        network.save(path)


def load_keras_3(path: str, threads: int, trained: bool) -> "Logits":
    """Loads a Keras 3 file, compiled as one function; see `Format`."""
    import keras
    import tensorflow as tf

    model = keras.models.load_model(path, compile=False)
    function = tf.function(lambda images: model(images, training=False), reduce_retracing=True)
    return lambda images: function(tf.constant(images)).numpy()


FORMATS.register(
    Format(
        name="keras3",
        entry="model_keras3.keras",
        usage='keras.models.load_model("model_keras3.keras")',
        write=lambda source, path: export_keras_3(source.model, path),
        load=load_keras_3,
        missing=("tensorflow_model_optimization", "tf_keras", "lth_tf"),
        place=5,
    )
)
