"""SavedModel: networks that load in plain TensorFlow, without tfmot or tf_keras."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lth_tf import files
from lth_tf.formats.formats import FORMATS, Format
from lth_tf.formats.tensorflow_files import writing

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

    from lth_tf.formats.fresh import Logits


def serving(model: "keras.Model") -> "tf.Module":
    """Returns a network as a module whose `serve` is a function for other programs.

    A network of the paper's takes `images`, uint8 [n, height, width, channels] with values 0-255 as
    the data set delivers them, and returns `logits`, float32 [n, classes]. Any other takes its
    inputs in its own types, by their layers' names, and returns its outputs by theirs.

    Args:
        model: a plain model.
    """
    import tensorflow as tf

    if takes_images(model):
        return _module([model], [images_of(model)], lambda logits: {"logits": logits})
    inputs = [
        tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, name)
        for name, tensor in zip(model.input_names, model.inputs, strict=True)
    ]
    return _module(
        [model],
        inputs,
        lambda outputs: dict(zip(model.output_names, tf.nest.flatten(outputs), strict=True)),
    )


def takes_images(model: "keras.Model") -> bool:
    """Says whether a network takes images as data sets have them, which its layer `scale` scales.

    Args:
        model: a plain model.
    """
    return model.input_names == ["images"] and any(layer.name == "scale" for layer in model.layers)


def signature_text(model: "keras.Model") -> str:
    """Says what a network's files take and return.

    Args:
        model: a plain model.
    """
    if takes_images(model):
        return (
            "Images go in as the data set delivers them, uint8 `[n, height, width, channels]`; "
            "logits come out, float32 `[n, classes]`. By name they are `images` and `logits`."
        )

    def listed(names: list[str], tensors: list[Any]) -> str:
        parts = []
        for name, tensor in zip(names, tensors, strict=True):
            shape = ", ".join(["n", *(str(length or "any") for length in tensor.shape[1:])])
            parts.append(f"`{name}`, {tensor.dtype.name} `[{shape}]`")
        return "; ".join(parts)

    inputs, outputs = (
        listed(model.input_names, model.inputs),
        listed(model.output_names, model.outputs),
    )
    return f"In go {inputs}, as the network was trained on them; out come {outputs}."


def _module(
    models: "Sequence[keras.Model]",
    inputs: "Sequence[tf.TensorSpec]",
    answer: "Callable[..., dict[str, tf.Tensor]]",
) -> "tf.Module":
    """Returns networks as one function, `serve`, from inputs by name to a dict of outputs by name.

    The module holds the variables and tables, and nothing of Keras.

    Args:
        models: plain models with the same inputs.
        inputs: what they take, in Keras's order.
        answer: makes the answer of the models' outputs.
    """
    import tensorflow as tf

    def serve(*arrays: tf.Tensor) -> dict[str, tf.Tensor]:
        packed = tf.nest.pack_sequence_as(models[0].input, arrays)
        return answer(*(model(packed, training=False) for model in models))

    module = tf.Module()
    module.weights = [variable for model in models for variable in model.weights]
    module.tables = [
        layer.lookup_table
        for model in models
        for layer in model._flatten_layers()
        if hasattr(layer, "lookup_table")
    ]
    module.serve = tf.function(serve, input_signature=list(inputs))
    return module


def images_of(model: "keras.Model") -> "tf.TensorSpec":
    """Returns the images that a network of the paper's takes."""
    import tensorflow as tf

    return tf.TensorSpec([None, *model.input_shape[1:]], tf.uint8, name="images")


def export_saved_model(model: "keras.Model", folder: Path) -> None:
    """Writes a network as a SavedModel, whole or not at all; its signature is `serving`'s.

    Args:
        model: the plain model, its weights set, pruned ones zero.
        folder: where to write; must not exist.

    Raises:
        UserError: if it cannot be written.
    """
    _save(serving(model), folder)


def export_ensemble(models: "Sequence[keras.Model]", folder: Path) -> None:
    """Writes networks that vote together as one SavedModel, whole or not at all.

    Its signature takes `images` as those of `export_saved_model` do, and returns `probabilities`,
    float32 [n, classes]: the mean of the networks' softmaxes.

    Args:
        models: plain models of one input shape, with their weights.
        folder: where to write; must not exist.

    Raises:
        UserError: if it cannot be written.
    """
    import tensorflow as tf

    def vote(*logits: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": tf.reduce_mean(tf.nn.softmax(tf.stack(logits)), axis=0)}

    _save(_module(models, [images_of(models[0])], vote), folder)


def _save(module: "tf.Module", folder: Path) -> None:
    import tensorflow as tf

    with writing(folder), files.atomic_folder(folder) as temporary:
        tf.saved_model.save(module, str(temporary), signatures={"serving_default": module.serve})


def load_saved_model(path: str, threads: int, trained: bool) -> "Logits":
    """Loads a SavedModel; see `Format`."""
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    serve = loaded.signatures["serving_default"]
    (name,), (output,) = serve.structured_input_signature[1], serve.structured_outputs
    # The signature holds only its function; the variables live as long as what was loaded.
    return lambda images, _=loaded: serve(**{name: tf.constant(images)})[output].numpy()


FORMATS.register(
    Format(
        name="saved_model",
        entry="saved_model",
        usage='tensorflow.saved_model.load("saved_model").signatures["serving_default"]',
        write=lambda source, path: export_saved_model(source.model, path),
        load=load_saved_model,
        missing=("tensorflow_model_optimization", "tf_keras", "keras", "lth_tf"),
        place=1,
    )
)
