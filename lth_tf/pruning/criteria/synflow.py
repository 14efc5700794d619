"""SynFlow (Tanaka et al. 2020): how much of the network's flow passes through a weight; no data.

Scores into a unit sum to those out of it (but for biases), so that a layer's are the larger the
fewer weights it has left. Ranked anew in many small steps, no layer is emptied before all others
are down to a weight.
"""

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.pruning.criteria import CRITERIA, Context, Criterion


@CRITERIA.register
class SynFlow(Criterion):
    """Keeps weights that most of the flow passes through (`lth_tf.pruning.flow`)."""

    name = "synflow"
    help = "|initial * gradient of the synaptic flow|, in 100 steps (SynFlow)"
    needs_training = False
    steps = 100
    place = 13

    def scores(self, context: Context) -> Arrays:
        """See `Criterion`."""
        gradients = context.flow_gradients()
        return {name: np.abs(weight * gradients[name]) for name, weight in context.initial.items()}
