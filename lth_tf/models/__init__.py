"""The six networks, found by name; `lth_tf.paper.recipes` has the paper's settings for each."""

from collections.abc import Callable

import tf_keras as keras

from lth_tf.errors import UserError
from lth_tf.models import conv, lenet, resnet, vgg
from lth_tf.models.layers import UNIT, Scaling

NETWORKS: dict[str, Callable[..., keras.Model]] = {
    "lenet": lenet.lenet,
    "conv2": conv.conv2,
    "conv4": conv.conv4,
    "conv6": conv.conv6,
    "resnet18": resnet.resnet18,
    "vgg19": vgg.vgg19,
}


def build(
    name: str,
    image_shape: tuple[int, int, int],
    classes: int,
    seed: int,
    dropout: float = 0.0,
    width: float = 1.0,
    scaling: Scaling = UNIT,
) -> keras.Model:
    """Builds a network by name, as a functional model with Glorot normal initial weights.

    Args:
        name: one of `NETWORKS`.
        image_shape: height, width and channels of the images (values 0-255).
        classes: number of classes; the model returns one float32 logit for each.
        seed: seed of the initial weights.
        dropout: dropout rate, 0 for none.
        width: factor of each hidden layer's units or filters, which are rounded, at least one.
        scaling: how the first layer scales the images.

    Raises:
        UserError: if there is no network of that name.
    """
    if name not in NETWORKS:
        raise UserError(f"--model={name}: must be one of {', '.join(NETWORKS)}")
    return NETWORKS[name](image_shape, classes, seed, dropout, width, scaling)
