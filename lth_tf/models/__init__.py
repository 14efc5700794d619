"""The paper's six networks, found by name, each with its recipe."""

import difflib
from collections.abc import Callable

import tf_keras as keras

from lth_tf.errors import UserError
from lth_tf.importing import names_function
from lth_tf.models import conv, lenet, resnet, vgg
from lth_tf.models.layers import UNIT, Scaling
from lth_tf.recipe import Recipe

NETWORKS: dict[str, tuple[Callable[..., keras.Model], Recipe]] = {
    "lenet": (lenet.lenet, lenet.LENET),
    "conv2": (conv.conv2, conv.CONV2),
    "conv4": (conv.conv4, conv.CONV4),
    "conv6": (conv.conv6, conv.CONV6),
    "resnet18": (resnet.resnet18, resnet.RESNET18),
    "vgg19": (vgg.vgg19, vgg.VGG19),
}


def paper_recipe(name: str) -> Recipe:
    """Returns the paper's recipe for a network, or the default one for a user's.

    Args:
        name: one of `NETWORKS`, or `package.module:function`.

    Raises:
        UserError: if there is no network of that name.
    """
    return Recipe(model=name) if names_function(name) else _find(name)[1]


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
    return _find(name)[0](image_shape, classes, seed, dropout, width, scaling)


def _find(name: str) -> tuple[Callable[..., keras.Model], Recipe]:
    if name not in NETWORKS:
        near = difflib.get_close_matches(name, NETWORKS, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        known = ", ".join(NETWORKS)
        raise UserError(
            f"--model={name}: must be one of {known}, or package.module:function{meant}"
        )
    return NETWORKS[name]
