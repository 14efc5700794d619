"""The wrapper that holds a mask: tfmot's `PruneLowMagnitude`, with masks set from outside.

What the subclass mends:

- Its masks stay as they are set. tfmot's own rule ranks all weights anew at each update, pruned
  ones included, and would bring pruned weights back.
- Under mixed precision tfmot reads the kernel in half precision and writes it back, which rounds
  the float32 weights at every forward pass. Here the mask is applied in float32.
- On several devices tfmot averages the masked kernels over all of them at every forward pass.
  Here each device masks its own copy, which needs no communication and gives the same.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_model_optimization.python.core.sparsity.keras import (
    prune_registry,
    pruning_schedule,
    pruning_wrapper,
)

from lth_tf.pruning.layer_state import copy_state
from lth_tf.pruning.walk import copy_model, walk


class FixedMask(pruning_schedule.PruningSchedule):
    """A schedule that never changes the mask."""

    def __call__(self, step: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns that no update is due, and a sparsity that is not used."""
        return tf.constant(False), tf.constant(0.0)

    def get_config(self) -> dict[str, Any]:
        """Returns the class name; there is nothing to configure."""
        return {"class_name": type(self).__name__, "config": {}}


class MaskedLayer(pruning_wrapper.PruneLowMagnitude):
    """A dense or convolutional layer whose kernel is multiplied by a fixed mask.

    At every call the pruned weights are set to zero, then the layer runs. The wrapper keeps
    float32 and leaves casting to the layer, which has the model's precision policy.
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        """Wraps a layer that `is_maskable`, its mask all ones."""
        kwargs.pop("pruning_schedule", None)
        kwargs.update(dtype="float32", autocast=False)
        super().__init__(layer, FixedMask(), **kwargs)
        self.supports_masking = layer.supports_masking

    @property
    def mask(self) -> tf.Variable:
        """The kernel's mask: a float32 variable of the kernel's shape, ones and zeros."""
        return self.pruning_vars[0][1]

    def call(
        self, inputs: tf.Tensor, training: Any = None, mask: Any = None, **kwargs: Any
    ) -> tf.Tensor:
        """Zeroes the pruned weights, then runs the layer."""
        if mask is not None and self.layer._expects_mask_arg:
            kwargs["mask"] = mask
        self.apply_mask()
        return self.layer(inputs, **kwargs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Returns the layer's Keras mask, which says which time steps count."""
        return self.layer.compute_mask(inputs, mask)

    def apply_mask(self) -> None:
        """Zeroes the pruned weights on every device."""

        def zero_pruned(strategy: tf.distribute.Strategy) -> None:
            for kernel, mask, _ in self.pruning_vars:
                # The variable inside Keras's autocasting one is what a strategy can update.
                variable = getattr(kernel, "_variable", kernel)
                strategy.extended.update(variable, _zero_where_pruned, args=(mask,))

        replica = tf.distribute.get_replica_context()
        if replica:
            replica.merge_call(zero_pruned)
        else:
            zero_pruned(tf.distribute.get_strategy())


def _zero_where_pruned(kernel: tf.Variable, mask: tf.Variable) -> tf.Operation:
    # Exactly zero also where a training that diverged has left an infinity.
    return kernel.assign(tf.math.multiply_no_nan(kernel, mask))


def is_maskable(layer: keras.layers.Layer) -> bool:
    """Says whether a layer has a kernel that tfmot can prune, and that is trained."""
    registry = prune_registry.PruneRegistry
    return layer.trainable and hasattr(layer, "kernel") and registry.supports(layer)


def wrap(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Copies a layer, wrapped if it is maskable."""
    copy = layer.__class__.from_config(layer.get_config())
    return MaskedLayer(copy) if is_maskable(layer) else copy


def mask_layers(model: keras.Model) -> keras.Model:
    """Copies a functional or Sequential model, every maskable layer wrapped, masks all ones.

    Raises:
        UserError: if a layer cannot be copied.
    """
    masked = copy_model(model, wrap)
    copy_state(model, masked)
    return masked


def masked_layers(model: keras.Model) -> dict[str, MaskedLayer]:
    """Returns a model's wrapped layers by kernel name."""
    found = walk(model).items()
    return {f"{path}/kernel": layer for path, layer in found if isinstance(layer, MaskedLayer)}


def set_masks(model: keras.Model, masks: Mapping[str, np.ndarray]) -> None:
    """Sets the masks by kernel name, ones where none is given, and zeroes the pruned weights.

    Args:
        model: a model with wrapped layers.
        masks: boolean arrays of the kernels' shapes.

    Raises:
        ValueError: if a mask fits no wrapped layer.
    """
    layers = masked_layers(model)
    for name in masks:
        if name not in layers:
            raise ValueError(f"{name}: no layer holds this mask; there are {', '.join(layers)}")
    for name, layer in layers.items():
        mask = masks.get(name, np.ones(layer.mask.shape))
        layer.mask.assign(mask.astype(np.float32))
    apply_masks(model)


def apply_masks(model: keras.Model) -> None:
    """Zeroes the pruned weights of all layers."""
    with model.distribute_strategy.scope():
        for layer in masked_layers(model).values():
            layer.apply_mask()


def get_masks(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the masks by kernel name, boolean arrays."""
    return {name: layer.mask.numpy() != 0 for name, layer in masked_layers(model).items()}
