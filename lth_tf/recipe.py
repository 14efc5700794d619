"""Recipe: everything that defines a training, as one frozen, validated, hashable value.

Two trainings with the same recipe, seed and mask give the same weights. A recipe's field and the
flag that overrides it share a name; the field's help text is the flag's.
"""

import dataclasses
import hashlib
import itertools
import json
from typing import Any

from lth_tf.errors import UserError, shortened
from lth_tf.reading import conform

OPTIMIZERS = ("adam", "momentum", "sgd")
SCALINGS = ("unit", "standardize")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
IN_PYTHON = "own"  # the model or data set that no flag names
AUTO = "auto"  # what a flag may say for a precision that is yet to be chosen


def _field(help_text: str, group: str, **kwargs: Any) -> Any:
    return dataclasses.field(metadata={"help": help_text, "group": group}, **kwargs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What defines a training: network, data, optimisation, pruning and measurement.

    The paper's values stand in `lth_tf.paper.recipes`; `override` changes some. The
    defaults here are for networks of one's own.

    Raises:
        UserError: if a field is out of its range; the message names the field as its flag.
    """

    model: str = _field(
        "Network, by name, or package.module:function.", "network", default=IN_PYTHON
    )
    dataset: str = _field(
        "Data set: an embedded one, a TFDS name, or package.module:function.",
        "data",
        default=IN_PYTHON,
    )
    validation_size: int = _field(
        "Training examples set aside for validation.", "data", default=1_000
    )
    augment: str = _field(
        "Augmentation of training images, by name, or package.module:function.",
        "data",
        default="none",
    )
    scaling: str = _field(
        "Scaling of images in the first layer: unit (divided by 255) or standardize (per channel, "
        "by the training images' mean and deviation).",
        "data",
        default="unit",
    )
    iterations: int = _field(
        "Length of each training, in iterations (batches).", "optimisation", default=10_000
    )
    batch_size: int = _field(
        "Examples per iteration, over all devices together.", "optimisation", default=60
    )
    optimizer: str = _field("adam, momentum (0.9) or sgd.", "optimisation", default="adam")
    learning_rate: float = _field("Learning rate after warm-up.", "optimisation", default=1e-3)
    mask_learning_rate: float = _field(
        "Learning rate of scores where masks are learned (--strategy=supermask, edge_popup); 0: "
        "--learning_rate.",
        "optimisation",
        default=0.0,
    )
    lr_drops: tuple[int, ...] = _field(
        "Iterations at which the learning rate is divided by 10.", "optimisation", default=()
    )
    warmup: int = _field("Iterations of linear warm-up from 0.", "optimisation", default=0)
    weight_decay: float = _field(
        "Added to the gradient of each kernel, times the kernel.", "optimisation", default=0.0
    )
    dropout: float = _field("Dropout rate after each hidden dense layer.", "network", default=0.0)
    width: float = _field(
        "Factor of the hidden layers' units and filters, which are rounded, at least one.",
        "network",
        default=1.0,
    )
    init_stddev: float = _field(
        "Standard deviation of the kernels' Gaussian initial weights; 0: Glorot normal ones.",
        "network",
        default=0.0,
    )
    precision: str = _field(
        "float32, mixed_bfloat16 or mixed_float16.", "optimisation", default="float32"
    )
    prune_conv: float = _field(
        "Fraction of remaining conv weights pruned a round.", "pruning", default=0.2
    )
    prune_dense: float = _field(
        "Fraction of remaining dense weights pruned a round, attention's and recurrent ones too.",
        "pruning",
        default=0.2,
    )
    prune_output: float = _field(
        "Fraction of the output layer's remaining weights pruned a round.", "pruning", default=0.1
    )
    prune_layers: tuple[tuple[str, float], ...] = _field(
        "Rates of single layers, as NAME=RATE; NAME is a layer's (it may have * and ?), a "
        "kernel's, or a class's, as in LSTM=0.3; the first that fits counts, those of the flag "
        "before the network's own. Embeddings are pruned only so.",
        "pruning",
        default=(),
    )
    scope: str = _field(
        "How many weights each kernel keeps, or all together: see lth_tf.pruning.densities.",
        "pruning",
        default="layer",
    )
    criterion: str = _field(
        "What weights are ranked by, the lowest being pruned: see lth_tf.pruning.criteria.",
        "pruning",
        default="magnitude",
    )
    rewind: str = _field(
        "What the surviving weights go on from: an iteration, whose weights they go back to, or a "
        "kind that keeps them.",
        "pruning",
        default="0",
    )
    search_iterations: int = _field(
        "Iterations after which trainings are pruned; they go on to their end all the same. 0: "
        "they are pruned at the end.",
        "pruning",
        default=0,
    )
    eval_every: int = _field("Iterations between validations.", "measurement", default=100)
    marks: tuple[int, ...] = _field(
        "Iterations whose test accuracy is recorded.", "measurement", default=()
    )

    def __post_init__(self) -> None:
        for name in ("lr_drops", "marks"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "rewind", str(self.rewind))
        object.__setattr__(self, "prune_layers", tuple(map(tuple, self.prune_layers)))
        self._check_choices()
        for name, (least, most) in _RANGES.items():
            within = least <= getattr(self, name) <= most
            _require(self, name, within, f"from {least:,} to {most:,}")
        for name in ("prune_conv", "prune_dense", "prune_output", "dropout"):
            _require(self, name, 0 <= getattr(self, name) < 1, "0 (off) or inside (0, 1)")
        for pattern, rate in self.prune_layers:
            if not 0 <= rate < 1:
                raise UserError(
                    f"--prune_layers={pattern}={rate}: the rate must be 0 or inside (0, 1)"
                )
        for name, most in (("learning_rate", 1e30), ("width", 100)):
            within = 0 < getattr(self, name) <= most
            _require(self, name, within, f"above 0 and at most {most:g}")
        self._check_iterations()

    def _check_choices(self) -> None:
        choices = {
            "optimizer": OPTIMIZERS,
            "scaling": SCALINGS,
            "precision": PRECISIONS,
        }
        for name, allowed in choices.items():
            _require(self, name, getattr(self, name) in allowed, "one of " + ", ".join(allowed))

    def _check_iterations(self) -> None:
        end = self.iterations
        _require(self, "warmup", self.warmup <= end, f"0 to --iterations ({end})")
        for name in ("lr_drops", "marks"):
            steps = getattr(self, name)
            rising = all(a < b for a, b in itertools.pairwise(steps))
            inside = all(1 <= step <= end for step in steps)
            _require(self, name, rising and inside, f"rising iterations from 1 to {end}")

    def override(self, **fields: Any) -> "Recipe":
        """Returns this recipe with some fields changed.

        A shorter training leaves out the drops and marks that lie beyond its end, unless they
        are given as well.

        Args:
            **fields: new values by field name.

        Raises:
            UserError: if a value is out of its range.
        """
        end = fields.get("iterations", self.iterations)
        for name in ("lr_drops", "marks"):
            kept = tuple(step for step in getattr(self, name) if step <= end)
            fields.setdefault(name, kept)
        return dataclasses.replace(self, **fields)

    @property
    def of_masks(self) -> "Recipe":
        """The recipe of a training that learns its masks."""
        rate = self.mask_learning_rate or self.learning_rate
        return dataclasses.replace(self, learning_rate=rate)

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as JSON values, tuples as lists."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @property
    def code(self) -> dict[str, Any]:
        """The fields by which recipes differ in names, as JSON values.

        Newer fields are left out at their defaults and renamed ones have their first name, so that
        runs older than them keep their names.
        """
        fields, known = self.to_json(), {f.name: f.default for f in dataclasses.fields(self)}
        fields["score"] = fields.pop("criterion")
        return {k: v for k, v in fields.items() if k not in _NEWER or v != known[k]}

    @classmethod
    def from_json(cls, fields: Any, where: object = "the recipe") -> "Recipe":
        """Returns the recipe that `to_json` wrote; newer fields than it knew have their default.

        A criterion that meant something else has a name of its own, which no training has: such
        runs can be read, but not continued.

        Args:
            fields: a JSON value.
            where: the file that it stands in, for messages.

        Raises:
            UserError: if it is no recipe; names the field.
        """
        if isinstance(fields, dict) and "score" in fields:
            fields = {**fields}
            score = fields.pop("score")
            renamed = isinstance(score, str) and score in _WITHOUT_A
            fields["criterion"] = f"{score}_with_a_1" if renamed else score
        if isinstance(fields, dict) and type(fields.get("rewind")) is int and fields["rewind"] >= 0:
            fields = {**fields, "rewind": str(fields["rewind"])}
        recipe = conform(where, fields, cls, "recipe")
        rewind, end = recipe.rewind, recipe.iterations
        # Others have names, which `lth_tf.lottery.rewinding` knows.
        if rewind.isdecimal() and (len(rewind) > len(str(end)) or int(rewind) >= end):
            raise UserError(
                f"{where}: recipe.rewind must be below recipe.iterations, {end:,}, or the name of "
                f"a kind, found {shortened(rewind, 40)}"
            )
        return recipe


# Than the first recipes that were written.
_NEWER = ("width", "scaling", "search_iterations", "init_stddev", "mask_learning_rate")
# Zhou et al.'s criteria whose factor, a, was 1 while the field was called `score`.
_WITHOUT_A = ("large_init_large_final", "small_init_small_final")
_RANGES = {
    "iterations": (1, 10**9),
    "batch_size": (1, 10**7),
    "warmup": (0, 10**9),
    "weight_decay": (0, 1_000),
    "search_iterations": (0, 10**9),
    "init_stddev": (0, 1_000),
    "mask_learning_rate": (0, 1e30),
    "validation_size": (1, 10**9),
    "eval_every": (1, 10**9),
}


def _require(recipe: Recipe, name: str, holds: bool, wanted: str) -> None:
    if not holds:
        value = getattr(recipe, name)
        if isinstance(value, tuple):
            value = ",".join(map(str, value))
        raise UserError(f"--{name}={shortened(str(value), 200)}: must be {wanted}")


def digest(value: Any) -> str:
    """Returns eight hex digits that name a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]
