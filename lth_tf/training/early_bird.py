"""Early-Bird (You et al. 2020): masks drawn from a running training once they hardly change.

Before each epoch the mask of each level is made of the weights as they are. A level's mask is drawn
when it differs from each of the four before it in at most a tenth of its places (a normalised
Hamming distance of 0.1), as the original's queue of five has it; if it never does, at the end. A
place is a weight, or, as in the original, a filter, ranked by batch normalisation's scale of it.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from lth_tf.arrays import Arrays
from lth_tf.pruning.densities import Counts
from lth_tf.pruning.masks import Masks, prune_to
from lth_tf.pruning.packing import pack, unpack

_QUEUE = 5
_FARTHEST = 0.1


@dataclasses.dataclass(frozen=True)
class EarlyBird:
    """What masks are drawn, and when they are looked at.

    Attributes:
        left: how many places each level leaves of kernels that are ranked together.
        shapes: the shape of each of these kernels' masks, by name.
        iterations: the rising iterations at which masks are looked at, from 0 to the last.
        ranked_by: the weight, of that shape, whose magnitudes rank a kernel's places, by kernel
            name; of those that are not there the kernel itself.
    """

    left: Mapping[int, Counts]
    shapes: Mapping[str, tuple[int, ...]]
    iterations: tuple[int, ...]
    ranked_by: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class MaskQueue:
    """The last masks of a level, first in, first out.

    Attributes:
        masks: the last five at most; only the one that was drawn once it is.
        drawn_at: the iteration at which the mask was drawn; None before.
    """

    masks: list[Masks] = dataclasses.field(default_factory=list)
    drawn_at: int | None = None

    def add(self, iteration: int, masks: Masks, is_last: bool = False) -> None:
        """Adds the newest masks, and draws them if they are stable or the last.

        Args:
            iteration: iterations trained.
            masks: boolean arrays by kernel.
            is_last: whether the training ends here.
        """
        self.masks = [*self.masks, masks][-_QUEUE:]
        near = all(distance(masks, earlier) <= _FARTHEST for earlier in self.masks[:-1])
        if is_last or (near and len(self.masks) == _QUEUE):
            self.masks, self.drawn_at = [masks], iteration


def distance(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> float:
    """Returns the share of places in which masks of the same kernels differ.

    Args:
        one: boolean arrays by kernel.
        other: likewise.
    """
    differing = sum(np.count_nonzero(mask ^ other[name]) for name, mask in one.items())
    return differing / sum(mask.size for mask in one.values())


class EarlyBirdSearch:
    """The queues of all levels in one training.

    Attributes:
        looks_at: the name of the weight that is looked at for each kernel, by the kernel's name.
    """

    def __init__(self, early_bird: EarlyBird, kept: Mapping[str, np.ndarray]) -> None:
        """Makes the queues.

        Args:
            early_bird: what masks are drawn, and when.
            kept: what `arrays` returned before an interruption; empty for a new training.
        """
        self.looks_at = {name: early_bird.ranked_by.get(name, name) for name in early_bird.shapes}
        self._early_bird = early_bird
        self._queues = {level: _queue(kept, level, early_bird) for level in early_bird.left}

    def look(self, iteration: int, weights: Mapping[str, np.ndarray]) -> None:
        """Makes the masks of all levels that have none yet, and draws those that are stable.

        Args:
            iteration: iterations trained.
            weights: what is looked at, as it is at this time, by its name.
        """
        shapes = self._early_bird.shapes
        scores = {name: np.abs(weights[looked_at]) for name, looked_at in self.looks_at.items()}
        dense = {name: np.ones(shape, bool) for name, shape in shapes.items()}
        is_last = iteration == self._early_bird.iterations[-1]
        for level, queue in self._queues.items():
            if queue.drawn_at is None:
                masks = prune_to(scores, dense, self._early_bird.left[level])
                queue.add(iteration, masks, is_last)

    @property
    def arrays(self) -> Arrays:
        """The queues as arrays: packed masks by `level/place/kernel`, and `level/drawn_at`."""
        found = {}
        for level, queue in self._queues.items():
            for place, masks in enumerate(queue.masks):
                found |= {f"{level}/{place}/{name}": pack(mask) for name, mask in masks.items()}
            if queue.drawn_at is not None:
                found[f"{level}/drawn_at"] = np.array([queue.drawn_at])
        return found


def drawn_at(arrays: Mapping[str, np.ndarray], level: int) -> int:
    """Returns the iteration at which a level's mask was drawn.

    Args:
        arrays: those that a finished training has left.
        level: the level.
    """
    return int(arrays[f"{level}/drawn_at"][0])


def drawn_masks(
    arrays: Mapping[str, np.ndarray], level: int, shapes: Mapping[str, tuple[int, ...]]
) -> Masks:
    """Returns the masks that were drawn for a level; kernels that are never pruned are whole.

    Args:
        arrays: those that a finished training has left.
        level: the level.
        shapes: the kernels' shapes.
    """
    names = {name: f"{level}/0/{name}" for name in shapes}
    return {
        name: unpack(arrays[key], shapes[name]) if key in arrays else np.ones(shapes[name], bool)
        for name, key in names.items()
    }


def _queue(kept: Mapping[str, np.ndarray], level: int, early_bird: EarlyBird) -> MaskQueue:
    queue = MaskQueue()
    while any(key.startswith(f"{level}/{len(queue.masks)}/") for key in kept):
        place = len(queue.masks)
        queue.masks.append(
            {
                name: unpack(kept[f"{level}/{place}/{name}"], shape)
                for name, shape in early_bird.shapes.items()
            }
        )
    if f"{level}/drawn_at" in kept:
        queue.drawn_at = drawn_at(kept, level)
    return queue
