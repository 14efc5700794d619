"""LeNet-300-100 for MNIST (Figure 2 of the paper; LeCun et al., 1998)."""

from typing import TYPE_CHECKING

from lth_tf.models import NETWORKS, layers

if TYPE_CHECKING:
    import tf_keras as keras


@NETWORKS.register
def lenet(
    image_shape: tuple[int, int, int],
    classes: int,
    init: layers.Initializers,
    dropout: float = 0.0,
    width: float = 1.0,
    scaling: layers.Scaling = layers.UNIT,
) -> "keras.Model":
    """Builds LeNet-300-100: three dense layers, 266,200 kernel weights on MNIST.

    Dropout stands after each hidden layer. The arguments are those of `lth_tf.models.build`.
    """
    import tf_keras as keras

    images = keras.Input(image_shape, name="images")
    x = keras.layers.Flatten(name="flatten")(layers.scale(images, scaling))
    x = layers.hidden(x, layers.scaled(300, width), "dense1", init, dropout)
    x = layers.hidden(x, layers.scaled(100, width), "dense2", init, dropout)
    return keras.Model(images, layers.output(x, classes, init), name="lenet")
