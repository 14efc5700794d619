"""Erdős–Rényi kernel (Evci et al. 2020): the larger a kernel, the sparser it becomes.

A kernel's density is in proportion to (inputs + outputs + height + width) / (inputs x outputs x
height x width), and at most 1; what a kernel cannot take, the others share out.
"""

from lth_tf.pruning.densities import DENSITIES, SharedDensity


@DENSITIES.register
class ErdosRenyiKernel(SharedDensity):
    """A kernel's number of weights is in proportion to the sum of its axes' lengths."""

    name = "erk"
    help = "Erdős-Rényi kernel: larger kernels become sparser, by one rate"
    place = 3

    def share(self, shape: tuple[int, ...]) -> int:
        """Returns the sum of the axes' lengths."""
        return sum(shape)
