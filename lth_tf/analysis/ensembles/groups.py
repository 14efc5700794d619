"""Groups: which trainings of runs make up ensembles that are worth comparing."""

import dataclasses
from collections.abc import Sequence

from lth_tf.analysis.figures.levels import listed
from lth_tf.arms.reorder import Reorder
from lth_tf.errors import UserError
from lth_tf.runs.experiment import DENSE, TICKET, Training, kind_of
from lth_tf.runs.results import Result
from lth_tf.runs.run import Run

_FEW = 5  # members of a group where there is one ticket of a kind only
_EQUAL = 0.1  # how far apart, relatively, two sizes are that count as equal


@dataclasses.dataclass(frozen=True)
class Group:
    """Trainings of one run whose networks vote together.

    Attributes:
        name: what they are.
        run: the run.
        level: that of the tickets that all groups are compared at.
        results: those of the trainings.
    """

    name: str
    run: Run
    level: int
    results: Sequence[Result]

    @property
    def trainings(self) -> list[Training]:
        """The trainings."""
        return [Training(r.replicate, r.level, r.arm) for r in self.results]

    @property
    def remaining(self) -> int:
        """The remaining kernel weights of all networks together."""
        return sum(result.remaining for result in self.results)


@dataclasses.dataclass(frozen=True)
class Groups:
    """What votes, and what is to be said of what does not.

    Attributes:
        tickets: the tickets of different theta_0, even if there is only one.
        voting: all groups of at least two members.
        notes: why others are left out.
        equal: whether there are dense networks of about the tickets' size in all.
    """

    tickets: Group
    voting: Sequence[Group]
    notes: Sequence[str]
    equal: bool


def find_groups(runs: Sequence[Run], level: int, levels: Sequence[int] = ()) -> Groups:
    """Finds the first run's groups of tickets, and the dense networks of all runs.

    As many members as there are tickets of different theta_0 make up the other groups, where there
    are so many; tickets of one theta_0 are those of the first replicate.

    Args:
        runs: the runs, on one test set; the first has the tickets.
        level: the tickets' level.
        levels: levels of the tickets of one theta_0; by default those nearest to `level`.

    Raises:
        UserError: if the runs' test sets differ, or a level has no finished ticket.
    """
    _check_same_test_set(runs)
    run = runs[0]
    tickets = Group("tickets of different θ0", run, level, _tickets(run, level))
    replicate = tickets.results[0].replicate
    of_one = [r for r in run.results if r.replicate == replicate]
    count = len(tickets.results) if len(tickets.results) > 1 else _FEW
    found = [tickets, _levels(run, of_one, level, levels, count)]
    found.append(_orders(run, of_one, level, count))
    dense = [Group("dense networks", run, level, _dense(run)[:count]) for run in runs]
    equal = [group for group in dense if _equal_size(group, tickets)]
    found += [
        dataclasses.replace(group, name="dense networks, equal size") if group in equal else group
        for group in dense
    ]
    return Groups(
        tickets=tickets,
        voting=[group for group in found if len(group.results) > 1],
        notes=[_left_out(group) for group in found if len(group.results) < 2],
        equal=bool(equal),
    )


def _check_same_test_set(runs: Sequence[Run]) -> None:
    def of(run: Run) -> str:
        return f"{run.experiment.recipe.dataset} ({run.data.test_size:,} test examples)"

    for run in runs[1:]:
        if of(run) != of(runs[0]):
            raise UserError(
                f"{run.store.folder}: must have the test set of {runs[0].name}, {of(runs[0])}; "
                f"has {of(run)}"
            )


def _tickets(run: Run, level: int) -> list[Result]:
    """Returns the tickets of a level, by replicate."""
    found = [r for r in run.results if (r.level, r.arm) == (level, TICKET)]
    if not found:
        done = sorted({r.level for r in run.results if r.arm == TICKET})
        there = f"only of levels {done[0]} to {done[-1]}" if done else "none"
        raise UserError(
            f"--level={level}: {run.store.folder} must have a finished ticket of it, has {there}"
        )
    return found


def _dense(run: Run) -> list[Result]:
    return [r for r in run.results if r.arm == DENSE]


def _levels(
    run: Run, of_one: Sequence[Result], level: int, levels: Sequence[int], count: int
) -> Group:
    """Returns tickets of one replicate: of the levels asked for, or of those nearest to one."""
    tickets = {r.level: r for r in of_one if r.arm == TICKET}
    for missing in [n for n in levels if n not in tickets]:
        raise UserError(
            f"--levels={','.join(map(str, levels))}: replicate {of_one[0].replicate} of "
            f"{run.store.folder} must have a finished ticket of level {missing}"
        )
    chosen = sorted(set(levels) or sorted(tickets, key=lambda n: (abs(n - level), n))[:count])
    name = f"tickets of one θ0, {listed(chosen)}"
    return Group(name, run, level, [tickets[n] for n in chosen])


def _orders(run: Run, of_one: Sequence[Result], level: int, count: int) -> Group:
    """Returns a ticket of one replicate and, behind it, its trainings in other orders."""
    found = [
        r
        for kind in (TICKET, Reorder.name)
        for r in of_one
        if (r.level, kind_of(r.arm)) == (level, kind)
    ]
    return Group("one ticket, several orders", run, level, found[:count])


def _equal_size(dense: Group, tickets: Group) -> bool:
    enough = min(len(dense.results), len(tickets.results)) > 1
    return enough and abs(dense.remaining / tickets.remaining - 1) <= _EQUAL


def _left_out(group: Group) -> str:
    there = len(group.results) or "none"
    hint = "; --arms=ticket,reorder trains some" if "orders" in group.name else ""
    return f"Left out: {group.name} ({group.run.name}): two are needed, {there} finished{hint}."
