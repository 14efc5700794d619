"""The wrapper that holds masks: tfmot's `PruneLowMagnitude`, with masks set from outside.

tfmot asks a layer which of its weights are pruned (`get_prunable_weights`); here every layer
answers with its kernels (`lth_tf.pruning.prunable`), those of the layers inside it among them. So
one wrapper masks a dense layer, both kernels of a separable convolution, a recurrent layer's cell,
attention's projections and whatever a user's layer holds.

What the subclass mends:

- Its masks stay as they are set. tfmot's own rule ranks all weights anew at each update, pruned
  ones included, and would bring pruned weights back.
- Under mixed precision tfmot reads the kernel in half precision and writes it back, which rounds
  the float32 weights at every forward pass. Here the mask is applied in float32.
- On several devices tfmot averages the masked kernels over all of them at every forward pass.
  Here each device masks its own copy, which needs no communication and gives the same.
- tfmot makes masks before the layer has been called. Many layers have no weights until then.
- It takes one argument besides `training`, and keeps Keras's masks from the layer. Attention takes
  several, and so do recurrent layers.
"""

import collections
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_model_optimization.python.core.sparsity.keras import (
    pruning_schedule,
    pruning_wrapper,
)

from lth_tf.pruning.kernels import kernels, named_weights
from lth_tf.pruning.layer_state import copy_state
from lth_tf.pruning.prunable import EMBEDDINGS, is_maskable, prunables
from lth_tf.pruning.walk import copy_model, unwrap, walk


class FixedMask(pruning_schedule.PruningSchedule):
    """A schedule that never changes the mask."""

    def __call__(self, step: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns that no update is due, and a sparsity that is not used."""
        return tf.constant(False), tf.constant(0.0)

    def get_config(self) -> dict[str, Any]:
        """Returns the class name; there is nothing to configure."""
        return {"class_name": type(self).__name__, "config": {}}


@keras.saving.register_keras_serializable("lth_tf")
class MaskedLayer(pruning_wrapper.PruneLowMagnitude):
    """A layer whose kernels are multiplied by fixed masks.

    At every call the pruned weights are set to zero, then the layer runs. The wrapper keeps
    float32 and leaves casting to the layer, which has the model's precision policy.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        places: Sequence[int] | None = None,
        after_updates: bool = True,
        **kwargs: Any,
    ) -> None:
        """Wraps a layer that `is_maskable`, its masks all ones.

        Args:
            layer: the layer.
            places: which of its kernels have a mask, by their places in `prunables`; all but
                embeddings by default.
            after_updates: whether pruned weights are zeroed after each of an optimizer's updates as
                well, so that they are zero whenever somebody looks.
            **kwargs: of Keras's.
        """
        kwargs.pop("pruning_schedule", None)
        kwargs.update(dtype="float32", autocast=False)
        layer.get_prunable_weights = self._masked_weights
        super().__init__(layer, FixedMask(), **kwargs)
        self._places = None if places is None else tuple(places)
        self._after_updates = after_updates
        self.supports_masking = layer.supports_masking

    def _masked_weights(self) -> list[tf.Variable]:
        """Answers tfmot for the layer."""
        there = prunables(self.layer)
        if self._places is None:
            return [each.variable for each in there if not each.belongs_to(EMBEDDINGS)]
        return [there[place].variable for place in self._places]

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's configuration and which of its kernels have a mask."""
        # Not tfmot's: its schedule is always the same.
        config = super(pruning_wrapper.PruneLowMagnitude, self).get_config()
        return {**config, "places": self._places, "after_updates": self._after_updates}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "MaskedLayer":
        """Makes the layer of what `get_config` returned."""
        config = dict(config)
        layer = keras.layers.deserialize(config.pop("layer"), custom_objects)
        return cls(layer, **config)

    def build(self, input_shape: Any = None) -> None:
        """Leaves building to the first call."""
        self.built = True

    def call(self, inputs: Any, *args: Any, mask: Any = None, **kwargs: Any) -> Any:
        """Zeroes the pruned weights, then runs the layer."""
        if mask is not None and self.layer._expects_mask_arg:
            kwargs["mask"] = mask
        # The layer learns whether it trains from its surroundings, as layers inside of others do.
        kwargs.pop("training", None)
        if self.pruning_vars:
            self.apply_mask()
            return self.layer(inputs, *args, **kwargs)
        outputs = self.layer(inputs, *args, **kwargs)
        self._make_masks()
        return outputs

    def add_weight(self, name: str | None = None, **kwargs: Any) -> tf.Variable:
        """Numbers the names of masks: .h5 files tell weights apart by them."""
        number = len(self._non_trainable_weights)
        return super().add_weight(f"{name}_{number}" if number else name, **kwargs)

    @tf.autograph.experimental.do_not_convert
    def _make_masks(self) -> None:
        with tf.init_scope():
            super().build(None)
        if self._after_updates:
            for kernel, mask, _ in self.pruning_vars:
                _constrain(kernel, mask)

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


