"""What is checked of a user's network and data before anything trains or any folder is claimed."""

from typing import Any

import tensorflow as tf

from lth_tf.data import ImageData, UserData
from lth_tf.lottery.network import Network
from lth_tf.models import NETWORKS
from lth_tf.recipe import IN_PYTHON
from lth_tf.training.copy_check import check_copy
from lth_tf.training.example_check import check_examples

_SOME = 8


def check_network(network: Network, data: UserData | ImageData) -> list[str]:
    """Checks that sets of examples fit a network, and that its copy for training is the same.

    The networks of this package need no check.

    Args:
        network: the experiment's network.
        data: its data.

    Returns:
        What cannot be repeated of a training, in sentences.

    Raises:
        UserError: if something does not fit; names the set or the layer.
    """
    recipe = network.experiment.recipe
    builder = None if network.is_from_user else NETWORKS[recipe.model]
    module = getattr(builder, "__module__", None) or ""
    if module.startswith(f"{__package__.split('.')[0]}."):
        return []
    sets = _sets(network, data)
    model = network.build_for_training()
    first = tf.nest.map_structure(lambda array: tf.constant(array[:_SOME]), data.examples)
    check_examples(model, sets, network.metric.name)
    return check_copy(model, *first)


def _sets(network: Network, data: UserData | ImageData) -> dict[str, tuple[Any, Any]]:
    """Returns the sets of examples, by what messages call them."""
    count = getattr(data.info, "validation_size", 0)
    first = data.info.train_size - count
    parts = {"train": slice(first), "validation": slice(first, None), "test": None}
    sets = {
        name: data.test if rows is None else _at(rows, data.examples)
        for name, rows in parts.items()
        if name != "validation" or count
    }
    dataset = network.experiment.recipe.dataset
    place = "" if dataset == IN_PYTHON else f"--dataset={dataset}: "
    return {f"{place}{name}": each for name, each in sets.items()}


def _at(rows: slice, arrays: Any) -> Any:
    return tf.nest.map_structure(lambda array: array[rows], arrays)
