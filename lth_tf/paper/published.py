"""What the paper found and the numbers that it published, to stand beside ours."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from lth_tf.paper.recipes import RECIPES, differences
from lth_tf.runs.experiment import Experiment
from lth_tf.runs.results import AT_EARLY_STOP, EARLY_STOP

# Fields that may differ where the paper's numbers still compare: how long and what is measured.
_LENIENT = ("iterations", "eval_every", "marks", "precision")


@dataclasses.dataclass(frozen=True)
class Published:
    """What the paper published for a setting.

    Attributes:
        strategy: how it pruned.
        changes: fields of the recipe that differ from the network's main one.
        found: in words.
        numbers: values by density, by quantity; accuracies are fractions.
        read_off: how well the numbers are known.
        iterations: how long it trained.
    """

    strategy: str
    found: str
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    numbers: Mapping[str, Mapping[float, float]] = dataclasses.field(default_factory=dict)
    read_off: str = ""
    iterations: int = 0


_ALL: dict[str, list[Published]] = {
    "lenet": [
        Published(
            "iterative",
            "Tickets learn faster down to 21% of the weights, 38% earlier there; accuracy is up "
            "by more than 0.3 points at 13.5% and back at the dense level at 3.6%. Random "
            "reinitialisation loses from 21% on (Figures 3 and 4).",
            numbers={
                EARLY_STOP: {
                    1.0: 4_600, 0.513: 3_900, 0.211: 3_600, 0.135: 3_200,
                    0.070: 4_500, 0.036: 5_400, 0.019: 8_000, 0.012: 14_500,
                },
                AT_EARLY_STOP: {
                    1.0: 0.9796, 0.513: 0.981, 0.211: 0.9837, 0.135: 0.9834,
                    0.070: 0.982, 0.036: 0.980, 0.019: 0.975, 0.012: 0.971,
                },
            },
            read_off="read off the paper's figures, ± 400 iterations and ± 0.06 points",
        ),
        Published(
            "one_shot",
            "One-shot tickets stop earlier between 67.5% and 17.6% of the weights and are more "
            "accurate between 95% and 5.2% (Figure 4).",
        ),
    ],
    "conv2": [
        Published(
            "iterative",
            "Early stopping up to 3.5 times as fast, at 8.8% of the weights; accuracy up to 3.4 "
            "points higher, at 4.6%; above the dense network's down to 2% (Figure 5). "
            "Independent reproductions find little of this gain.",
        )
    ],
    "conv4": [
        Published(
            "iterative",
            "Early stopping up to 3.5 times as fast, at 9.2% of the weights; accuracy up to 3.5 "
            "points higher, at 11.1%; above the dense network's down to 2% (Figure 5).",
        )
    ],
    "conv6": [
        Published(
            "iterative",
            "Early stopping up to 2.5 times as fast, at 15.1% of the weights; accuracy up to 3.3 "
            "points higher, at 26.4%; above the dense network's down to 2% (Figure 5).",
        )
    ],
    "resnet18": [
        Published("iterative", "The dense network reaches 90.5% at this learning rate "
                  "(Figure 8)."),
        Published("iterative", "Tickets reach 89.5% between 41.7% and 21.9% of the weights "
                  "(Figure 8).", {"learning_rate": 0.01}),
        Published("iterative", "Tickets reach 90.5% at 27.1% of the weights and win down to "
                  "11.8% (Figure 8).", {"learning_rate": 0.03, "warmup": 20_000}),
    ],
    "vgg19": [
        Published("iterative", "No ticket beats random reinitialisation at this learning rate "
                  "(Figure 7)."),
        Published("iterative", "Tickets stay within a point of the dense network down to 3.5% of "
                  "the weights (Figure 7).", {"learning_rate": 0.01}),
        Published("iterative", "Tickets win down to 1.5% of the weights (Figure 7).",
                  {"warmup": 10_000}),
        Published("iterative", "Tickets win down to 6.9% of the weights only.",
                  {"warmup": 10_000, "scope": "layer"}),
    ],
}  # fmt: skip


def published(experiment: Experiment) -> Published | None:
    """Returns what the paper published for an experiment's setting; None if nothing."""
    recipe = experiment.recipe
    for entry in _ALL.get(recipe.model, []):
        setting = RECIPES[recipe.model].override(**entry.changes)
        differing = set(differences(recipe, setting)) - set(_LENIENT)
        if entry.strategy == experiment.strategy and not differing:
            return dataclasses.replace(entry, iterations=setting.iterations)
    return None
