"""SavedModel: tickets that load in plain TensorFlow, without tfmot or tf_keras."""

import gzip
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.formats.tensorflow_files import writing
from lth_tf.training.rewind import set_weights


class _Classifier(tf.Module):
    """Networks as one function. It holds the variables, and nothing of Keras."""

    def __init__(
        self, models: Sequence[keras.Model], answer: Callable[..., dict[str, tf.Tensor]]
    ) -> None:
        super().__init__()
        self.weights = [variable for model in models for variable in model.weights]
        images = tf.TensorSpec([None, *models[0].input_shape[1:]], tf.uint8, name="images")

        def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
            return answer(*(model(images, training=False) for model in models))

        self.serve = tf.function(serve, input_signature=[images])


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
    _save(_Classifier([model], lambda logits: {"logits": logits}), folder)


def export_ensemble(models: Sequence[keras.Model], folder: Path) -> None:
    """Writes networks that vote together as one SavedModel, whole or not at all.

    Its signature `serving_default` takes `images` as those of `export_saved_model` do, and returns
    `probabilities`, float32 [n, classes]: the mean of the networks' softmaxes.

    Args:
        models: plain models of one input shape, with their weights.
        folder: where to write; must not exist.

    Raises:
        UserError: if it cannot be written.
    """

    def vote(*logits: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": tf.reduce_mean(tf.nn.softmax(tf.stack(logits)), axis=0)}

    _save(_Classifier(models, vote), folder)


def _save(classifier: _Classifier, folder: Path) -> None:
    temporary = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with writing(folder):
            tf.saved_model.save(
                classifier, str(temporary), signatures={"serving_default": classifier.serve}
            )
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sizes(folder: Path) -> tuple[int, int]:
    """Returns the bytes of all files in a folder, as they are and compressed with gzip."""
    contents = [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]
    return sum(map(len, contents)), sum(len(gzip.compress(content)) for content in contents)
