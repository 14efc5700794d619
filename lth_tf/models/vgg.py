"""VGG-19 for CIFAR-10 (Simonyan & Zisserman, 2014, as adapted by Liu et al., 2019).

Sixteen convolutions without bias, batch normalisation behind each, no max-pool in the last block,
then average pooling and one dense layer.
"""

from typing import TYPE_CHECKING

from lth_tf.models import NETWORKS, layers

if TYPE_CHECKING:
    import tf_keras as keras

_BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))


@NETWORKS.register
def vgg19(
    image_shape: tuple[int, int, int],
    classes: int,
    init: layers.Initializers,
    dropout: float = 0.0,
    width: float = 1.0,
    scaling: layers.Scaling = layers.UNIT,
) -> "keras.Model":
    """Builds VGG-19: 20,024,000 kernel weights on CIFAR-10, 20,018,880 of them prunable.

    Dropout stands before the output layer. The arguments are those of `lth_tf.models.build`.
    """
    import tf_keras as keras

    images = keras.Input(image_shape, name="images")
    x = layers.scale(images, scaling)
    for block, (filters, depth) in enumerate(_BLOCKS, 1):
        if block > 1:
            x = keras.layers.MaxPooling2D(padding="same", name=f"block{block - 1}_pool")(x)
        for conv in (f"block{block}_conv{i}" for i in range(1, depth + 1)):
            x = keras.layers.Conv2D(
                layers.scaled(filters, width),
                3,
                padding="same",
                use_bias=False,
                kernel_initializer=init(conv),
                name=conv,
            )(x)
            x = layers.batch_norm_relu(x, conv)
    x = keras.layers.GlobalAveragePooling2D(name="average")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="average_dropout")(x)
    return keras.Model(images, layers.output(x, classes, init), name="vgg19")
