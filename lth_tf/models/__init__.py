"""Networks, found by name: a file here has the builders of one family.

`lth_tf.paper.recipes` has the paper's settings for its six networks; any other has the defaults of
`Recipe`, and what flags say. A new network is a function in a file here, or in a user's package
(`lth_tf.registry`), that `--model` calls by its name:

    from lth_tf.models import NETWORKS, layers

    @NETWORKS.register
    def shallow(image_shape, classes, init, dropout=0.0, width=1.0, scaling=layers.UNIT):
        import tf_keras as keras

        images = keras.Input(image_shape, name="images")
        x = keras.layers.Flatten(name="flatten")(layers.scale(images, scaling))
        x = layers.hidden(x, layers.scaled(300, width), "dense1", init, dropout)
        return keras.Model(images, layers.output(x, classes, init), name="shallow")

The modules that register networks import TensorFlow inside functions only: the flags' help lists
their names.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from lth_tf.errors import UserError
from lth_tf.machine import memory
from lth_tf.models.layers import UNIT, Initializers, Scaling
from lth_tf.registry import Registry

if TYPE_CHECKING:
    import tf_keras as keras

_USUAL_WIDTH, _USUAL_VALUES, _USUAL_CLASSES = 4, 2**18, 10**4
_COPIES = 4  # of the weights: themselves, the optimizer's two, and those of the best iteration

# Builders, whose arguments are those of `build` but for the name, and with initialisers that have
# the seed and the deviation.
NETWORKS: "Registry[Callable[..., keras.Model]]" = Registry(
    "model", __name__, "package.module:function"
)


def build(
    name: str,
    image_shape: tuple[int, int, int],
    classes: int,
    seed: int,
    dropout: float = 0.0,
    width: float = 1.0,
    scaling: Scaling = UNIT,
    init_stddev: float = 0.0,
) -> "keras.Model":
    """Builds a network by name, as a functional model with initial weights from a seed.

    Args:
        name: one of `NETWORKS`.
        image_shape: height, width and channels of the images (values 0-255).
        classes: number of classes; the model returns one float32 logit for each.
        seed: seed of the initial weights.
        dropout: dropout rate, 0 for none.
        width: factor of each hidden layer's units or filters, which are rounded, at least one.
        scaling: how the first layer scales the images.
        init_stddev: standard deviation of the kernels' Gaussian initial weights; 0 for Glorot
            normal ones, the paper's.

    Raises:
        UserError: if there is no network of that name, or it does not fit into memory.
    """
    make = NETWORKS[name]
    arguments = (image_shape, classes, Initializers(seed, init_stddev), dropout, width, scaling)
    if width > _USUAL_WIDTH or math.prod(image_shape) > _USUAL_VALUES or classes > _USUAL_CLASSES:
        _check_memory(f"--model={name}, --width={width:g}", make, arguments)
    return make(*arguments)


def _check_memory(what: str, make: "Callable[..., keras.Model]", arguments: tuple) -> None:
    """Checks that a network fits into memory, before any is taken for it.

    Raises:
        UserError: if it does not.
    """
    import tensorflow as tf

    with tf.Graph().as_default():  # where weights have shapes only
        weights = make(*arguments).count_params()
    if _COPIES * 4 * weights > memory():
        raise UserError(
            f"{what}, images of {arguments[0]}: {weights:,} weights must fit into memory "
            f"{_COPIES} times ({memory() / 2**30:,.0f} GiB)"
        )
