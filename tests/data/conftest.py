"""Data sets for the tests of lth_tf.data: a tiny one made here, and the real ones if prepared."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest


def write_tiny(root, sizes):
    """Prepares a TFDS set, lth_tiny, whose example i has i in every pixel, and class i mod 7."""
    import tensorflow_datasets as tfds

    with tfds.core.registered.skip_registration():  # so that TFDS knows it by its files only

        class LthTiny(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                features = tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=(6, 5, 3)),
                        "label": tfds.features.ClassLabel(num_classes=7),
                    }
                )
                return tfds.core.DatasetInfo(
                    builder=self, features=features, supervised_keys=("image", "label")
                )

            def _split_generators(self, dl_manager):
                return {split: self._generate_examples(size) for split, size in sizes.items()}

            def _generate_examples(self, size):
                for i in range(size):
                    yield i, {"image": np.full((6, 5, 3), i, np.uint8), "label": i % 7}

    LthTiny(data_dir=root).download_and_prepare()


@pytest.fixture(scope="session")
def tiny_source(tmp_path_factory):
    root = tmp_path_factory.mktemp("tfds")
    write_tiny(root, {"train": 40, "test": 12})
    return root


@pytest.fixture
def tiny_root(tiny_source, tmp_path):
    """A data folder with the tiny set, prepared and not yet cached."""
    root = tmp_path / "tensorflow_datasets"
    shutil.copytree(tiny_source, root)
    return root


@pytest.fixture
def untested_root(tmp_path):
    """A data folder with a tiny set that has no test split."""
    write_tiny(tmp_path, {"train": 40})
    return tmp_path


@pytest.fixture(params=["mnist", "cifar10"])
def real_name(request):
    """The name of a real set, in TFDS's default folder; skips where it is not prepared."""
    root = Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets")
    if not list(root.glob(f"{request.param}/*/dataset_info.json")):
        pytest.skip(f"{request.param} is not prepared in {root}")
    return request.param
