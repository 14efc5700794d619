"""A user's network: drawn from a seed, the same names each time; what cannot be pruned is told."""

import random

import numpy as np
import pytest
import tf_keras as keras

from lth_tf.errors import UserError
from lth_tf.models.fingerprint import fingerprint
from lth_tf.models.user_model import build_user_model
from lth_tf.pruning.kernels import snapshot

L = keras.layers


def compiled(model):
    model.compile(loss="mse")
    return model


def unnamed():
    inputs = keras.Input(4)
    x = L.Dense(4)(L.Dense(4)(inputs))
    return compiled(keras.Model(inputs, x + inputs))


def test_a_seed_gives_the_same_weights_and_names_and_leaves_other_generators_alone():
    np.random.seed(5)
    random.seed(5)
    expected = np.random.random(), random.random()
    np.random.seed(5)
    random.seed(5)
    first, again, other = (
        snapshot(build_user_model(unnamed, "unnamed", seed)) for seed in (1, 1, 2)
    )
    assert (np.random.random(), random.random()) == expected
    assert first.keys() == again.keys() == other.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert not np.array_equal(first["dense/kernel"], other["dense/kernel"])
    assert not np.array_equal(first["dense/kernel"], first["dense_1/kernel"])


def test_a_fingerprint_tells_functions_without_a_source_apart():
    model = unnamed()
    texts = ("x * 2", "x * 3000", "abs(x)", "min(x)", "[y * 2 for y in x]", "[y * 3 for y in x]")
    found = []
    for text in (*texts, *texts):
        names = {"__name__": "mine"}
        exec(f"def loss(x):\n    return {text}", names)
        found.append(fingerprint(model, {}, [names["loss"]]))
    assert found[: len(texts)] == found[len(texts) :]
    assert len(set(found)) == len(texts)


class Subclassed(keras.Model):
    """A model whose layers cannot be seen."""

    def call(self, inputs):  # noqa: D102
        return inputs


REFUSED = {
    "subclassed": (lambda: compiled(Subclassed()), "subclassed model"),
    "no input": (lambda: compiled(keras.Sequential([L.Dense(2)])), "without an input shape"),
    "not compiled": (
        lambda: keras.Sequential([keras.Input(4), L.Dense(2)]),
        r"model.compile\(loss",
    ),
    "no model": (lambda: 3, "must return a tf_keras or Keras 3 model, not a int"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refuses(what):
    make, message = REFUSED[what]
    with pytest.raises(UserError, match=f"--model=mine:make: .*{message}"):
        build_user_model(make, "mine:make", 0)
