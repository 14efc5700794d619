"""Networks, found by name: a file here has the builders of one family.

`lth_tf.paper.recipes` has the paper's settings for its six networks; any other has the defaults of
`Recipe`, and what flags say. A new network is a function in a file here, or in a package of one's
own (see `lth_tf.registry`), that `--model` calls by its name:

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

from collections.abc import Callable
from typing import TYPE_CHECKING

from lth_tf.models.layers import UNIT, Initializers, Scaling
from lth_tf.registry import Registry

if TYPE_CHECKING:
    import tf_keras as keras

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
        UserError: if there is no network of that name.
    """
    init = Initializers(seed, init_stddev)
    return NETWORKS[name](image_shape, classes, init, dropout, width, scaling)
