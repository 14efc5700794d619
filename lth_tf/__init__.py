"""lth_tf: the Lottery Ticket Hypothesis in TensorFlow.

The public API. Names are loaded when they are first used, so that a program that only reads
results does not wait for TensorFlow.
"""

import importlib
from typing import Any

_HOMES = {
    "Experiment": "lth_tf.runs.experiment",
    "Found": "lth_tf.workflows.find_tickets",
    "MaskedLayer": "lth_tf.pruning.wrapper",
    "OpenedRun": "lth_tf.lottery.opened_run",
    "UserData": "lth_tf.data",
    "Recipe": "lth_tf.recipe",
    "Result": "lth_tf.runs.results",
    "Rewind": "lth_tf.training.rewind",
    "Schedule": "lth_tf.training.optimizers",
    "Settings": "lth_tf.runs.settings",
    "Ticket": "lth_tf.formats.ticket",
    "UserError": "lth_tf.errors",
    "apply_masks": "lth_tf.pruning.wrapper",
    "compact": "lth_tf.pruning.compaction",
    "find_tickets": "lth_tf.workflows.find_tickets",
    "get_masks": "lth_tf.pruning.wrapper",
    "load_data": "lth_tf.data",
    "mask_layers": "lth_tf.pruning.wrapper",
    "named_weights": "lth_tf.pruning.kernels",
    "open_run": "lth_tf.lottery.opened_run",
    "paper_recipe": "lth_tf.paper.recipes",
    "prune": "lth_tf.pruning.masks",
    "run_experiment": "lth_tf.workflows.run_experiment",
    "set_masks": "lth_tf.pruning.wrapper",
    "strip": "lth_tf.pruning.wrapper",
    "train_ticket": "lth_tf.workflows.train_ticket",
}

__version__ = "0.1.0"
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
