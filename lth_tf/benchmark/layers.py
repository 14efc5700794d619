"""A Keras network as plain values, from which a network of another framework can be made.

It is Keras's own JSON and an array file; reading them takes no TensorFlow.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file, save_file

if TYPE_CHECKING:
    import tf_keras as keras

_JSON, _WEIGHTS = "network.json", "weights.safetensors"


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer of a functional network.

    Attributes:
        name: its name.
        kind: its Keras class's name.
        config: what Keras's `get_config` says of it.
        inputs: the names of the layers that it takes its inputs from.
        weights: its initial weights by name, such as "kernel".
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    inputs: tuple[str, ...]
    weights: Mapping[str, np.ndarray]


def write_network(model: "keras.Model", folder: Path) -> None:
    """Writes a functional model with one input and one output.

    Args:
        model: the model.
        folder: where the files go.
    """
    weights = {
        f"{layer.name}/{_short(variable.name)}": np.ascontiguousarray(variable)
        for layer in model.layers
        for variable in layer.weights
    }
    (folder / _JSON).write_text(model.to_json(), encoding="utf-8")
    save_file(weights, folder / _WEIGHTS)


def read_network(folder: Path) -> list[Layer]:
    """Returns the layers that `write_network` wrote, each behind its inputs."""
    written = json.loads((folder / _JSON).read_text(encoding="utf-8"))["config"]["layers"]
    weights: dict[str, dict[str, np.ndarray]] = {}
    for key, array in load_file(folder / _WEIGHTS).items():
        layer, name = key.rsplit("/", 1)
        weights.setdefault(layer, {})[name] = array
    return [
        Layer(
            name=layer["name"],
            kind=layer["class_name"],
            config=layer["config"],
            inputs=tuple(source for node in layer["inbound_nodes"][:1] for source, *_ in node),
            weights=weights.get(layer["name"], {}),
        )
        for layer in written
    ]


def _short(name: str) -> str:
    return name.rsplit("/", 1)[-1].split(":")[0]
