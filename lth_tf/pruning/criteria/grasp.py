"""GraSP (Wang et al. 2020): how much a weight contributes to the initial flow of gradients.

The norm of the gradient, squared, is by how much a small step of training lowers the loss. Without
a weight it changes by `-2 * weight * (H g)`, to first order, with the Hessian H and the gradient g
of the loss. GraSP removes the weights of highest `-weight * (H g)`, which hold training back.
"""

from lth_tf.arrays import Arrays
from lth_tf.pruning.criteria import CRITERIA, Context, Criterion

_TEMPERATURE = 200.0  # of the outputs: all classes become about equally probable


@CRITERIA.register
class Grasp(Criterion):
    """Keeps weights without which the gradient of the initial loss would be smallest."""

    name = "grasp"
    help = "initial * (Hessian gradient) (GraSP)"
    needs_training = False
    place = 12

    def scores(self, context: Context) -> Arrays:
        """See `Criterion`."""
        found = context.gradients(_TEMPERATURE)
        remaining = {name: gradient * context.masks[name] for name, gradient in found.items()}
        products = context.hessian_product(remaining, _TEMPERATURE)
        return {name: weight * products[name] for name, weight in context.initial.items()}
