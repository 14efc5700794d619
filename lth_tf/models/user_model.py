"""A user's own network: what their function makes, checked, with initial weights from a seed."""

import random
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from lth_tf.errors import UserError, users_code
from lth_tf.models.keras_3 import from_keras_3, is_keras_3, reset_names

if TYPE_CHECKING:
    import tf_keras as keras

ModelFunction = Callable[[], "keras.Model"]


def build_user_model(make: ModelFunction, name: str, seed: int) -> "keras.Model":
    """Builds a user's network.

    Its initialisers draw from Keras's own seed, which is set; NumPy's and Python's generators, and
    Keras's precision policy, which a function may set, are left as they were.

    Args:
        make: returns a new compiled functional or Sequential model, of tf_keras or Keras 3.
        name: the function's name, for messages.
        seed: seed of the initial weights.

    Raises:
        UserError: if it returns something else.
    """
    import tf_keras as keras

    python, numpy = random.getstate(), np.random.get_state()
    policies = {each: each.mixed_precision.global_policy() for each in _libraries()}
    try:
        # Layers without a name are numbered; they must have the same numbers each time.
        keras.backend.reset_uids()
        reset_names()
        keras.utils.set_random_seed(seed)
        with users_code(f"--model={name}"):
            model = make()
    finally:
        for library in _libraries():
            library.mixed_precision.set_global_policy(policies.get(library, "float32"))
        random.setstate(python)
        np.random.set_state(numpy)
    what = f"--model={name}"
    if is_keras_3(model):
        model = from_keras_3(model, what)
    _check(model, what)
    return model


def _libraries() -> list[Any]:
    """Lists tf_keras, and Keras 3 if it is in use."""
    import tf_keras as keras

    return [keras, *([sys.modules["keras"]] if "keras" in sys.modules else [])]


def _check(model: Any, what: str) -> None:
    import tf_keras as keras

    if not isinstance(model, keras.Model):
        raise UserError(
            f"{what}: must return a tf_keras or Keras 3 model, not a {type(model).__name__}"
        )
    if not getattr(model, "_is_graph_network", False):
        raise UserError(
            f"{what}: returns a subclassed model or one without an input shape, whose layers "
            "cannot be found and copied; build it as a functional or Sequential model with a "
            "keras.Input"
        )
    for each in model._flatten_layers():
        if isinstance(each, keras.Model):
            _check_plain(each, what)
    if getattr(model, "_compile_config", None) is None:
        raise UserError(
            f"{what}: must be compiled with its loss and metric, as in "
            "model.compile(loss=..., metrics=[...]); the recipe has the optimizer"
        )


def _check_plain(model: Any, what: str) -> None:
    """Refuses a model, or one nested in it, whose class or attributes change what Keras's do."""
    import tf_keras as keras
    from tf_keras.src.engine.functional import Functional

    if type(model) not in (keras.Sequential, Functional):
        changed = set(vars(type(model))) & _CALLED
        does = f", whose {', '.join(sorted(changed))} would not be called" if changed else ""
        raise UserError(
            f"{what}: model {model.name} is a {type(model).__name__}{does}; it must be a plain "
            "functional or Sequential model, what its class does besides in layers or in the loss"
        )
    if replaced := set(vars(model)) & _CALLED:
        raise UserError(
            f"{what}: model {model.name} has a {', '.join(sorted(replaced))} of its own, which "
            "would not be called; put what it does in layers or in the loss"
        )


# What a subclass of Model can change of training and evaluation.
_CALLED = {
    "call",
    "train_step",
    "test_step",
    "predict_step",
    "compute_loss",
    "compute_metrics",
    "fit",
    "evaluate",
}
