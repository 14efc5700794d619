"""Each kernel by its own rate: the paper's dense layers, and Conv-2, -4 and -6 (Section 2)."""

from collections.abc import Mapping

from lth_tf.pruning.densities import DENSITIES, Counts, Density


@DENSITIES.register
class Layer(Density):
    """Every kernel loses its own rate of what it has left."""

    name = "layer"
    help = "each kernel by its own rate"
    place = 0

    def keep(
        self, shapes: Mapping[str, tuple[int, ...]], rates: Mapping[str, float], left: Counts
    ) -> Counts:
        """Takes its rate from each kernel."""
        return {group: count - round(rates[group[0]] * count) for group, count in left.items()}
