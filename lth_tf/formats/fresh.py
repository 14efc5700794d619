"""A program of its own: loads exported files where nothing of what wrote them can be imported.

`process.py` starts it, by this file's path, so that it imports nothing of lth_tf, and sends it the
source of each format's `load`. Of those only the ticket's, this program's own format, uses lth_tf.
"""

import __future__

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

_BATCH = 500  # images at a time
_ROUNDS = 7  # in which all files are timed in turn
_SECONDS = 0.05  # at least, of each file in each round

Logits = Callable[[np.ndarray], np.ndarray]


def loader(name: str, source: str) -> Callable[[str, int, bool], Logits]:
    """Returns a format's function `load`.

    Args:
        name: the function's name.
        source: its source, whose annotations need not be known here.
    """
    names: dict[str, Any] = {}
    flags = __future__.annotations.compiler_flag
    exec(compile(source, f"<{name}>", "exec", flags), names)
    return names[name]


def logits(network: Logits, images: np.ndarray) -> np.ndarray:
    """Returns a network's logits, [n, classes], or other outputs of images or other inputs.

    Args:
        network: from images to logits.
        images: uint8 [n, height, width, channels]; of a user's network its inputs [n, ...].
    """
    parts = np.split(images, range(_BATCH, len(images), _BATCH))
    return np.concatenate([network(part) for part in parts])


def median_times(networks: list[Logits], images: np.ndarray) -> list[float]:
    """Returns the median seconds that each network takes for the images, from array to array.

    Args:
        networks: from images to logits; they take turns.
        images: uint8 [n, height, width, channels]; of a user's network its inputs [n, ...].
    """
    for network in networks:
        network(images)
    times: list[list[float]] = [[] for _ in networks]
    for _ in range(_ROUNDS):
        for network, found in zip(networks, times, strict=True):
            network(images)  # its weights are in no cache after the others' turns
            end = time.perf_counter() + _SECONDS
            while (began := time.perf_counter()) < end:
                network(images)
                found.append(time.perf_counter() - began)
    return [statistics.median(found) for found in times]


def main(request: dict[str, Any]) -> None:
    """Does what a request says; see `process.py`."""
    for name in request["blocked"]:
        sys.modules[name] = None
    if request["threads"]:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(request["threads"])
        tf.config.threading.set_inter_op_parallelism_threads(request["threads"])
    networks = [
        loader(*request["loaders"][name])(path, request["threads"], request["trained"])
        for name, path in request["files"]
    ]
    images = np.load(request["images"])
    if request["batches"]:
        times = [median_times(networks, images[:batch]) for batch in request["batches"]]
        np.save(request["answer"], np.transpose(times))
    else:
        np.save(request["answer"], logits(networks[0], images))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
