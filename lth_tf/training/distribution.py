"""Devices: which there are, how a training is spread over them, and whether XLA pays on them."""

import functools

import tensorflow as tf
import tf_keras as keras

from lth_tf.errors import UserError
from lth_tf.pruning.kernels import kernels

STRATEGIES = {
    "none": tf.distribute.get_strategy,
    # One for the whole process: on CPUs, TensorFlow mixes up the sums of two of them.
    "mirrored": functools.cache(tf.distribute.MirroredStrategy),
}


def use_gpus_sparingly() -> None:
    """Lets GPU memory grow as it is needed, so that several processes can share a GPU."""
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Returns the tf.distribute strategy of a name.

    Raises:
        UserError: if there is no strategy of that name.
    """
    if name not in STRATEGIES:
        raise UserError(f"--distribution={name}: must be one of {', '.join(STRATEGIES)}")
    return STRATEGIES[name]()


def use_xla(choice: str, model: keras.Model, strategy: tf.distribute.Strategy) -> bool:
    """Decides whether a training is compiled with XLA.

    On a CPU, XLA makes dense networks several times faster and convolutions several times slower;
    under a mirrored strategy TensorFlow cannot compile for CPUs at all.

    Args:
        choice: "on", "off" or "auto".
        model: the network.
        strategy: where it trains.
    """
    if choice != "auto":
        return choice == "on"
    if tf.config.list_physical_devices("GPU"):
        return True
    convolutional = any(kernel.kind == "conv" for kernel in kernels(model))
    return not convolutional and strategy.num_replicas_in_sync == 1
