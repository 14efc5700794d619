"""The paper's recipes: its six networks' settings as plain values, each field with its source.

Frankle & Carbin, "The Lottery Ticket Hypothesis", ICLR 2019 (arXiv 1803.03635 v5).
"""

import dataclasses
from typing import Any

from lth_tf.importing import names_function
from lth_tf.models import NETWORKS
from lth_tf.recipe import Recipe

LENET = Recipe(
    model="lenet",
    dataset="mnist",  # Figure 2
    validation_size=5_000,  # Section 2: "a randomly-sampled 5,000 examples"
    augment="none",
    iterations=50_000,  # Figure 2
    batch_size=60,  # Figure 2
    optimizer="adam",  # Figure 2
    learning_rate=1.2e-3,  # Figure 2
    prune_conv=0.0,
    prune_dense=0.2,  # Figure 2
    prune_output=0.1,  # Section 2, footnote: the output layer at half of the rate
)
CONV2 = Recipe(
    model="conv2",
    dataset="cifar10",  # Figure 2
    validation_size=5_000,  # Section 3, as in Section 2
    augment="none",
    scaling="standardize",  # not stated; see docs/measurements.md
    iterations=20_000,  # Figure 2
    batch_size=60,  # Figure 2
    optimizer="adam",  # Figure 2
    learning_rate=2e-4,  # Figure 2
    prune_conv=0.1,  # Figure 2
    prune_dense=0.2,  # Figure 2
    prune_output=0.1,  # Section 2, footnote: the output layer at half of the rate
)
CONV4 = dataclasses.replace(
    CONV2,
    model="conv4",
    iterations=25_000,  # Figure 2
    learning_rate=3e-4,  # Figure 2
)
CONV6 = dataclasses.replace(
    CONV2,
    model="conv6",
    iterations=30_000,  # Figure 2
    learning_rate=3e-4,  # Figure 2
    prune_conv=0.15,  # Figure 2
)
RESNET18 = Recipe(
    model="resnet18",
    dataset="cifar10",  # Figure 2
    validation_size=5_000,  # Section 4, as in Section 2
    augment="flip_crop",  # Appendix I
    scaling="standardize",  # not stated; see docs/measurements.md
    iterations=30_000,  # Figure 2
    batch_size=128,  # Figure 2
    optimizer="momentum",  # Figure 2: SGD 0.1-0.01-0.001, momentum 0.9
    learning_rate=0.1,  # Figure 2
    lr_drops=(20_000, 25_000),  # Appendix I
    weight_decay=1e-4,  # Appendix I
    prune_conv=0.2,  # Figure 2
    prune_dense=0.0,  # Figure 2: the output layer is not pruned
    prune_output=0.0,
    prune_layers=(("*_shortcut", 0.0),),  # Appendix I: shortcuts are not pruned
    scope="global",  # Section 4
    marks=(10_000, 20_000, 30_000),  # Figure 8
)
VGG19 = Recipe(
    model="vgg19",
    dataset="cifar10",  # Figure 2
    validation_size=5_000,  # Section 4, as in Section 2
    augment="flip_crop",  # Appendix I
    scaling="standardize",  # not stated; see docs/measurements.md
    iterations=112_480,  # Figure 2: 112K, 160 epochs of 703 iterations
    batch_size=64,  # Figure 2
    optimizer="momentum",  # Figure 2: SGD 0.1-0.01-0.001, momentum 0.9
    learning_rate=0.1,  # Figure 2
    lr_drops=(56_240, 84_360),  # Appendix I: epochs 80 and 120
    weight_decay=1e-4,  # Appendix I
    prune_conv=0.2,  # Figure 2
    prune_dense=0.0,  # Figure 2: the output layer is not pruned
    prune_output=0.0,
    scope="global",  # Section 4
    marks=(30_000, 60_000, 112_000),  # Figure 7
)
RECIPES = {
    "lenet": LENET,
    "conv2": CONV2,
    "conv4": CONV4,
    "conv6": CONV6,
    "resnet18": RESNET18,
    "vgg19": VGG19,
}


def paper_recipe(name: str) -> Recipe:
    """Returns the paper's recipe for a network, or the default one for any other.

    Args:
        name: one of `lth_tf.models.NETWORKS`, or `package.module:function`.

    Raises:
        UserError: if there is no network of that name.
    """
    if name in RECIPES:
        return RECIPES[name]
    if not names_function(name):
        NETWORKS[name]
    return Recipe(model=name)


def differences(recipe: Recipe, other: Recipe) -> list[str]:
    """Lists the fields in which two recipes differ.

    Args:
        recipe: one recipe.
        other: another.
    """
    return [
        field.name
        for field in dataclasses.fields(Recipe)
        if getattr(recipe, field.name) != getattr(other, field.name)
    ]


def plain(value: Any) -> str:
    """Writes a field's value as texts have it: "500, 1,000", or "a=2" for a pair in a tuple."""
    if isinstance(value, tuple):
        parts = ("=".join(map(plain, v)) if isinstance(v, tuple) else plain(v) for v in value)
        return ", ".join(parts) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
