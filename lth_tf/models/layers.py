"""The pieces that the networks share: input scaling, seeded initialisers, hidden and output layers.

Every network takes images as the data set delivers them, values 0-255, and scales them in its first
layer, so that a network and its exported ticket need no preparation outside.
"""

import dataclasses
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras


@dataclasses.dataclass(frozen=True)
class Scaling:
    """How the first layer scales images: (values / 255 - mean) / deviation, by channel.

    Attributes:
        mean: each channel's, of values in [0, 1].
        deviation: likewise. Both are empty for 0 and 1.
    """

    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()


UNIT = Scaling()


class Initializers:
    """Gaussian initialisers, each with its own seed, drawn from one: Glorot normal ones (Figure 2).

    All kernels can have one standard deviation instead (Figure 30).

    Keras gives two layers of the same shape the same weights if their seeds are equal, so each
    layer's seed comes from the network's seed and the layer's name.
    """

    def __init__(self, seed: int, stddev: float = 0.0) -> None:
        """Makes them.

        Args:
            seed: the network's.
            stddev: standard deviation of all kernels; 0 for Glorot normal ones.
        """
        self._seed = seed
        self._stddev = stddev

    def __call__(self, layer: str) -> "keras.initializers.Initializer":
        """Returns the initialiser of a layer's kernel, by the layer's name."""
        import tf_keras as keras

        sequence = np.random.SeedSequence([self._seed, zlib.crc32(layer.encode())])
        seed = int(sequence.generate_state(1)[0] >> 1)
        if self._stddev:
            return keras.initializers.RandomNormal(stddev=self._stddev, seed=seed)
        return keras.initializers.GlorotNormal(seed=seed)


def scaled(units: int, width: float) -> int:
    """Returns a layer's units or filters at a width: rounded, at least one.

    Args:
        units: units or filters at full width.
        width: the factor.
    """
    return max(1, round(units * width))


def scale(images: "tf.Tensor", scaling: Scaling = UNIT) -> "tf.Tensor":
    """Scales images with values 0-255; the paper leaves the scaling open.

    Args:
        images: [b, height, width, channels].
        scaling: how.
    """
    import tf_keras as keras

    if scaling == UNIT:
        return keras.layers.Rescaling(1 / 255, name="scale")(images)
    factors = [1 / (255 * deviation) for deviation in scaling.deviation]
    offsets = [-m / d for m, d in zip(scaling.mean, scaling.deviation, strict=True)]
    return keras.layers.Rescaling(factors, offsets, name="scale")(images)


def hidden(
    x: "tf.Tensor", units: int, name: str, init: Initializers, dropout: float
) -> "tf.Tensor":
    """Adds a dense ReLU layer, with dropout behind it if the rate is above 0.

    Args:
        x: float [b, n].
        units: outputs.
        name: the layer's.
        init: gives its initialiser.
        dropout: the rate.
    """
    import tf_keras as keras

    x = keras.layers.Dense(units, activation="relu", kernel_initializer=init(name), name=name)(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name=f"{name}_dropout")(x)
    return x


def output(x: "tf.Tensor", classes: int, init: Initializers) -> "tf.Tensor":
    """Adds the output layer: one float32 logit for each class, whatever the precision policy.

    Args:
        x: float [b, n].
        classes: number of classes.
        init: gives its initialiser.
    """
    import tf_keras as keras

    return keras.layers.Dense(
        classes, kernel_initializer=init("output"), dtype="float32", name="output"
    )(x)


def batch_norm_relu(x: "tf.Tensor", name: str, relu: bool = True) -> "tf.Tensor":
    """Adds batch normalisation, and a ReLU if asked for.

    Keras's momentum of 0.99 averages over about 100 iterations, in which a learning rate of 0.1
    changes the network beyond recognition; 0.9 is what PyTorch has.

    Args:
        x: float [b, ..., channels].
        name: of the layer that it stands behind.
        relu: whether a ReLU follows.
    """
    import tf_keras as keras

    x = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x
