"""Conv-2, Conv-4 and Conv-6 for CIFAR-10: small VGG-style networks (Figure 2, Section 3).

Conv-6: a 4x4x256 flatten gives 2,261,184 kernel weights where the paper's table says 1.7M. The
densities that the paper prints for its rounds (26.4 %, 15.1 %) fit 2.26M, so that is what it is.
"""

from typing import TYPE_CHECKING

from lth_tf.models import NETWORKS, layers

if TYPE_CHECKING:
    import tf_keras as keras


@NETWORKS.register
def conv2(
    image_shape: tuple[int, int, int],
    classes: int,
    init: layers.Initializers,
    dropout: float = 0.0,
    width: float = 1.0,
    scaling: layers.Scaling = layers.UNIT,
) -> "keras.Model":
    """Builds Conv-2: 4,300,992 kernel weights on CIFAR-10.

    The arguments are those of `lth_tf.models.build`.
    """
    return _conv("conv2", (64,), image_shape, classes, init, dropout, width, scaling)


@NETWORKS.register
def conv4(
    image_shape: tuple[int, int, int],
    classes: int,
    init: layers.Initializers,
    dropout: float = 0.0,
    width: float = 1.0,
    scaling: layers.Scaling = layers.UNIT,
) -> "keras.Model":
    """Builds Conv-4: 2,425,024 kernel weights on CIFAR-10.

    The arguments are those of `lth_tf.models.build`.
    """
    return _conv("conv4", (64, 128), image_shape, classes, init, dropout, width, scaling)


@NETWORKS.register
def conv6(
    image_shape: tuple[int, int, int],
    classes: int,
    init: layers.Initializers,
    dropout: float = 0.0,
    width: float = 1.0,
    scaling: layers.Scaling = layers.UNIT,
) -> "keras.Model":
    """Builds Conv-6: 2,261,184 kernel weights on CIFAR-10.

    Dropout stands after each hidden dense layer. The arguments are those of `lth_tf.models.build`.
    """
    return _conv("conv6", (64, 128, 256), image_shape, classes, init, dropout, width, scaling)


def _conv(
    name: str,
    filters: tuple[int, ...],
    image_shape: tuple[int, int, int],
    classes: int,
    init: layers.Initializers,
    dropout: float,
    width: float,
    scaling: layers.Scaling,
) -> "keras.Model":
    import tf_keras as keras

    images = keras.Input(image_shape, name="images")
    x = layers.scale(images, scaling)
    for block, of_block in enumerate(filters, 1):
        for conv in (f"block{block}_conv1", f"block{block}_conv2"):
            x = keras.layers.Conv2D(
                layers.scaled(of_block, width),
                3,
                padding="same",
                activation="relu",
                kernel_initializer=init(conv),
                name=conv,
            )(x)
        x = keras.layers.MaxPooling2D(padding="same", name=f"block{block}_pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    units = layers.scaled(256, width)
    x = layers.hidden(x, units, "dense1", init, dropout)
    x = layers.hidden(x, units, "dense2", init, dropout)
    return keras.Model(images, layers.output(x, classes, init), name=name)
