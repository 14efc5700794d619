"""ResNet-18 for CIFAR-10: in truth the 20-layer CIFAR ResNet of He et al. (2016), 16-32-64 wide.

Projection (1x1) shortcuts are needed to reach the paper's counts; the 274K of its table are all
variables, batch normalisation's included.
"""

from typing import TYPE_CHECKING

from lth_tf.models import NETWORKS, layers

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras


@NETWORKS.register
def resnet18(
    image_shape: tuple[int, int, int],
    classes: int,
    init: layers.Initializers,
    dropout: float = 0.0,
    width: float = 1.0,
    scaling: layers.Scaling = layers.UNIT,
) -> "keras.Model":
    """Builds ResNet-18: 270,896 kernel weights on CIFAR-10, 267,696 of them prunable.

    Dropout stands before the output layer. The arguments are those of `lth_tf.models.build`.
    """
    import tf_keras as keras

    images = keras.Input(image_shape, name="images")
    x = _conv(layers.scale(images, scaling), layers.scaled(16, width), 3, 1, "stem", init)
    x = layers.batch_norm_relu(x, "stem")
    for stage, filters in enumerate((16, 32, 64), 1):
        for block in (1, 2, 3):
            stride = 2 if stage > 1 and block == 1 else 1
            name = f"stage{stage}_block{block}"
            x = _block(x, layers.scaled(filters, width), stride, name, init)
    x = keras.layers.GlobalAveragePooling2D(name="average")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="average_dropout")(x)
    return keras.Model(images, layers.output(x, classes, init), name="resnet18")


def _block(
    x: "tf.Tensor", filters: int, stride: int, name: str, init: layers.Initializers
) -> "tf.Tensor":
    import tf_keras as keras

    shortcut = x
    if stride > 1 or x.shape[-1] != filters:
        shortcut = _conv(x, filters, 1, stride, f"{name}_shortcut", init)
        shortcut = layers.batch_norm_relu(shortcut, f"{name}_shortcut", relu=False)
    x = _conv(x, filters, 3, stride, f"{name}_conv1", init)
    x = layers.batch_norm_relu(x, f"{name}_conv1")
    x = _conv(x, filters, 3, 1, f"{name}_conv2", init)
    x = layers.batch_norm_relu(x, f"{name}_conv2", relu=False)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _conv(
    x: "tf.Tensor", filters: int, size: int, stride: int, name: str, init: layers.Initializers
) -> "tf.Tensor":
    import tf_keras as keras

    return keras.layers.Conv2D(
        filters, size, stride, "same", use_bias=False, kernel_initializer=init(name), name=name
    )(x)
