"""A user's package adds an embedded set by one file and an entry point."""

import json

STRIPES = """
import numpy as np

from lth_tf.data import ImageInfo
from lth_tf.data.sources.embedded import EMBEDDED, Embedded

INFO = ImageInfo(image_shape=(6, 6, 1), classes=2, train_size=200, test_size=50)


def arrays():
    labels = np.arange(250, dtype=np.int32) % 2
    lines = 200 * (np.arange(6) % 2).astype(np.uint8)
    images = np.where(labels[:, None, None], lines[:, None], lines)[..., None]
    return images[:200], labels[:200], images[200:], labels[200:]


EMBEDDED.register(Embedded("stripes", INFO, arrays, overrides={"validation_size": 40}))
"""
CODE = """
from lth_tf import main

tiny = ["--iterations=40", "--eval_every=20", "--rounds=1", "--name=e", "--noreport"]
assert main.main(["main", "--dataset=stripes", *tiny]) == 0
assert main.main(["main", "--dataset=stripe", *tiny]) == 1
"""


def test_it_is_trained_on_like_the_projects_own_and_a_name_like_it_is_told_of_it(run_with_package):
    done = run_with_package(CODE, stripes=STRIPES)
    run = done.folder / "runs/e"
    fields = json.loads((run / "experiment.json").read_text())
    assert fields["recipe"]["validation_size"] == 40
    assert fields["data"]["image_shape"] == [6, 6, 1] and fields["data"]["train_size"] == 200
    result = json.loads((run / "replicate_00/level_01/ticket/result.json").read_text())
    assert result["test_accuracy_final"] == 1
    told = done.err.splitlines()[-1]
    assert told.startswith("lth_tf: --dataset=stripe: there is no such")
    assert "did you mean stripes" in told
