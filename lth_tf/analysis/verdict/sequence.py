"""The sequence: in which order levels are tested, fixed before looking.

The lottery ticket hypothesis (Section 1) says that *some* ticket with ||m||_0 << |theta| does as
well as the dense network. So the tests begin with the first level that is as sparse as the claim,
and go on to sparser ones up to the first that does not pass. As their order is fixed, the number of
levels needs no correction: the error over all of the sequence stays at 5 %.

Denser levels are tested the other way, from there upwards, in the same manner: the levels that
passed are one range around the first. This second sequence is no part of the claim.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from lth_tf.analysis.verdict.verdict import LevelVerdict, Tested


def in_sequence(levels: Sequence[LevelVerdict], claim_density: float) -> tuple[LevelVerdict, ...]:
    """Returns levels with the sequence that each is tested in.

    Args:
        levels: in their order, dense to sparse; where densities are learned, one may be denser
            than the level before it.
        claim_density: the most of the weights that the claim's first level has; without a level
            that is so sparse, none is tested.
    """
    sparse = (i for i, v in enumerate(levels) if v.density <= claim_density)
    first = next(sparse, len(levels))
    denser, sparser = levels[:first], levels[first:]
    passed = bool(sparser) and sparser[0].outcome.passes
    upwards = list(_tested(reversed(denser), Tested.DENSER, passed))
    return (*reversed(upwards), *_tested(sparser, Tested.CLAIM, going_on=True))


def _tested(
    levels: Iterable[LevelVerdict], sequence: Tested, going_on: bool
) -> Iterator[LevelVerdict]:
    for level in levels:
        yield dataclasses.replace(level, tested=sequence if going_on else Tested.NOT)
        going_on = going_on and level.outcome.passes
