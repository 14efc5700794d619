"""Studies: questions asked of a finished run, one file each; `study` says what a study is.

A new study is a class in a file here, or in a package of one's own that announces its module by an
entry point (see `lth_tf.registry`):

    @dataclasses.dataclass(frozen=True)
    class Row:
        level: int
        loss: float

    @STUDIES.register
    @dataclasses.dataclass(frozen=True)
    class TestLoss(Study):
        replicate: int = 0  # an option: --set=test_loss.replicate=1

        name = "test_loss"
        title = "Test loss"
        help = "the tickets' loss on the test set"
        row = Row

        def compute(self, run):
            return [
                Row(training.level, run.evaluate(training).loss)
                for training in run.store.finished()
                if training.kind == "ticket" and training.replicate == self.replicate
            ]

        def table(self, rows):
            cells = [[str(row.level), f"{row.loss:.4f}"] for row in rows]
            return Table("Test loss of the tickets", ("level", "loss"), cells)

        def sentence(self, rows):
            return f"The lowest test loss of a ticket is {min(row.loss for row in rows):.4f}."

`python -m lth_tf.study RUN --studies=test_loss` then asks it, and the run's report shows it.

Studies import TensorFlow in what computes only: reports, which know no TensorFlow, read the rest.
"""

from lth_tf.registry import Registry
from lth_tf.studies.study import Study

__all__ = ["STUDIES", "Study"]

STUDIES: Registry[type[Study]] = Registry("studies", __name__)
