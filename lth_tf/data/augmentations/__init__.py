"""Augmentations of training images, one file each: pure functions of images and of random draws.

All randomness comes from the draws, which are a function of (stream, iteration), so that a training
goes on where it stopped. A user's is `package.module:function`, a function with an
attribute `draws`; or it is registered by an installed package (see `lth_tf.registry`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lth_tf.errors import UserError
from lth_tf.importing import import_function, names_function
from lth_tf.registry import Registry

if TYPE_CHECKING:
    import tensorflow as tf

_TRIED = 8  # images


@dataclass(frozen=True)
class Augmentation:
    """A way to augment images.

    Attributes:
        name: what --augment calls it.
        draws: how many random numbers each image takes.
        function: turns images [b, H, W, C], as the data set has them (uint8, values 0 to 255), and
            draws, float32 [b, draws], uniform in [0, 1), into images of the same shape and type, by
            TensorFlow's functions.
        place: where it stands in lists.
    """

    name: str
    draws: int
    function: "Callable[[tf.Tensor, tf.Tensor], tf.Tensor]"
    place: int = 1_000

    def __call__(self, images: "tf.Tensor", draws: "tf.Tensor") -> "tf.Tensor":
        """Augments images; see `function`."""
        return self.function(images, draws)

    def check(self, images: Any) -> None:
        """Tries it on some images, before anything is trained.

        Args:
            images: the training inputs, [n, ...].

        Raises:
            UserError: if it fails on them, returns something unlike them, or draws at random
                itself.
        """
        if not self.draws:
            return
        if not isinstance(images, np.ndarray):
            raise UserError(f"--augment={self.name}: must be none where inputs are several arrays")
        taken = f"{images.dtype} images of shape {images.shape[1:]}"
        try:
            first, *others = [*self._tried(images), *self._tried(images)]
        except Exception as error:  # it is anybody's code
            raise UserError(
                f"--augment={self.name}: must take {taken}, but {_cause(error)}"
            ) from error
        if (first.dtype, first.shape[1:]) != (images.dtype, images.shape[1:]):
            raise UserError(
                f"--augment={self.name}: must return {taken}, as it takes, found "
                f"{first.dtype} of shape {first.shape[1:]}"
            )
        tried = images[:_TRIED]
        if first.shape != tried.shape:  # or they would no longer be those of their labels
            raise UserError(
                f"--augment={self.name}: must return as many images as it takes, found shape "
                f"{first.shape} for {tried.shape}"
            )
        if not all(np.array_equal(first, other) for other in others):
            raise UserError(
                f"--augment={self.name}: must return the same images for the same draws, all its "
                "randomness from them, so that a training can be continued"
            )

    def compiles(self, images: np.ndarray) -> bool:
        """Says whether XLA can compile it for some images."""
        if not self.draws:
            return True
        try:
            self._tried(images, jit_compile=True)
        except Exception:  # TensorFlow's errors of this kind have no class of their own
            return False
        return True

    def _tried(self, images: np.ndarray, jit_compile: bool = False) -> list[np.ndarray]:
        """Returns what two calls of the compiled function make of some images."""
        import tensorflow as tf

        some = images[:_TRIED]
        draws = np.random.default_rng(0).random((len(some), self.draws), np.float32)
        # What is random in Python shows when it is traced anew, TensorFlow's with a seed set before
        # when it is called again.
        compiled = tf.function(lambda *args: self.function(*args), jit_compile=jit_compile)
        arguments = tf.constant(some), tf.constant(draws)
        concrete = compiled.get_concrete_function(*arguments)
        return [concrete(*arguments).numpy() for _ in range(2)]


def _cause(error: Exception) -> str:
    """Returns the line of an error that says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0] == "in user code:":  # TensorFlow's own traceback, then the error
        return lines[-1]
    return ": ".join([type(error).__name__, *lines[:1]])


AUGMENTATIONS: Registry[Augmentation] = Registry("augment", __name__, "package.module:function")


def augmentation(name: str) -> Augmentation:
    """Returns the augmentation of a name.

    Args:
        name: one of `AUGMENTATIONS`, or `package.module:function`: a function as `Augmentation`
            has it, with an attribute `draws` that says how many random numbers each image takes.

    Raises:
        UserError: if there is none.
    """
    if not names_function(name):
        return AUGMENTATIONS[name]
    function = import_function("augment", name)
    draws = getattr(function, "draws", None)
    if not isinstance(draws, int) or draws < 1:
        short = name.partition(":")[2]
        raise UserError(
            f"--augment={name}: must say how many random numbers each image takes, as in "
            f"{short}.draws = 3"
        )
    return Augmentation(name, draws, function)
