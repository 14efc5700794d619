"""The record: experiment.json, which says what experiment a run directory holds."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from lth_tf import reading
from lth_tf.data import ImageInfo, UserDataInfo
from lth_tf.data.image_data import ImageFields
from lth_tf.errors import UserError
from lth_tf.metric import Metric, known_direction
from lth_tf.recipe import Recipe
from lth_tf.runs.coverage import Coverage
from lth_tf.runs.experiment import DRAWN_EARLY, Experiment
from lth_tf.runs.provenance import missing_packages

FORMAT = 1
_EXPERIMENT = ("strategy", "rounds", "replicates", "arms", "reinits", "seed")
_GROWING = ("rounds", "replicates", "reinits")
# What earlier versions did not record.
_LATER = ("higher_is_better", "network", "sha256", "sample")
_ANOTHER = {
    "network": "the network is another: its layers' configuration, its own classes and functions, "
    "what it has adapted to, or its pretrained weights",
    "sample": "the data set has other images or labels there: is it in another --data_dir?",
}
_Checksum = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
_Size = Annotated[int, Meta(ge=0, le=10**9)]


class _Hardware(msgspec.Struct):
    """What is known of the machine of a start."""

    processor: str = ""
    cores: int = 0
    memory_gib: float = 0
    gpus: list[str] = []


class _Start(msgspec.Struct):
    """What is known of a start; newer versions may know more."""

    time: str = ""
    flags: list[str] = []
    settings: dict[str, str | float | bool | None] = {}
    versions: dict[str, str] = {}
    hardware: _Hardware | None = None
    git_revision: str | None = None


class _UserData(msgspec.Struct):
    """What `UserDataInfo` has, in its bounds."""

    train_size: _Size
    test_size: _Size
    validation_size: _Size
    sha256: _Checksum


class _Objective(msgspec.Struct):
    """The loss and metric of a user's network."""

    metric: str
    higher_is_better: bool | None = None


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    """experiment.json, but for its recipe and the checksum of its own content."""

    format: Annotated[int, Meta(ge=1)]
    data: dict[str, Any]
    strategy: str
    rounds: int
    replicates: int
    arms: list[str]
    reinits: int
    seed: int
    starts: Annotated[list[_Start], Meta(min_length=1)]
    objective: dict[str, Any] = {}
    ticket: _Checksum | None = None


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


def read(path: Path) -> tuple[dict[str, Any], bool]:
    """Reads experiment.json.

    Returns:
        Its fields, the recipe with all that this version has, and whether it has a checksum.

    Raises:
        UserError: if it is damaged, not what was written, or of another version.
    """
    fields = reading.read_json(path)
    found = fields.get("format")
    if isinstance(found, int) and found > FORMAT:
        raise UserError(
            f"{path}: must be of format {FORMAT} or older, found {found}; "
            "it was written by a newer version of lth_tf"
        )
    has_checksum = reading.take_checksum(path, fields)
    recipe = Recipe.from_json(fields.get("recipe"), path)
    reading.conform(path, {k: v for k, v in fields.items() if k != "recipe"}, _Record)
    data = fields["data"]
    of_images = "image_shape" in data
    reading.conform(path, data, ImageFields if of_images else _UserData, "data")
    known = ImageInfo if of_images else UserDataInfo
    if odd := data.keys() - {field.name for field in dataclasses.fields(known)}:
        raise UserError(f"{path}: data.{min(odd)} must not be there")
    if fields.get("objective"):
        reading.conform(path, fields["objective"], _Objective, "objective")
    fields = {**fields, "recipe": recipe.to_json()}
    try:
        experiment_of(fields)
    except UserError as error:
        raise not_known_here(path, fields["starts"], error) from None
    return fields, has_checksum


def not_known_here(path: Path, starts: Iterable[Mapping[str, Any]], error: UserError) -> UserError:
    """Returns an error on what an experiment has, perhaps of a package that is not installed.

    Args:
        path: of experiment.json.
        starts: the experiment's.
        error: what was wrong.
    """
    missing = " and ".join(missing_packages(starts))
    hint = f"; the run was made with {missing}, not installed here" if missing else ""
    return UserError(f"{path}: {error}{hint}")


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
        if there.get(name) is None:
            there[name] = wanted.get(name)
    if wanted.get("sample") is None:  # nor does a preview, which loads no images
        there.pop("sample", None)
        wanted.pop("sample", None)
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
    if fields["strategy"] in DRAWN_EARLY:
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


def named_metric(fields: Mapping[str, Any]) -> Metric:
    """Returns the metric for its name: whether more of it is better may not be known."""
    return Metric(fields.get("objective", {}).get("metric", Metric().name))


def coverage_of(fields: Mapping[str, Any]) -> Coverage | None:
    """Returns how many kernel weights have masks; None where it was not recorded."""
    coverage = fields.get("objective", {}).get("coverage")
    return Coverage.from_json(coverage) if coverage else None


def is_judged_by_share(fields: Mapping[str, Any]) -> bool:
    """Says whether the columns of accuracies hold shares: the paper's accuracy, or Keras's."""
    metric = named_metric(fields)
    return metric.is_fraction and known_direction(metric.name) is not None
