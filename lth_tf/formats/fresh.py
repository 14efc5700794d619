"""A program of its own: loads exported files where nothing of what wrote them can be imported.

`process.py` starts it, by this file's path, so that it imports nothing of lth_tf; except for
tickets, which are this program's own format.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

_BATCH = 500  # images at a time
_ROUNDS = 7  # in which all files are timed in turn
_SECONDS = 0.05  # at least, of each file in each round

Network = Callable[[np.ndarray], np.ndarray]


def load_saved_model(path: str, threads: int, trained: bool) -> Network:
    """Loads a SavedModel."""
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    serve = loaded.signatures["serving_default"]
    (name,), (output,) = serve.structured_input_signature[1], serve.structured_outputs
    # The signature holds only its function; the variables live as long as what was loaded.
    return lambda images, _=loaded: serve(**{name: tf.constant(images)})[output].numpy()


def load_keras(path: str, threads: int, trained: bool) -> Network:
    """Loads a Keras file, compiled as one function."""
    import tf_keras as keras

    return _compiled(keras.models.load_model(path, compile=False))


def load_tflite(path: str, threads: int, trained: bool) -> Network:
    """Loads a TFLite file in the default interpreter, with its default delegate."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(path, num_threads=threads or None)
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


def load_ticket(path: str, threads: int, trained: bool) -> Network:
    """Loads a ticket and builds its network, compiled as one function."""
    from lth_tf.formats.ticket import Ticket

    return _compiled(Ticket.load(path).model(trained))


LOADERS = {
    "saved_model": load_saved_model,
    "keras": load_keras,
    "tflite": load_tflite,
    "ticket": load_ticket,
}


def _compiled(model: Any) -> Network:
    import tensorflow as tf

    function = tf.function(lambda images: model(images, training=False), reduce_retracing=True)
    return lambda images: function(tf.constant(images)).numpy()


def logits(network: Network, images: np.ndarray) -> np.ndarray:
    """Returns a network's logits, [n, classes], of images, [n, height, width, channels]."""
    parts = np.split(images, range(_BATCH, len(images), _BATCH))
    return np.concatenate([network(part) for part in parts])


def median_times(networks: list[Network], images: np.ndarray) -> list[float]:
    """Returns the median seconds that each network takes for the images, from array to array."""
    for network in networks:
        network(images)
    times: list[list[float]] = [[] for _ in networks]
    for _ in range(_ROUNDS):
        for network, found in zip(networks, times, strict=True):
            network(images)  # its weights are in no cache after the others' turns
            end = time.perf_counter() + _SECONDS
            while (began := time.perf_counter()) < end:
                network(images)
                found.append(time.perf_counter() - began)
    return [statistics.median(found) for found in times]


def main(request: dict[str, Any]) -> None:
    """Does what a request says; see `process.py`."""
    for name in request["blocked"]:
        sys.modules[name] = None
    if request["threads"]:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(request["threads"])
        tf.config.threading.set_inter_op_parallelism_threads(request["threads"])
    networks = [
        LOADERS[name](path, request["threads"], request["trained"])
        for name, path in request["files"]
    ]
    images = np.load(request["images"])
    if request["batches"]:
        times = [median_times(networks, images[:batch]) for batch in request["batches"]]
        np.save(request["answer"], np.transpose(times))
    else:
        np.save(request["answer"], logits(networks[0], images))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
