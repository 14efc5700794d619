"""What a study is: what it computes of a run, and how that is shown."""

import abc
import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, get_type_hints

from lth_tf.analysis.figures.gallery import Picture
from lth_tf.analysis.pages.table import Table
from lth_tf.errors import UserError
from lth_tf.runs.run import Run
from lth_tf.studies.rows import value_of

if TYPE_CHECKING:
    from lth_tf.lottery.opened_run import OpenedRun

_NAME = re.compile(r"[a-z]([a-z0-9_]*[a-z0-9])?")


@dataclasses.dataclass(frozen=True)
class Study(abc.ABC):
    """A question asked of a run. Its options are the fields of its dataclass, all with defaults.

    Attributes:
        name: what flags, files and folders call it.
        title: what the report calls its section.
        help: what it measures, in a line.
        row: the dataclass of its rows, whose fields are the columns of its CSV: texts, numbers,
            None, or tuples of numbers.
        former_folder: where an earlier version left its files in a run directory.
        place: its place among the studies.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    help: ClassVar[str]
    row: ClassVar[type]
    former_folder: ClassVar[str] = ""
    place: ClassVar[int] = 1_000

    def __init_subclass__(cls) -> None:
        """Checks that the name can be a folder's.

        Raises:
            UserError: if it cannot.
        """
        if not _NAME.fullmatch(cls.name):
            raise UserError(
                f"--studies={cls.name}: {cls.__module__} must name it by small letters, digits and "
                "underscores between them"
            )

    def lacks(self, run: Run) -> str:
        """Says in a sentence why it cannot be asked of a run; nothing if it can.

        A study that needs more than one finished training and its weights says so beside this.

        Args:
            run: the run, finished or not.
        """
        if run.store.is_published:
            return "The run was published without its networks' weights."
        return "" if run.results else "No training is finished."

    @abc.abstractmethod
    def compute(self, run: "OpenedRun") -> Sequence[Any]:
        """Returns what it finds, as rows; at least one.

        Args:
            run: the run, of which `lacks` says nothing.

        Raises:
            UserError: if an option does not fit the run, which the message names as in --level=9,
                or a file of the run is damaged.
        """

    def notes(self, run: "OpenedRun") -> Sequence[str]:
        """Returns sentences on what was not computed, and why; asked when it is computed."""
        return ()

    @abc.abstractmethod
    def table(self, rows: Sequence[Any]) -> Table:
        """Returns the table of its rows."""

    def pictures(self, rows: Sequence[Any]) -> Sequence[Picture]:
        """Returns its figures, each by a name that begins with the study's."""
        return ()

    @abc.abstractmethod
    def sentence(self, rows: Sequence[Any]) -> str:
        """Says in a sentence what was found."""

    @classmethod
    def options(cls) -> dict[str, Any]:
        """Returns the type of each option."""
        types = get_type_hints(cls)
        return {field.name: types[field.name] for field in dataclasses.fields(cls)}

    @classmethod
    def parsed(cls, texts: Mapping[str, str]) -> dict[str, Any]:
        """Returns options as they stand in flags, with commas between the parts of a tuple.

        Raises:
            UserError: if there is no such option, or it cannot have that value.
        """
        known, values = cls.options(), {}
        for name, text in texts.items():
            flag = f"--set={cls.name}.{name}={text}"
            if name not in known:
                there = f"has only {', '.join(known)}" if known else "has none"
                raise UserError(f"{flag}: must be an option of {cls.name}, which {there}")
            try:
                values[name] = value_of(text, known[name], ",")
            except ValueError as error:
                raise UserError(f"{flag}: {error}") from None
        return values

    @property
    def changed(self) -> dict[str, Any]:
        """The options that are not the default."""
        default = type(self)()
        values = {name: getattr(self, name) for name in self.options()}
        return {name: v for name, v in values.items() if v != getattr(default, name)}
