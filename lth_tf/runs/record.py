"""The record: experiment.json, which says what experiment a run directory holds."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lth_tf import files
from lth_tf.data import ImageInfo, UserDataInfo
from lth_tf.errors import UserError
from lth_tf.metric import Metric
from lth_tf.recipe import Recipe
from lth_tf.runs.coverage import Coverage
from lth_tf.runs.experiment import EARLY_BIRD, Experiment

FORMAT = 1
_EXPERIMENT = ("strategy", "rounds", "replicates", "arms", "reinits", "seed")
_GROWING = ("rounds", "replicates", "reinits")
# What earlier versions did not record.
_LATER = ("higher_is_better", "network", "sha256")
_ANOTHER = {
    "network": "the network is another: its layers' configuration, its own classes and functions, "
    "what it has adapted to, or its pretrained weights"
}


def describe(
    experiment: Experiment,
    data: ImageInfo | UserDataInfo,
    start: Mapping[str, Any],
    objective: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Returns what experiment.json says of an experiment; see `Store.begin`.

    Args:
        experiment: what is run.
        data: what is known of its data.
        start: what is known of this start of it.
        objective: the loss and metric of a user's network; None for the paper's.
    """
    named = {name: getattr(experiment, name) for name in _EXPERIMENT}
    fields = {
        "format": FORMAT,
        "recipe": experiment.recipe.to_json(),
        "data": vars(data),
        "objective": dict(objective or {}),
        "ticket": experiment.ticket,
        **named,
        "starts": [dict(start)],
    }
    return json.loads(json.dumps(fields))


def read(path: Path) -> dict[str, Any]:
    """Reads experiment.json, its recipe with all fields that this version has.

    Raises:
        UserError: if it is damaged, or of another version.
    """
    fields = files.read_json(path)
    if fields.get("format", FORMAT + 1) > FORMAT:
        raise UserError(
            f"{path}: must be of format {FORMAT} or older, found {fields.get('format')}; "
            "it was written by a newer version of lth_tf"
        )
    try:
        recipe = Recipe.from_json(fields["recipe"])
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: must be of this version of lth_tf, but {error}") from None
    return {**fields, "recipe": recipe.to_json()}


def continued(folder: Path, known: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what experiment.json says once an experiment is started again, perhaps grown.

    Args:
        folder: the run directory.
        known: what it says.
        here: what `describe` says of this start.

    Raises:
        UserError: if they are not of the same experiment; names each field that differs.
    """
    there, wanted = _identity(known), _identity(here)
    for name in _LATER:  # runs of earlier versions do not say
        there.setdefault(name, wanted.get(name))
    names = [name for name in {**there, **wanted} if there.get(name) != wanted.get(name)]
    if names:
        differing = "; ".join(
            _ANOTHER.get(n) or f"{n} is {there.get(n)} there, {wanted.get(n)} here" for n in names
        )
        raise UserError(
            f"{folder}: holds another experiment ({differing}); "
            "give this one another --name, or remove the folder"
        )
    return {
        **here,
        **{name: max(here[name], known[name]) for name in _GROWING},
        "arms": list(dict.fromkeys([*known["arms"], *here["arms"]])),
        "starts": [*known["starts"], *here["starts"]],
    }


def _identity(fields: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: fields.get(name) for name in ("strategy", "seed", "ticket")}
    if fields["strategy"] == EARLY_BIRD:
        # Masks of all levels are drawn while the dense network trains: none can be added later.
        named["rounds"] = fields["rounds"]
    objective = {k: v for k, v in fields.get("objective", {}).items() if k != "coverage"}
    return {**fields["recipe"], **fields["data"], **objective, **named}


def experiment_of(fields: Mapping[str, Any]) -> Experiment:
    """Returns the experiment that experiment.json is of."""
    return Experiment(
        recipe=Recipe.from_json(fields["recipe"]),
        **{name: fields[name] for name in _EXPERIMENT},
        ticket=fields.get("ticket"),
    )


def data_of(fields: Mapping[str, Any]) -> ImageInfo | UserDataInfo:
    """Returns what experiment.json says of the data."""
    data = fields["data"]
    if "image_shape" not in data:
        return UserDataInfo(**data)
    tuples = {name: tuple(value) for name, value in data.items() if isinstance(value, list)}
    return ImageInfo(**{**data, **tuples})


def metric_of(fields: Mapping[str, Any]) -> Metric:
    """Returns what the columns of accuracies hold.

    Raises:
        UserError: if that is a metric of which it is not known whether more is better.
    """
    objective = fields.get("objective")
    if not objective:
        return Metric()
    return Metric.named(objective["metric"], objective.get("higher_is_better"))


def coverage_of(fields: Mapping[str, Any]) -> Coverage | None:
    """Returns how many kernel weights have masks; None where it was not recorded."""
    coverage = fields.get("objective", {}).get("coverage")
    return Coverage.from_json(coverage) if coverage else None
