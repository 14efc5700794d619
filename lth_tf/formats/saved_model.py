"""SavedModel: a ticket that loads in plain TensorFlow, without tfmot or tf_keras."""

import gzip
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.formats.tensorflow_files import writing
from lth_tf.training.rewind import set_weights


class _Classifier(tf.Module):
    """A network as one function. It holds the variables, and nothing of Keras."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self.weights = list(model.weights)
        images = tf.TensorSpec([None, *model.input_shape[1:]], tf.uint8, name="images")

        def logits(images: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"logits": model(images, training=False)}

        self.logits = tf.function(logits, input_signature=[images])


def export_saved_model(model: keras.Model, weights: Mapping[str, np.ndarray], folder: Path) -> None:
    """Writes a network as a SavedModel, whole or not at all.

    Its signature `serving_default` takes `images`, uint8 [n, height, width, channels] with values
    0-255 as the data set delivers them, and returns `logits`, float32 [n, classes].

    Args:
        model: the plain model; its weights are set.
        weights: weights by name, pruned ones zero.
        folder: where to write; must not exist.

    Raises:
        UserError: if it cannot be written.
    """
    set_weights(model, weights)
    classifier = _Classifier(model)
    temporary = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with writing(folder):
            tf.saved_model.save(
                classifier, str(temporary), signatures={"serving_default": classifier.logits}
            )
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sizes(folder: Path) -> tuple[int, int]:
    """Returns the bytes of all files in a folder, as they are and compressed with gzip."""
    contents = [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]
    return sum(map(len, contents)), sum(len(gzip.compress(content)) for content in contents)
