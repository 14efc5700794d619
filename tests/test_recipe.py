"""A recipe refuses wrong values in one line; it and the random streams are the same for ever."""

import dataclasses
import itertools
import json
import math
import subprocess
import sys

import pytest

from lth_tf import models
from lth_tf.errors import UserError
from lth_tf.paper.recipes import paper_recipe
from lth_tf.recipe import Recipe, digest
from lth_tf.runs.experiment import Experiment
from lth_tf.streams import Streams

RESNET = paper_recipe("resnet18")


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("optimizer", "lion", "one of adam, momentum, sgd"),
        ("precision", "float16", "one of float32, mixed_bfloat16, mixed_float16"),
        ("iterations", 0, "from 1 to"),
        ("batch_size", 0, "from 1 to"),
        ("validation_size", 0, "from 1 to"),
        ("eval_every", 0, "from 1 to"),
        ("warmup", -1, "from 0 to"),
        ("warmup", 30_001, r"0 to --iterations \(30000\)"),
        ("weight_decay", -1e-4, "from 0 to"),
        ("weight_decay", math.nan, "from 0 to"),
        ("weight_decay", math.inf, "from 0 to"),
        ("learning_rate", 0.0, "above 0 and at most"),
        ("learning_rate", math.inf, "above 0 and at most"),
        ("learning_rate", math.nan, "above 0 and at most"),
        ("width", 0.0, "above 0 and at most"),
        ("init_stddev", -0.1, "from 0 to 1,000"),
        ("width", math.inf, "above 0 and at most"),
        ("prune_conv", 1.0, r"0 \(off\) or inside \(0, 1\)"),
        ("prune_dense", -0.1, r"0 \(off\) or inside \(0, 1\)"),
        ("prune_output", math.nan, r"0 \(off\) or inside \(0, 1\)"),
        ("dropout", 1.0, r"0 \(off\) or inside \(0, 1\)"),
        ("lr_drops", (200, 100), "rising iterations from 1 to 30000"),
        ("lr_drops", (100, 100), "rising iterations from 1 to 30000"),
        ("marks", (0,), "rising iterations from 1 to 30000"),
        ("marks", (100, 30_001), "rising iterations from 1 to 30000"),
    ],
)
def test_wrong_values_are_refused_in_one_line(name, value, wanted):
    shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
    with pytest.raises(UserError, match=rf"^--{name}={shown}: must be .*{wanted}[^\n]*$"):
        RESNET.override(**{name: value})


@pytest.mark.parametrize("rate", [1.0, -0.1, math.nan])
def test_wrong_rates_of_layers_are_refused(rate):
    with pytest.raises(UserError, match=rf"^--prune_layers=conv\*={rate}: the rate must be 0 or"):
        RESNET.override(prune_layers=(("conv*", rate),))


def test_a_shorter_training_leaves_out_what_lies_beyond_it():
    short = RESNET.override(iterations=20_000)
    assert (short.lr_drops, short.marks) == ((20_000,), (10_000, 20_000))
    unchanged = {"lr_drops": RESNET.lr_drops, "marks": RESNET.marks, "iterations": 30_000}
    assert dataclasses.replace(short, **unchanged) == RESNET
    given = RESNET.override(iterations=500, lr_drops=(400,))
    assert (given.lr_drops, given.marks) == ((400,), ())
    with pytest.raises(UserError, match="--marks=600"):
        RESNET.override(iterations=500, marks=(600,))
    assert RESNET.override(iterations=40_000).marks == RESNET.marks
    assert RESNET.override() == RESNET


@pytest.mark.parametrize("name", models.NETWORKS)
def test_json_loses_nothing(name):
    recipe = paper_recipe(name).override(rewind=100, prune_layers=(("a", 0.5), ("b", 0.0)))
    assert recipe.model == name
    again = Recipe.from_json(json.loads(json.dumps(recipe.to_json())))
    assert again == recipe and hash(again) == hash(recipe)
    assert {recipe: 1}[again] == 1


def test_a_recipe_older_than_a_field_is_read_and_keeps_its_name():
    recipe = paper_recipe("lenet")
    newer = (
        *("width", "scaling", "search_iterations", "init_stddev", "mask_learning_rate"),
        "criterion",
    )
    old = {name: value for name, value in recipe.to_json().items() if name not in newer}
    old["score"] = "magnitude"
    assert Recipe.from_json(old) == recipe
    assert recipe.code == old
    assert Experiment(recipe=recipe, rounds=1).name == "lenet-mnist-iterative-30622e8c"
    assert recipe.override(width=0.5).code == {**old, "width": 0.5}
    moved = recipe.override(criterion="movement")
    assert moved.code == {**old, "score": "movement"} and Recipe.from_json(moved.code) == moved


@pytest.mark.parametrize("name", ["large_init_large_final", "small_init_small_final"])
def test_a_criterion_that_meant_something_else_is_read_as_another(name):
    recipe = paper_recipe("lenet").override(criterion=name)
    old = Recipe.from_json(recipe.code)
    assert old.criterion == f"{name}_with_a_1" and old != recipe
    assert Recipe.from_json(old.to_json()) == old and Recipe.from_json(recipe.to_json()) == recipe


def test_lists_are_taken_as_tuples():
    recipe = RESNET.override(marks=[100, 200], prune_layers=[["a", 0.5]])
    assert recipe == RESNET.override(marks=(100, 200), prune_layers=(("a", 0.5),))
    assert hash(recipe)


def test_digest_is_golden_and_of_the_value():
    value = {"b": [1, 2.5, None], "a": {"x": "é"}}
    assert digest(value) == digest(dict(reversed(value.items()))) == "6837b638"
    every = [paper_recipe(name) for name in models.NETWORKS]
    every += [RESNET.override(rewind=1), RESNET.override(learning_rate=0.03)]
    assert len({digest(recipe.to_json()) for recipe in every}) == len(every)


def test_streams_are_golden_in_every_process():
    code = (
        "from lth_tf.streams import Streams; s = Streams(seed=2019, replicate=3); "
        "print(s.key('init'), s.key('reinit', 2), s.generator('order', 1, 0).integers(999, size=4))"
    )
    for hash_seed in ("1", "2"):
        result = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
        )
        assert result.stdout.strip() == "1512387080 1896683524 [758 234 620 413]"


def test_streams_are_independent():
    names = itertools.product((0, 1, 2**32, 2**32 + 1), (0, 1), ("init", "order"), range(8))
    indices = [(), (0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0), (0, 0, 1)]
    drawn = [
        (streams.key(purpose, *indices[i]), *streams.generator(purpose, *indices[i]).random(2))
        for seed, replicate, purpose, i in names
        for streams in [Streams(seed, replicate)]
    ]
    assert len({key for key, *_ in drawn}) == len({tuple(d) for _, *d in drawn}) == 4 * 2 * 2 * 8
    assert all(0 <= key < 2**31 for key, *_ in drawn)
    assert (
        Streams(5, 1).generator("order", 2).random() == Streams(5, 1).generator("order", 2).random()
    )
