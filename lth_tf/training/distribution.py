"""Devices: which there are, how a training is spread over them, and whether XLA pays on them."""

import functools
from collections.abc import Callable

import tensorflow as tf
import tf_keras as keras

from lth_tf.errors import UserError
from lth_tf.machine import memory, usable_cores
from lth_tf.pruning.kernels import kernels
from lth_tf.training.cluster import read_cluster
from lth_tf.training.random_layers import StatelessDropout, random_layers

_JOB_MEMORY = 5 * 2**29  # bytes that a training on CIFAR-10 takes at most


def _multi_worker() -> tf.distribute.Strategy:
    read_cluster().wait_for_workers()
    return tf.distribute.MultiWorkerMirroredStrategy()


# One of each for the whole process: on CPUs, TensorFlow mixes up the sums of two of them.
DISTRIBUTIONS = {
    "none": tf.distribute.get_strategy,
    "mirrored": functools.cache(tf.distribute.MirroredStrategy),
    "multi_worker": functools.cache(_multi_worker),
}


def use_gpus_sparingly() -> None:
    """Lets GPU memory grow as it is needed, so that several processes can share a GPU."""
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def leave_gpus() -> None:
    """Keeps this process off the GPUs, which those that it starts will use."""
    if count_gpus():
        tf.config.set_visible_devices([], "GPU")


def count_gpus() -> int:
    """Returns the number of GPUs that TensorFlow sees."""
    return len(tf.config.list_physical_devices("GPU"))


def gpu_names() -> list[str]:
    """Returns the names of the GPUs that TensorFlow sees."""
    details = tf.config.experimental.get_device_details
    gpus = tf.config.list_physical_devices("GPU")
    return [details(gpu).get("device_name", gpu.name) for gpu in gpus]


def auto_jobs(chains: int) -> int:
    """Returns how many processes are fastest here for some trainings that need not wait.

    One process per GPU or core, as far as memory goes: a process with one thread does more work
    per thread than a process with several.

    Args:
        chains: trainings that can run at the same time.
    """
    devices = count_gpus() or usable_cores()
    return max(1, min(chains, devices, memory() // _JOB_MEMORY))


def set_threads(threads: int) -> None:
    """Sets how many threads this process computes with; 0 leaves it to TensorFlow.

    Raises:
        UserError: if TensorFlow has started with another number already.
    """
    threading = tf.config.threading
    if threads and threads != threading.get_intra_op_parallelism_threads():
        try:
            threading.set_intra_op_parallelism_threads(threads)
            threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError:
            raise UserError(
                f"--threads={threads}: must be set before TensorFlow computes anything"
            ) from None


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Returns the tf.distribute strategy of a name; it must be made before anything is computed.

    Raises:
        UserError: if there is no strategy of that name, or the cluster of one of several workers is
            wrong or does not answer.
    """
    if name not in DISTRIBUTIONS:
        raise UserError(f"--distribution={name}: must be one of {', '.join(DISTRIBUTIONS)}")
    return DISTRIBUTIONS[name]()


def use_xla(
    choice: str,
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    augmentation_compiles: Callable[[], bool] = lambda: True,
) -> bool:
    """Decides whether a training is compiled with XLA.

    On a CPU, XLA makes dense networks several times faster and convolutions several times slower.
    A program of XLA's runs on one device.

    Args:
        choice: "on", "off" or "auto".
        model: the network.
        strategy: where it trains.
        augmentation_compiles: says whether XLA can compile the augmentation.

    Raises:
        UserError: if it is to be compiled for several devices, or its augmentation cannot be.
    """
    several = strategy.num_replicas_in_sync > 1
    if choice == "on" and several:
        raise UserError("--xla=on: must be auto or off where a training has several devices")
    if choice == "on" and not augmentation_compiles():
        raise UserError("--xla=on: must be auto or off with an --augment that XLA cannot compile")
    if choice != "auto" or several:
        return choice == "on"
    if _reads_text(model):
        return False
    # Keras's random image layers have no kernels for XLA.
    if any(not isinstance(layer, StatelessDropout) for layer in random_layers(model)):
        return False
    convolutional = any(kernel.kind == "conv" for kernel in kernels(model))
    return (not convolutional or count_gpus() > 0) and augmentation_compiles()


def _reads_text(model: keras.Model) -> bool:
    """Says whether a model takes text, hashes or looks something up: XLA would end the process."""
    hashing = keras.layers.Hashing, keras.layers.HashedCrossing
    return any(tensor.dtype == tf.string for tensor in model.inputs) or any(
        isinstance(layer, hashing) or hasattr(layer, "get_vocabulary")
        for layer in model._flatten_layers()
    )
