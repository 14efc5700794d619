"""What is ready: a queue of which nothing is taken before what it needs is finished."""

import bisect
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

_T = TypeVar("_T", bound=Hashable)


class ReadyQueue(Generic[_T]):
    """Items in an order, each with at most one other that it needs.

    What needs something that is no item is ready from the beginning.
    """

    def __init__(self, items: Sequence[_T], need: Callable[[_T], _T | None]) -> None:
        """Makes the queue.

        Args:
            items: what is to be taken, the first first.
            need: says what an item needs; None if nothing.
        """
        self._items = items
        numbers = {item: number for number, item in enumerate(items)}
        self._waiting: dict[_T, list[int]] = {}
        self._ready: list[int] = []
        for number, item in enumerate(items):
            needed = need(item)
            if needed in numbers:
                self._waiting.setdefault(needed, []).append(number)
            else:
                self._ready.append(number)

    def __bool__(self) -> bool:
        """Says whether anything can be taken now."""
        return bool(self._ready)

    def take(self, prefers: Callable[[_T], bool] = lambda item: False) -> _T:
        """Takes the first item that is ready.

        Args:
            prefers: says of an item whether it goes before others that are ready.
        """
        ready = range(len(self._ready))
        place = next((i for i in ready if prefers(self._items[self._ready[i]])), 0)
        return self._items[self._ready.pop(place)]

    def finish(self, item: _T) -> None:
        """Makes what needs an item ready."""
        for number in self._waiting.pop(item, ()):
            bisect.insort(self._ready, number)
