"""The plan: an experiment as a list of trainings with their needs, built before anything runs."""

import dataclasses

from lth_tf.errors import UserError
from lth_tf.recipe import Recipe, digest

DENSE = "dense"
TICKET = "ticket"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """An experiment: a recipe, pruned round by round, in several replicates.

    The recipe and the seed are what it is; rounds and replicates may grow when it is continued.

    Attributes:
        recipe: what each training is.
        rounds: number of pruned trainings after the dense one.
        replicates: number of repetitions, each with streams of its own.
        seed: the one seed that all randomness comes from.
    """

    recipe: Recipe
    rounds: int
    replicates: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("rounds", 0), ("replicates", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UserError(f"--{name}={getattr(self, name)}: must be at least {least}")

    @property
    def name(self) -> str:
        """The default name of its run directory; another recipe or seed has another name."""
        recipe = self.recipe
        code = digest({"recipe": recipe.to_json(), "seed": self.seed})
        dataset = recipe.dataset.replace("/", "_").replace(":", "_")
        return f"{recipe.model}-{dataset}-iterative-{code}"


@dataclasses.dataclass(frozen=True, order=True)
class Training:
    """One training of the plan.

    Attributes:
        replicate: the replicate it belongs to.
        level: number of prunings its mask has been through.
        arm: what the mask is trained with: "dense" at level 0, "ticket" after it.
    """

    replicate: int
    level: int
    arm: str

    @property
    def path(self) -> str:
        """Its folder inside the run directory."""
        return f"replicate_{self.replicate:02d}/level_{self.level:02d}/{self.arm}"

    @property
    def parent(self) -> "Training | None":
        """The training whose final weights its mask is pruned from; None for the dense network."""
        if self.level == 0:
            return None
        above = self.level - 1
        return Training(self.replicate, above, TICKET if above else DENSE)

    @property
    def dense(self) -> "Training":
        """The dense training of its replicate, which has the weights to rewind to."""
        return Training(self.replicate, 0, DENSE)


def make_plan(experiment: Experiment) -> list[Training]:
    """Lists an experiment's trainings, each behind those it needs."""
    return [
        Training(replicate, level, TICKET if level else DENSE)
        for replicate in range(experiment.replicates)
        for level in range(experiment.rounds + 1)
    ]
