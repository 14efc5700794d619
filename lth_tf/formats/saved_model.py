"""SavedModel: a network that loads in plain TensorFlow, without tfmot or tf_keras."""

from pathlib import Path

import tensorflow as tf
import tf_keras as keras

from lth_tf import files
from lth_tf.formats.tensorflow_files import writing


class Classifier(tf.Module):
    """A network as one function. It holds the variables, and nothing of Keras.

    Attributes:
        logits: the function, from `images`, uint8 [n, height, width, channels] with values 0-255
            as the data set delivers them, to a dict of `logits`, float32 [n, classes].
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self.weights = list(model.weights)
        images = tf.TensorSpec([None, *model.input_shape[1:]], tf.uint8, name="images")

        def logits(images: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"logits": model(images, training=False)}

        self.logits = tf.function(logits, input_signature=[images])


def export_saved_model(model: keras.Model, folder: Path) -> None:
    """Writes a network as a SavedModel, whole or not at all.

    Its signature `serving_default` is `Classifier.logits`.

    Args:
        model: the plain model, its weights set, pruned ones zero.
        folder: where to write; must not exist.

    Raises:
        UserError: if it cannot be written.
    """
    classifier = Classifier(model)
    with writing(folder), files.atomic_folder(folder) as temporary:
        tf.saved_model.save(
            classifier, str(temporary), signatures={"serving_default": classifier.logits}
        )
