"""Verification: does a file, loaded by a new process, do what the network did?"""

import dataclasses

import numpy as np

from lth_tf.errors import UserError
from lth_tf.formats.process import File, file_logits

# Of the largest logit: what another order of the same float32 sums may change in a file that is
# right (networks of the paper measured up to 2e-6 between Keras and TFLite), and as a rule does.
_ROUNDING, _USUAL = 1e-4, 1e-6
_CHANGED = 0.02  # of the answers, at most, may change by storing weights in fewer bits


@dataclasses.dataclass(frozen=True, eq=False)
class Expected:
    """What a file's network must do on the test set.

    Attributes:
        images: uint8 [n, height, width, channels], or a user's network's inputs [n, ...].
        labels: int [n]; None where the outputs are no logits of classes.
        logits: the network's, [n, classes], or other outputs [n, ...].
        right: right answers that the training counted; None where it counted none.
        comparable: whether it counted them in float32, so that the file must give as many.
        trained: whether the weights are the trained ones.
    """

    images: np.ndarray
    labels: np.ndarray | None
    logits: np.ndarray
    right: int | None
    comparable: bool = True
    trained: bool = True


def verify(file: File, expected: Expected, exact: bool) -> str:
    """Runs a file on the test set in a new process and compares; see `compare`.

    Args:
        file: format and path.
        expected: what it must do.
        exact: whether the file has float32 weights.

    Returns:
        A line that says how it compares.

    Raises:
        UserError: if it cannot be loaded, or does something else.
    """
    logits = file_logits(file, expected.images, expected.trained)
    try:
        return compare(logits, expected, exact)
    except UserError as error:
        raise UserError(f"{file[1].name}: {error}; nothing was exported") from None


def compare(logits: np.ndarray, expected: Expected, exact: bool) -> str:
    """Compares a file's logits with what they must be.

    A file in float32 must give the network's logits but for rounding, and exactly as many right
    answers as the training counted; but an image whose two highest logits are nearer to each other
    than rounding reaches may go either way (of 76 LeNets on 10,000 images each, one in all). One
    with fewer bits must give the network's answer for nearly all images.

    Args:
        logits: the file's, [n, classes].
        expected: what it must do.
        exact: whether the file has float32 weights.

    Returns:
        A line that says how it compares.

    Raises:
        UserError: if it does something else.
    """
    if logits.shape != expected.logits.shape or not np.isfinite(logits).all():
        raise UserError(f"must give finite logits {list(expected.logits.shape)}, but does not")
    if expected.labels is None:
        return _compare_outputs(logits, expected.logits, exact)
    answers, wanted = logits.argmax(-1), expected.logits.argmax(-1)
    right, count = int((answers == expected.labels).sum()), len(answers)
    counted = f"{right:,} of {count:,} test images right"
    if expected.right is not None:
        counted += f", {expected.right:,} in results.csv"
    if not exact:
        changed = int((answers != wanted).sum())
        if changed > _CHANGED * count:
            raise UserError(
                f"must give the float32 network's answer for {1 - _CHANGED:.0%} of the test "
                f"images, but {changed:,} of {count:,} differ"
            )
        return f"{counted}; {changed:,} answers differ from the float32 network's"
    largest = np.abs(expected.logits).max() or 1
    difference = np.abs(logits - expected.logits).max() / largest
    if not difference <= _ROUNDING:  # nor nan
        raise UserError(
            "must give the network's logits but for rounding, but they differ by "
            f"{difference:.0e} of the largest"
        )
    if expected.right is not None and expected.comparable:
        either_way = _either_way(expected.logits, max(difference, _USUAL) * largest)
        if abs(right - expected.right) > either_way:
            raise UserError(f"must be right as often as its training was, but has {counted}")
    if not difference:
        return f"{counted}; logits equal to the bit"
    return f"{counted}; logits differ by at most {difference:.0e} of the largest"


def _compare_outputs(outputs: np.ndarray, expected: np.ndarray, exact: bool) -> str:
    """Compares outputs that are no logits: none is right or wrong, all must be near."""
    difference = np.abs(outputs - expected).max() / (np.abs(expected).max() or 1)
    most = _ROUNDING if exact else _CHANGED
    if not difference <= most:  # nor nan
        raise UserError(
            f"must give the network's outputs but for {most:.0e} of the largest, but they differ "
            f"by {difference:.0e}"
        )
    count = f"{len(outputs):,} test examples"
    return f"outputs of {count} differ by at most {difference:.0e} of the largest"


def _either_way(logits: np.ndarray, rounding: float) -> int:
    """Counts the images whose answer rounding may change."""
    second, first = np.sort(logits, axis=-1)[:, -2:].T
    return int((first - second <= 2 * rounding).sum())
