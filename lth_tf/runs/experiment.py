"""The plan: an experiment as a list of trainings with their needs, built before anything runs."""

import dataclasses
import re

from lth_tf.errors import UserError, shortened
from lth_tf.recipe import Recipe, digest
from lth_tf.training.mask_schedules import FIXED, MASK_SCHEDULES, Promise

DENSE = "dense"
TICKET = "ticket"
ONE_SHOT = "one_shot"
AT_INIT = "at_init"
EARLY_BIRD = "early_bird"
EARLY_BIRD_FILTERS = "early_bird_filters"
DRAWN_EARLY = (EARLY_BIRD, EARLY_BIRD_FILTERS)
FROM_DENSE = (ONE_SHOT, *DRAWN_EARLY)  # prune the dense network to each level at once
# And the mask schedules that prune while training.
STRATEGIES = ("iterative", ONE_SHOT, AT_INIT, *DRAWN_EARLY)
ARM_NAME = r"[^\W\d][\w-]{0,99}"
_MOST = {"rounds": 10_000, "replicates": 10_000, "reinits": 1_000, "seed": 2**63 - 1}
_MOST_TRAININGS = 100_000
TRANSFER = "transfer"  # the strategy of a ticket that came from elsewhere: nothing is pruned


@dataclasses.dataclass(frozen=True, order=True)
class Training:
    """One training of the plan.

    Attributes:
        replicate: the replicate it belongs to.
        level: number of prunings its mask has been through.
        arm: what the mask is trained with: "dense" at level 0; after it "ticket", or a control
            and the number of its draw, as in "reinit_0"; at level 0 one whose name begins with
            "dense_".
    """

    replicate: int
    level: int
    arm: str

    @property
    def path(self) -> str:
        """Its folder inside the run directory."""
        return f"replicate_{self.replicate:02d}/level_{self.level:02d}/{self.arm}"

    @property
    def kind(self) -> str:
        """Its arm without the number of the draw."""
        return kind_of(self.arm)

    @property
    def draw(self) -> int:
        """The number of a control's draw; 0 for others."""
        return 0 if self.kind == self.arm else int(self.arm.rpartition("_")[2])

    @property
    def dense(self) -> "Training":
        """The dense training of its replicate, which has the weights to rewind to."""
        return Training(self.replicate, 0, DENSE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """An experiment: a recipe, pruned level by level, in several replicates and arms.

    The recipe, the strategy, the seed and the ticket are what it is; rounds, replicates, arms and
    their draws may grow when it is continued.

    Attributes:
        recipe: what each training is.
        rounds: number of levels after the dense network; of a transfer, the ticket's level.
        replicates: number of repetitions, each with streams of its own.
        seed: the one seed that all randomness comes from.
        strategy: "iterative" prunes each level's trained ticket to the next level; "one_shot"
            prunes the dense network once to each level's density (Section 2); "at_init" likewise,
            before anything is trained; "early_bird" while it trains, as soon as masks hardly
            change, and "early_bird_filters" whole filters; "gradual", or another mask schedule,
            prunes each level while it trains, or learns its mask; "transfer" trains a ticket that
            came from elsewhere, and the dense network to compare it with.
        arms: what each level's mask is trained with, the ticket among them.
        reinits: draws of each control in each replicate.
        ticket: the checksum of a transfer's ticket; None of others.
    """

    recipe: Recipe
    rounds: int
    replicates: int = 1
    seed: int = 0
    strategy: str = STRATEGIES[0]
    arms: tuple[str, ...] = (TICKET,)
    reinits: int = 1
    ticket: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "arms", tuple(self.arms))
        fewest = {"rounds": int(self.is_transfer), "replicates": 1, "seed": 0, "reinits": 1}
        for name, least in fewest.items():
            value, most = getattr(self, name), _MOST[name]
            if not least <= value <= most:
                raise UserError(
                    f"--{name}={shortened(str(value), 40)}: must be from {least} to {most:,}"
                )
        allowed = (TRANSFER,) if self.ticket else strategies()
        if self.strategy not in allowed:
            raise UserError(f"--strategy={self.strategy}: must be one of {', '.join(allowed)}")
        if TICKET not in self.arms or len(set(self.arms)) < len(self.arms):
            raise UserError(
                f"--arms={','.join(self.arms)}: must have {TICKET} among them, and each only once"
            )
        for arm in self.arms:
            if not re.fullmatch(ARM_NAME, arm):
                raise UserError(
                    f"--arms={shortened(','.join(self.arms), 200)}: {shortened(arm, 40)!r} must be "
                    f"an arm's name, as in {TICKET},reinit"
                )
        later = 1 if self.is_transfer else self.rounds
        trainings = self.replicates * (len(self.arms_of(0)) + later * len(self.arms_of(1)))
        if trainings > _MOST_TRAININGS:
            raise UserError(
                f"--rounds={self.rounds}, --replicates={self.replicates}, "
                f"--reinits={self.reinits}: must be at most {_MOST_TRAININGS:,} trainings "
                f"together, found {trainings:,}"
            )
        if self.prunes_at_init and self.recipe.rewind != "0":
            raise UserError(
                f"--rewind={self.recipe.rewind}: must be 0 with --strategy={AT_INIT}, which trains "
                "each level from the initial weights"
            )
        if self.prunes_while_training:
            MASK_SCHEDULES[self.strategy].check(self.recipe)
            if self.arms != (TICKET,) and not self.learns_masks:
                raise UserError(
                    f"--arms={','.join(self.arms)}: must be {TICKET} alone with "
                    f"--strategy={self.strategy}: there is no mask before a training that a "
                    "control could be trained with"
                )

    @property
    def is_transfer(self) -> bool:
        """Whether it trains a ticket that came from elsewhere."""
        return self.strategy == TRANSFER

    @property
    def prunes_at_init(self) -> bool:
        """Whether each level's mask is made of the initial weights alone."""
        return self.strategy == AT_INIT

    @property
    def prunes_while_training(self) -> bool:
        """Whether each level is one training from the initial weights whose masks change."""
        return self.strategy != FIXED and self.strategy in MASK_SCHEDULES

    @property
    def learns_masks(self) -> bool:
        """Whether each level is a training of the mask alone, whose weights are never trained."""
        return self.prunes_while_training and not MASK_SCHEDULES[self.strategy].trains_weights

    @property
    def plans_counts(self) -> bool:
        """Whether a level keeps as many weights as planned, not what its training makes of it."""
        if self.prunes_while_training:
            return MASK_SCHEDULES[self.strategy].promise is not Promise.FREE
        return self.strategy != EARLY_BIRD_FILTERS  # which are of different sizes

    def mask_schedule(self, training: Training) -> str:
        """Returns the name of the mask schedule that a training has."""
        changes = self.prunes_while_training and training.level > 0
        return self.strategy if changes else FIXED

    @property
    def name(self) -> str:
        """The default name of its run directory; another recipe, seed or ticket has another."""
        recipe = self.recipe
        ticket = {"ticket": self.ticket} if self.ticket else {}
        code = digest({"recipe": recipe.code, "seed": self.seed, **ticket})
        parts = (recipe.model, recipe.dataset, self.strategy, code)
        return re.sub(r"[^\w.-]+", "_", "-".join(parts), flags=re.ASCII)

    @property
    def levels(self) -> list[int]:
        """The levels that are trained; of a transfer, the dense network's and the ticket's."""
        return [0, self.rounds] if self.is_transfer else list(range(self.rounds + 1))

    def parent(self, training: Training) -> Training | None:
        """Returns the training whose final weights a mask is pruned from; None for the dense one.

        The mask of a control is pruned from the same training as the ticket's. In a transfer
        nothing is pruned, and where levels are pruned before or while they train, no training needs
        another. A control of the dense network comes from the dense network itself.
        """
        if training.arm == DENSE or self.is_transfer or self.prunes_while_training:
            return None
        if training.level and self.prunes_at_init:
            return None
        if training.level <= 1 or self.strategy in FROM_DENSE:
            return training.dense
        return Training(training.replicate, training.level - 1, TICKET)

    @property
    def concurrency(self) -> int:
        """The number of trainings that can run at the same time, once the dense ones are done.

        The dense ones are among them where no training needs another.
        """
        if self.is_transfer:
            return self.replicates * sum(len(self.arms_of(level)) for level in self.levels)
        if self.prunes_at_init or self.prunes_while_training:
            return self.replicates * (1 + self.rounds * len(self.arms_of(1)))
        levels = self.rounds if self.strategy in FROM_DENSE else 1
        return self.replicates * max(1, levels * len(self.arms_of(1)))

    def arms_of(self, level: int) -> list[str]:
        """Lists the arms of a level, a control once for each draw.

        Controls whose names begin with "dense_" are level 0's, the others those of all after it.
        """
        first = TICKET if level else DENSE
        of_dense = [arm for arm in self.arms if arm.startswith(f"{DENSE}_")]
        of_ticket = [arm for arm in self.arms if arm not in (TICKET, *of_dense)]
        drawn = of_ticket if level else of_dense
        return [first, *(f"{arm}_{i}" for arm in drawn for i in range(self.reinits))]


def strategies() -> list[str]:
    """Lists what `--strategy` can be, but for a transfer's."""
    return [*STRATEGIES, *(name for name in MASK_SCHEDULES if name != FIXED)]


def kind_of(arm: str) -> str:
    """Returns an arm's name without the number of its draw."""
    return re.sub(r"_\d+$", "", arm)


def make_plan(experiment: Experiment) -> list[Training]:
    """Lists an experiment's trainings, each behind those it needs."""
    return [
        Training(replicate, level, arm)
        for replicate in range(experiment.replicates)
        for level in experiment.levels
        for arm in experiment.arms_of(level)
    ]
