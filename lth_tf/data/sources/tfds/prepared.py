"""Image sets from TensorFlow Datasets (TFDS): found by name, prepared if need be, read to arrays.

`tensorflow_datasets` is imported inside the functions: it is slow, and a cached set needs none of
it.
"""

import difflib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from lth_tf.data.image_data import ImageData, ImageInfo
from lth_tf.data.sources.embedded import EMBEDDED
from lth_tf.data.sources.tfds.reach import any_answers, hosts
from lth_tf.errors import UserError

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_BATCH = 1024
_log = logging.getLogger(__name__)


def find(name: str, root: str) -> "tfds.core.DatasetBuilder":
    """Finds the TFDS builder of an image classification set; needs no network.

    Args:
        name: TFDS's name of the set, such as `cifar10` or `emnist/letters`.
        root: TFDS's data folder.

    Raises:
        UserError: If there is no such set, or it is not image classification with one image shape.
    """
    import tensorflow_datasets as tfds

    with _as_user_error(name, "TFDS cannot set it up"):
        try:
            builder = tfds.builder(name, data_dir=root)
        except tfds.core.DatasetNotFoundError:
            raise unknown(name) from None
        _check_features(name, builder.info)
    return builder


def unknown(name: str) -> UserError:
    """Returns the error for a name that no data set has, with the names that come close."""
    import tensorflow_datasets as tfds

    names = [*EMBEDDED, *tfds.list_builders(with_community_datasets=False)]
    close = difflib.get_close_matches(name, names)
    hint = f"did you mean {' or '.join(close)}?" if close else "use a name of TFDS's catalogue."
    return UserError(f"--dataset={name}: there is no such data set; {hint}")


def info(name: str, builder: "tfds.core.DatasetBuilder") -> ImageInfo:
    """Returns the sizes of a prepared set, from TFDS's record of it.

    Args:
        name: The set's name, for messages.
        builder: TFDS's builder of it.

    Raises:
        UserError: If the set lacks the split train or test.
    """
    splits = builder.info.splits
    missing = [split for split in ("train", "test") if split not in splits]
    if missing:
        raise UserError(
            f"--dataset={name}: it has no split {' and no split '.join(missing)} (its splits: "
            f"{', '.join(splits)}); use a set that has both, such as mnist or cifar10."
        )
    image, label = (builder.info.features[key] for key in builder.info.supervised_keys)
    sizes = (splits[split].num_examples for split in ("train", "test"))
    return ImageInfo(tuple(image.shape), label.num_classes, *sizes)


def prepare(name: str, builder: "tfds.core.DatasetBuilder", root: str) -> None:
    """Lets TFDS download and prepare a set, unless it is prepared already.

    Args:
        name: The set's name, for messages.
        builder: TFDS's builder of it.
        root: TFDS's data folder.

    Raises:
        UserError: If nothing can be downloaded (after seconds: TFDS would retry for minutes), or
            TFDS fails.
    """
    import tensorflow_datasets as tfds

    if builder.is_prepared():
        return
    sources = hosts(builder.url_infos or {})
    if sources and not any_answers(sources.values()):
        raise UserError(
            f"--dataset={name}: it is not prepared in {root}, and cannot be downloaded: no answer "
            f'from {", ".join(sources)}. Where there is network, run `python -c "import '
            f"tensorflow_datasets as tfds; tfds.load('{name}')\"`, copy the folder "
            f"~/tensorflow_datasets/{builder.name} to {root}/{builder.name} (or elsewhere, and "
            f"pass --data_dir). No network is needed for --dataset={' or '.join(EMBEDDED)}."
        )
    _log.info("Downloading and preparing %s in %s", name, root)
    with _as_user_error(name, f"TFDS cannot prepare it in {root}"):
        config = tfds.download.DownloadConfig(try_download_gcs=False)
        builder.download_and_prepare(download_config=config)


def read(name: str, builder: "tfds.core.DatasetBuilder") -> ImageData:
    """Reads a prepared set, in the order of its files.

    Args:
        name: The set's name, for messages.
        builder: TFDS's builder of it.

    Raises:
        UserError: If the set lacks a split or labels, or its files are damaged.
    """
    sizes = info(name, builder)
    with _as_user_error(name, f"{builder.data_dir} cannot be read; remove it to prepare it anew"):
        train = _read_split(name, builder, "train", sizes.train_size)
        test = _read_split(name, builder, "test", sizes.test_size)
    return ImageData(name, *train, *test, classes=sizes.classes)


def _check_features(name: str, tfds_info: "tfds.core.DatasetInfo") -> None:
    import tensorflow_datasets as tfds

    keys = tfds_info.supervised_keys or ()
    features = [tfds_info.features[key] for key in keys if isinstance(key, str)]
    problem = None
    if [type(kind) for kind in features] != [tfds.features.Image, tfds.features.ClassLabel]:
        problem = "it is not an image classification set"
    elif None in features[0].shape:
        problem = "its images differ in shape"
    elif features[0].np_dtype != np.uint8:
        problem = f"its images are {np.dtype(features[0].np_dtype)}, not uint8"
    if problem:
        raise UserError(
            f"--dataset={name}: {problem}; use a set of images of one shape, each with a class, "
            "such as mnist or cifar10."
        )


def _read_split(
    name: str, builder: "tfds.core.DatasetBuilder", split: str, size: int
) -> tuple[np.ndarray, np.ndarray]:
    import tensorflow_datasets as tfds

    image_key, _ = builder.info.supervised_keys
    images = np.empty((size, *builder.info.features[image_key].shape), np.uint8)
    labels = np.empty(size, np.int32)
    batches = builder.as_dataset(
        split=split,
        batch_size=_BATCH,
        as_supervised=True,
        # One file after another: the order then depends on nothing but the files.
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
    )
    start = 0
    for batch_images, batch_labels in tfds.as_numpy(batches):
        stop = start + len(batch_labels)
        images[start:stop], labels[start:stop] = batch_images, batch_labels
        start = stop
    if labels.min(initial=0) < 0:
        raise UserError(
            f"--dataset={name}: its {split} examples have no labels; use a set that has them, "
            "such as mnist or cifar10."
        )
    return images, labels


@contextmanager
def _as_user_error(name: str, problem: str) -> Iterator[None]:
    """Tells any failure inside TFDS in one line: its builders run, and raise, all sorts of code."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UserError(f"--dataset={name}: {problem} ({cause})") from error
