"""Keras file: a network that loads in plain tf_keras, without this program or tfmot."""

from pathlib import Path

import tf_keras as keras

from lth_tf.formats.tensorflow_files import writing


def export_keras(model: keras.Model, path: Path) -> None:
    """Writes a network as a `.keras` file, its layers and weights; it has no custom classes.

    `tf_keras.models.load_model` reads it. The model takes images with values 0-255, of any number
    type, and returns logits.

    Args:
        model: the plain model, its weights set, pruned ones zero.
        path: the file, `NAME.keras`.

    Raises:
        UserError: if it cannot be written.
    """
    with writing(path):
        model.save(path, save_format="keras")
