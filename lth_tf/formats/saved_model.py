"""SavedModel: networks that load in plain TensorFlow, without tfmot or tf_keras."""

from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf
import tf_keras as keras

from lth_tf import files
from lth_tf.formats.tensorflow_files import writing

Answer = Callable[..., dict[str, tf.Tensor]]


class Serving(tf.Module):
    """Networks as one function. It holds the variables, and nothing of Keras.

    Attributes:
        serve: the function, from the inputs by name to a dict of outputs by name.
    """

    def __init__(
        self, models: Sequence[keras.Model], inputs: Sequence[tf.TensorSpec], answer: Answer
    ) -> None:
        """Makes the function.

        Args:
            models: plain models with the same inputs.
            inputs: what they take, in Keras's order.
            answer: makes the answer of the models' outputs.
        """
        super().__init__()
        self.weights = [variable for model in models for variable in model.weights]

        def serve(*arrays: tf.Tensor) -> dict[str, tf.Tensor]:
            given = tf.nest.pack_sequence_as(models[0].input, arrays)
            return answer(*(model(given, training=False) for model in models))

        self.serve = tf.function(serve, input_signature=list(inputs))


def serving(model: keras.Model) -> Serving:
    """Returns a network as a function for other programs.

    A network of the paper's takes `images`, uint8 [n, height, width, channels] with values 0-255 as
    the data set delivers them, and returns `logits`, float32 [n, classes]. Any other takes its
    inputs in its own types, by their layers' names, and returns its outputs by theirs.

    Args:
        model: a plain model.
    """
    if model.input_names == ["images"]:
        return Serving([model], [images_of(model)], lambda logits: {"logits": logits})
    inputs = [
        tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, name)
        for name, tensor in zip(model.input_names, model.inputs, strict=True)
    ]
    return Serving(
        [model],
        inputs,
        lambda outputs: dict(zip(model.output_names, tf.nest.flatten(outputs), strict=True)),
    )


def images_of(model: keras.Model) -> tf.TensorSpec:
    """Returns the images that a network of the paper's takes."""
    return tf.TensorSpec([None, *model.input_shape[1:]], tf.uint8, name="images")


def export_saved_model(model: keras.Model, folder: Path) -> None:
    """Writes a network as a SavedModel, whole or not at all; its signature is `serving`'s.

    Args:
        model: the plain model, its weights set, pruned ones zero.
        folder: where to write; must not exist.

    Raises:
        UserError: if it cannot be written.
    """
    _save(serving(model), folder)


def export_ensemble(models: Sequence[keras.Model], folder: Path) -> None:
    """Writes networks that vote together as one SavedModel, whole or not at all.

    Its signature takes `images` as those of `export_saved_model` do, and returns `probabilities`,
    float32 [n, classes]: the mean of the networks' softmaxes.

    Args:
        models: plain models of one input shape, with their weights.
        folder: where to write; must not exist.

    Raises:
        UserError: if it cannot be written.
    """

    def vote(*logits: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": tf.reduce_mean(tf.nn.softmax(tf.stack(logits)), axis=0)}

    _save(Serving(models, [images_of(models[0])], vote), folder)


def _save(module: Serving, folder: Path) -> None:
    with writing(folder), files.atomic_folder(folder) as temporary:
        tf.saved_model.save(module, str(temporary), signatures={"serving_default": module.serve})
