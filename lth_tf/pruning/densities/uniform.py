"""The same density in every prunable kernel."""

import math

from lth_tf.pruning.densities import DENSITIES, SharedDensity


@DENSITIES.register
class Uniform(SharedDensity):
    """Every kernel has the same density."""

    name = "uniform"
    help = "the same density in every prunable kernel, by one rate"
    place = 2

    def share(self, shape: tuple[int, ...]) -> int:
        """Returns the kernel's size."""
        return math.prod(shape)
