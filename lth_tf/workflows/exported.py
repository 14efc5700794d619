"""What an export says of itself: on the screen, and in the README.md beside the files."""

import dataclasses
from collections.abc import Mapping, Sequence

from lth_tf.formats.formats import FORMATS
from lth_tf.formats.table import Gains
from lth_tf.metric import Metric
from lth_tf.runs.experiment import Experiment
from lth_tf.runs.results import Result


@dataclasses.dataclass(frozen=True)
class Exported:
    """A folder that was written.

    Attributes:
        experiment: the experiment that the network is of.
        result: the result of its training.
        weights: "trained" or "initial".
        notes: by format, how it was written, where there is something to say.
        checks: by format, how it compares with the network, if that was asked for.
        gains: sizes and latency, if they were measured.
        units: what compaction left, if it was asked for.
        signature: what the files take and return.
        metric: what the network is judged by.
    """

    experiment: Experiment
    result: Result
    weights: str
    notes: Mapping[str, str | None]
    checks: Mapping[str, str]
    gains: Gains | None
    units: Sequence[str]
    signature: str
    metric: Metric

    @property
    def headline(self) -> str:
        """Says which network it is."""
        result = self.result
        return (
            f"replicate {result.replicate}, level {result.level}, {result.arm}, "
            f"{self.weights} weights, density {result.density:.2%}"
        )

    @property
    def lines(self) -> list[str]:
        """Says how the files were written, and how they compare with the network."""
        found = [f"cut-off units removed: {'; '.join(self.units)}"] if self.units else []
        for name in self.notes:
            for line in (self.notes[name], self.checks.get(name)):
                if line:
                    found.append(f"{FORMATS[name].entry}: {line}")
        return found

    def readme(self) -> str:
        """Returns the text of README.md."""
        recipe = self.experiment.recipe
        text = [
            f"# {recipe.model} on {recipe.dataset}",
            f"Exported by lth_tf: {self.headline}. "
            f"Final test {self.metric.label} of its training: "
            f"{self.metric.text(self.result.test_accuracy_final)}.",
            self.signature,
            "\n".join(f"- `{FORMATS[name].usage}`" for name in self.notes),
            "\n".join(f"- {line}" for line in self.lines),
            self.gains.markdown() if self.gains else "",
        ]
        return "\n\n".join(part.strip() for part in text if part) + "\n"
