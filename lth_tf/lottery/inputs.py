"""Inputs: what an experiment has besides its recipe: a user's model function, data and ticket."""

import contextlib
import dataclasses
import pickle
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import cloudpickle
import joblib
import numpy as np

from lth_tf import data, files
from lth_tf.data import ImageInfo, UserData, UserDataInfo
from lth_tf.errors import UserError
from lth_tf.importing import names_function
from lth_tf.recipe import Recipe
from lth_tf.runs.experiment import Experiment

if TYPE_CHECKING:
    from lth_tf.formats.ticket import Ticket
    from lth_tf.models.user_model import ModelFunction


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What an experiment has besides its recipe.

    Attributes:
        make: the function that makes the network; None where the recipe's name finds it.
        data: the data; None where the recipe's name finds them.
        ticket: the ticket that a transfer trains; None of others.
        higher_is_better: whether more of the model's metric is better; None if its name tells.
        metric: the name of the model's metric that it is judged by; None for the first.
        pretrained: weights by name that all replicates start from, where they are not random.
    """

    make: "ModelFunction | None" = None
    data: UserData | None = None
    ticket: "Ticket | None" = None
    higher_is_better: bool | None = None
    metric: str | None = None
    pretrained: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def info(self, recipe: Recipe, data_dir: str | None) -> ImageInfo | UserDataInfo:
        """Returns what is known of the data, these or those that a recipe names.

        Args:
            recipe: names the data, where these are none.
            data_dir: TFDS's folder; see `lth_tf.data.load`.
        """
        if self.data:
            return self.data.info
        return data.info(recipe.dataset, data_dir, recipe.scaling == "standardize")

    @contextlib.contextmanager
    def saved(self) -> Iterator[Path | None]:
        """Writes a file for other processes, which `load` it; it is there inside the context.

        Raises:
            UserError: if the function cannot be sent to another process, or there is no room for
                the file.
        """
        if self == Inputs():
            yield None
            return
        with tempfile.TemporaryDirectory(prefix="lth_tf_") as folder:
            path = Path(folder) / "inputs"
            make = self.make
            try:
                if getattr(make, "__module__", None) == "__main__":
                    make = _ByValue.of(make)
                with files.writing(path):
                    joblib.dump(dataclasses.replace(self, make=make), path)
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                raise UserError(
                    "--jobs: must be 1 where the model's function is a lambda, inside another "
                    "function, or uses what other processes cannot have, as a lock; define it in "
                    f"a module ({error})"
                ) from None
            yield path

    @staticmethod
    def load(path: Path | None) -> "Inputs":
        """Returns what another process saved; its arrays are mapped into memory."""
        if path is None:
            return Inputs()
        inputs = joblib.load(path, mmap_mode="r")
        if isinstance(inputs.make, _ByValue):
            return dataclasses.replace(inputs, make=inputs.make.function())
        return inputs


@dataclasses.dataclass(frozen=True)
class _ByValue:
    """A function of a notebook or script, where other processes cannot import it from.

    Attributes:
        code: the function, pickled with all that it uses.
    """

    code: bytes

    @classmethod
    def of(cls, function: "ModelFunction") -> "_ByValue":
        """Packs a function."""
        return cls(cloudpickle.dumps(function))

    def function(self) -> "ModelFunction":
        """Returns the function."""
        return cloudpickle.loads(self.code)


def with_data(experiment: Experiment, inputs: Inputs) -> Experiment:
    """Returns an experiment with the validation examples of its data, where these have any.

    Args:
        experiment: the experiment.
        inputs: what it has besides its recipe.
    """
    if inputs.data is None:
        return experiment
    return dataclasses.replace(experiment, recipe=fitted(experiment.recipe, inputs.data.info))


def fitted(recipe: Recipe, info: ImageInfo | UserDataInfo) -> Recipe:
    """Returns a recipe for some data: their validation examples count, if they have any.

    Args:
        recipe: the recipe.
        info: what is known of the data.
    """
    size = getattr(info, "validation_size", 0)
    return recipe.override(validation_size=size) if size else recipe


def inputs_of(
    recipe: Recipe,
    ticket: "Ticket | None" = None,
    higher_is_better: bool | None = None,
    metric: str | None = None,
) -> Inputs:
    """Returns the data that a recipe names as a function, made once for all, with the rest.

    Args:
        recipe: the recipe.
        ticket: the ticket that a transfer trains.
        higher_is_better: whether more of the model's metric is better.
        metric: the name of the metric that it is judged by; None for the first.

    Raises:
        UserError: if the function cannot be found, or returns no data.
    """
    named = names_function(recipe.dataset)
    found = data.load(recipe.dataset) if named else None
    return Inputs(data=found, ticket=ticket, higher_is_better=higher_is_better, metric=metric)