def _constrain(kernel: tf.Variable, mask: tf.Variable) -> None:
    """Has Keras's optimizers zero the pruned weights: they apply constraints after each update."""
    constraint = kernel.constraint or (lambda value: value)
    variable = getattr(kernel, "_variable", kernel)
    variable._constraint = lambda value: tf.math.multiply_no_nan(constraint(value), mask)


class MaskedKernel(NamedTuple):
    """A kernel and its mask.

    Attributes:
        kernel: the variable.
        mask: a variable of the kernel's shape, ones and zeros.
    """

    kernel: tf.Variable
    mask: tf.Variable


def masking(
    model: keras.Model, names: Container[str] | None = None, after_updates: bool = True
) -> Callable[[keras.layers.Layer, keras.layers.Layer], keras.layers.Layer]:
    """Returns a function that wraps the copy of a layer where the layer has kernels to be masked.

    Args:
        model: the model whose layers are copied.
        names: the kernels that have a mask; all but embeddings by default.
        after_updates: see `MaskedLayer`.
    """
    places: dict[int, list[int]] = {}
    if names is not None:
        layers, seen = walk(model), collections.Counter()
        for kernel in kernels(model):
            wanted = places.setdefault(id(layers[kernel.layer]), [])
            if kernel.name in names:
                wanted.append(seen[kernel.layer])
            seen[kernel.layer] += 1

    def mask(layer: keras.layers.Layer, copy: keras.layers.Layer) -> keras.layers.Layer:
        if unwrap(copy) is not copy:
            return copy
        if names is None:
            return MaskedLayer(copy, None, after_updates) if is_maskable(layer) else copy
        wanted = places.get(id(layer))
        return MaskedLayer(copy, wanted, after_updates) if wanted else copy

    return mask


def mask_layers(model: keras.Model, names: Container[str] | None = None) -> keras.Model:
    """Copies a functional or Sequential model, its kernels masked, masks all ones.

    Args:
        model: the model.
        names: the kernels that have a mask; all but embeddings by default.

    Raises:
        UserError: if a layer cannot be copied.
    """
    mask = masking(model, names)
    masked = copy_model(
        model, lambda layer: mask(layer, layer.__class__.from_config(layer.get_config()))
    )
    copy_state(model, masked)
    return masked


def strip(model: keras.Model) -> keras.Model:
    """Copies a masked model as a plain one, its pruned weights zero.

    Args:
        model: what `mask_layers` made; it is left as it was, but for its pruned weights.

    Raises:
        UserError: if a layer cannot be copied.
    """

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        plain = unwrap(layer)
        return plain.__class__.from_config(plain.get_config())

    apply_masks(model)
    stripped = copy_model(model, copy)
    copy_state(model, stripped)
    return stripped


def masked_layers(model: keras.Model) -> list[MaskedLayer]:
    """Returns a model's wrapped layers."""
    return [layer for layer in walk(model).values() if isinstance(layer, MaskedLayer)]


def masked_kernels(model: keras.Model) -> dict[str, MaskedKernel]:
    """Returns a model's masked kernels by name."""
    names = {id(variable): name for name, variable in named_weights(model).items()}
    return {
        names[id(kernel)]: MaskedKernel(kernel, mask)
        for layer in masked_layers(model)
        for kernel, mask, _ in layer.pruning_vars
    }


def set_masks(model: keras.Model, masks: Mapping[str, np.ndarray]) -> None:
    """Sets the masks by kernel name, ones where `masks` has none, and zeroes the pruned weights.

    Args:
        model: a model with wrapped layers.
        masks: boolean arrays of the kernels' shapes.

    Raises:
        ValueError: if a mask fits no masked kernel.
    """
    there = masked_kernels(model)
    for name in masks:
        if name not in there:
            raise ValueError(f"{name}: no layer holds this mask; there are {', '.join(there)}")
    for name, (_, variable) in there.items():
        mask = masks.get(name, np.ones(variable.shape))
        variable.assign(mask.astype(variable.dtype.as_numpy_dtype))
    apply_masks(model)


def apply_masks(model: keras.Model) -> None:
    """Zeroes the pruned weights of all layers."""
    with model.distribute_strategy.scope():
        for layer in masked_layers(model):
            layer.apply_mask()


def get_masks(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the masks by kernel name, boolean arrays."""
    return {name: mask.numpy() != 0 for name, (_, mask) in masked_kernels(model).items()}
