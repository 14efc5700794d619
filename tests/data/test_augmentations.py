"""Tests of flip_crop against a plain numpy version of it, and of what a user's own must be."""

import re
import sys

import numpy as np
import pytest
import tensorflow as tf

from lth_tf.data.augmentations import AUGMENTATIONS, augmentation
from lth_tf.data.augmentations.flip_crop import flip_crop
from lth_tf.errors import UserError
from lth_tf.importing import allow

COMPILED = [tf.function(flip_crop, jit_compile=jit) for jit in (False, True)]
BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))


def plain_flip_crop(images, draws):
    out = np.empty_like(images)
    for image, (flip, top, left), result in zip(images, draws, out, strict=True):
        flipped = image[:, ::-1] if flip >= 0.5 else image
        padded = np.pad(flipped, ((4, 4), (4, 4), (0, 0)))
        top, left = int(top * 9), int(left * 9)
        result[:] = padded[top : top + image.shape[0], left : left + image.shape[1]]
    return out


@pytest.mark.parametrize("augment", COMPILED, ids=["plain", "xla"])
@pytest.mark.parametrize("shape", [(64, 32, 32, 3), (7, 9, 13, 1)])
def test_agrees_with_numpy(augment, shape):
    rng = np.random.default_rng(0)
    for _ in range(5):
        images = rng.integers(0, 256, shape, np.uint8)
        draws = rng.random((shape[0], 3), np.float32)
        result = augment(images, draws)
        assert result.dtype == tf.uint8
        np.testing.assert_array_equal(result, plain_flip_crop(images, draws))


@pytest.mark.parametrize("augment", COMPILED, ids=["plain", "xla"])
def test_extreme_draws(augment):
    image = np.arange(1, 1 + 8 * 8, dtype=np.uint8).reshape(1, 8, 8, 1)

    def result(*draws):
        return augment(image, np.array([draws], np.float32)).numpy()[0, :, :, 0]

    square = image[0, :, :, 0]
    np.testing.assert_array_equal(result(0, 0.5, 0.5), square)
    np.testing.assert_array_equal(result(0.5, 0.5, 0.5), square[:, ::-1])
    corner = np.zeros_like(square)
    corner[4:, 4:] = square[:4, :4]
    np.testing.assert_array_equal(result(0, 0, 0), corner)
    corner = np.zeros_like(square)
    corner[:4, :4] = square[:, ::-1][4:, 4:]
    np.testing.assert_array_equal(result(BELOW_ONE, BELOW_ONE, BELOW_ONE), corner)


def test_batch_size_may_be_unknown():
    spec = tf.TensorSpec([None, 8, 8, 1], tf.uint8), tf.TensorSpec([None, 3], tf.float32)
    augment = tf.function(AUGMENTATIONS["flip_crop"].function, input_signature=spec)
    images, draws = np.ones((5, 8, 8, 1), np.uint8), np.full((5, 3), 0.5, np.float32)
    np.testing.assert_array_equal(augment(images, draws), images)


MODULE = """
import numpy as np
import tensorflow as tf

def brighter(images, draws):
    return images + tf.cast(draws[:, 0] * 9 + draws[:, 1] * 9, tf.uint8)[:, None, None, None]

def noisy(images, draws):
    return images + tf.cast(tf.random.uniform(tf.shape(images)) * 99, tf.uint8)

def constant(images, draws):
    return images + np.random.randint(99)

def scaled(images, draws):
    return tf.cast(images, tf.float32) / 255

def cropped(images, draws):
    return images[:, 1:]

def fewer(images, draws):
    return images[1:]

def wrong(images, draws):
    return images @ draws

def outside(images, draws):
    return tf.numpy_function(lambda images: images[::-1].copy(), [images], tf.uint8)

for function in (brighter, noisy, constant, scaled, cropped, fewer, wrong, outside):
    function.draws = 2

def silent(images, draws):
    return images

number = 3
"""
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), np.uint8)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A user's module of augmentations."""
    (tmp_path / "my_augmentations.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("LTH_TF_FUNCTIONS", "")
    names = re.findall(r"^(?:def )?(\w+)(?: =|\()", MODULE, re.MULTILINE)
    allow(*(f"my_augmentations:{name}" for name in names))
    yield "my_augmentations"
    sys.modules.pop("my_augmentations", None)


def test_a_users_own_gets_as_many_draws_as_it_says(mine):
    found = augmentation(f"{mine}:brighter")
    assert found.draws == 2
    found.check(IMAGES)
    assert found.compiles(IMAGES)
    draws = np.array([[0.0, 0.5]] * 20, np.float32)
    np.testing.assert_array_equal(found(IMAGES, draws), IMAGES + 4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("noisy", "must return the same images for the same draws"),
        ("constant", "must return the same images for the same draws"),
        ("scaled", r"must return uint8 images of shape \(6, 5, 3\), .* found float32"),
        ("cropped", r"found uint8 of shape \(5, 5, 3\)"),
        ("fewer", r"must return as many images as it takes, found shape \(7, 6, 5, 3\) for \(8, "),
        ("wrong", r"must take uint8 images of shape \(6, 5, 3\), but TypeError: Input 'y'"),
    ],
)
def test_one_that_does_not_fit_is_refused_in_a_line(mine, name, message):
    tf.random.set_seed(0)  # with which noise is the same in each new function
    with pytest.raises(UserError, match=f"^--augment={mine}:{name}: .*{message}") as caught:
        augmentation(f"{mine}:{name}").check(IMAGES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cutout", "must be one of none, flip_crop, or package.module:function$"),
        ("flip_corp", "did you mean flip_crop"),
        ("my_augmentations:silent", r"must say how many .* as in silent\.draws = 3$"),
        ("my_augmentations:number", "must name a function, not a int$"),
        ("my_augmentations:missing", "must name a function, but"),
        ("nobody:shift", "must name a function, but No module named 'nobody'$"),
    ],
)
def test_a_name_that_is_none_is_refused(mine, name, message):
    allow(name)
    with pytest.raises(UserError, match=f"^--augment={name}: .*{message}"):
        augmentation(name)


def test_inputs_of_several_arrays_are_not_augmented():
    with pytest.raises(UserError, match="--augment=flip_crop: must be none where inputs"):
        augmentation("flip_crop").check({"one": IMAGES, "two": IMAGES})
    augmentation("none").check({"one": IMAGES, "two": IMAGES})


def test_what_xla_cannot_compile_is_known(mine):
    outside = augmentation(f"{mine}:outside")
    outside.check(IMAGES)
    assert not outside.compiles(IMAGES)
    assert augmentation("flip_crop").compiles(IMAGES)
