"""All prunable kernels ranked together: the paper's deep networks (Section 4)."""

from collections.abc import Mapping

from lth_tf.pruning.densities import DENSITIES, Counts, Density


@DENSITIES.register
class Global(Density):
    """One count for all prunable kernels; what each keeps is as the weights are ranked."""

    name = "global"
    help = "all prunable kernels ranked together, by one rate"
    place = 1

    def groups(self, rates: Mapping[str, float]) -> list[tuple[str, ...]]:
        """Returns one group."""
        return [tuple(rates)] if rates else []

    def keep(
        self, shapes: Mapping[str, tuple[int, ...]], rates: Mapping[str, float], left: Counts
    ) -> Counts:
        """Takes the rate from all together."""
        rate = self.one_rate(rates)
        return {group: count - round(rate * count) for group, count in left.items()}
