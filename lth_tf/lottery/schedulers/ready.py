"""What is ready: a queue of which nothing is taken before what it needs is finished."""

import heapq
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

_T = TypeVar("_T", bound=Hashable)


class ReadyQueue(Generic[_T]):
    """Items in an order, each with at most one other that it needs.

    What needs something that is no item is ready from the beginning.
    """

    def __init__(
        self,
        items: Sequence[_T],
        need: Callable[[_T], _T | None],
        group: Callable[[_T], Hashable] = lambda item: None,
    ) -> None:
        """Makes the queue.

        Args:
            items: what is to be taken, the first first.
            need: says what an item needs; None if nothing.
            group: says which group an item belongs to, of a few.
        """
        self._items, self._group = items, group
        numbers = {item: number for number, item in enumerate(items)}
        self._waiting: dict[_T, list[int]] = {}
        # A heap of numbers for each group that has any.
        self._ready: dict[Hashable, list[int]] = {}
        for number, item in enumerate(items):
            needed = need(item)
            if needed in numbers:
                self._waiting.setdefault(needed, []).append(number)
            else:
                self._add(number)

    def __bool__(self) -> bool:
        """Says whether anything can be taken now."""
        return bool(self._ready)

    def take(self, preferred: Hashable = None) -> _T:
        """Takes the first item that is ready.

        Args:
            preferred: a group whose items go before others that are ready.
        """
        group = preferred
        if group not in self._ready:
            group = min(self._ready, key=lambda each: self._ready[each][0])
        numbers = self._ready[group]
        number = heapq.heappop(numbers)
        if not numbers:
            del self._ready[group]
        return self._items[number]

    def finish(self, item: _T) -> None:
        """Makes what needs an item ready."""
        for number in self._waiting.pop(item, ()):
            self._add(number)

    def _add(self, number: int) -> None:
        heapq.heappush(self._ready.setdefault(self._group(self._items[number]), []), number)
