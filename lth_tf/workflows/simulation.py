"""Simulation: how long a plan takes where so many trainings can run at the same time.

It is the schedulers' own queue, with a clock that jumps from the end of one training to the next.
"""

import heapq
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from lth_tf.lottery.schedulers.ready import ReadyQueue

_T = TypeVar("_T", bound=Hashable)


def time_taken(seconds: Mapping[_T, float], need: Callable[[_T], _T | None], workers: int) -> float:
    """Returns the seconds from the first training's start to the last one's end.

    Args:
        seconds: each training's, in the queue's order.
        need: says which training must be finished before another; None if none.
        workers: trainings that can run at the same time, at least 1.
    """
    items = list(seconds)
    ready, now = ReadyQueue(items, need), 0.0
    numbers = {item: number for number, item in enumerate(items)}
    running: list[tuple[float, int]] = []
    while ready or running:
        while ready and len(running) < workers:
            item = ready.take()
            heapq.heappush(running, (now + seconds[item], numbers[item]))
        now, number = heapq.heappop(running)
        ready.finish(items[number])
    return now


def critical_path(seconds: Mapping[_T, float], need: Callable[[_T], _T | None]) -> float:
    """Returns the seconds of the longest chain of trainings that need each other.

    No number of workers is faster.

    Args:
        seconds: each training's, each behind the one that it needs.
        need: says which training must be finished before another; None if none.
    """
    ends: dict[_T, float] = {}
    for item, length in seconds.items():
        ends[item] = ends.get(need(item), 0.0) + length
    return max(ends.values(), default=0.0)
