"""`package.module:function`: a data set that a user's function makes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lth_tf.data.user_data import UserData, UserDataInfo
from lth_tf.errors import UserError
from lth_tf.importing import import_function


@dataclass(frozen=True)
class Function:
    """A data set that a function makes, which returns (train, validation, test).

    Attributes:
        name: `package.module:function`.
        overrides: no fields of a recipe.
    """

    name: str
    overrides: ClassVar[Mapping[str, Any]] = {}

    def load(self) -> UserData:
        """Calls the function.

        Raises:
            UserError: if there is no such function, or it returns something else.
        """
        return UserData.made_by(self.name, import_function("dataset", self.name))

    def sizes(self) -> UserDataInfo:
        """Calls the function for its sets' sizes; raises as `load` does."""
        return self.load().info

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Refuses: what a function returns need not be images.

        Raises:
            UserError: always.
        """
        raise UserError(f"--dataset={self.name}: must scale its inputs itself")
