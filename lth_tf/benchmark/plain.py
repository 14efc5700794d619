"""Keras's contestants: plain `fit`, with tfmot's pruning and without."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from lth_tf.benchmark.task import VALIDATION_BATCH, Task
from lth_tf.benchmark.times import Times, add_validation
from lth_tf.data.augmentations import augmentation
from lth_tf.pruning.prunable import is_maskable
from lth_tf.recipe import Recipe
from lth_tf.training.distribution import set_threads, use_gpus_sparingly
from lth_tf.training.trainer import build_model

_SPARSITY = 0.8


class PlainFit:
    """Keras as it comes: `fit` without metrics or output, an iteration a step, and `evaluate`.

    Attributes:
        title: what it is, for a person.
    """

    def __init__(self, task: Task, pruned: bool) -> None:
        """Builds and compiles the model.

        Args:
            task: what to train.
            pruned: whether kernels are wrapped by tfmot, with its callback.
        """
        self.title = "Keras fit with tfmot's pruning" if pruned else "Keras fit"
        set_threads(task.threads)
        use_gpus_sparingly()
        self._task = task
        self._pruned = pruned
        recipe = task.recipe
        with _policy(recipe.precision):
            model = build_model(recipe, task.info, seed=0)
            if pruned:
                model = keras.models.clone_model(model, clone_function=_prunable)
            model.compile(_optimizer(recipe), keras.losses.SparseCategoricalCrossentropy(True))
        self._model = model
        self._images = tf.constant(task.images)
        self._labels = tf.constant(task.labels)
        # The same layers, so that accuracy is measured here alone: `fit` would in training as well.
        self._evaluated = keras.Model(model.inputs, model.outputs)
        self._evaluated.compile(
            loss=keras.losses.SparseCategoricalCrossentropy(True), metrics=["accuracy"]
        )
        batches = tf.data.Dataset.from_tensor_slices(task.validation).batch(VALIDATION_BATCH)
        self._validation = batches.cache().prefetch(tf.data.AUTOTUNE)
        self.validate()  # traces

    def validate(self) -> tuple[float, float]:
        """Returns the validation examples' mean loss and accuracy."""
        loss, accuracy = self._evaluated.evaluate(self._validation, verbose=0)
        return loss, accuracy

    def measure(self) -> Times:
        """Returns the seconds of an iteration."""
        task = self._task
        clock = _Clock(task.warm_up)
        callbacks: list[keras.callbacks.Callback] = [clock]
        if self._pruned:
            callbacks.append(tfmot.sparsity.keras.UpdatePruningStep())
        self._model.fit(self._batches(), epochs=1, verbose=0, callbacks=callbacks)
        seconds = clock.seconds / task.iterations
        return add_validation(seconds, self.validate, task.recipe.eval_every)

    def _batches(self) -> tf.data.Dataset:
        augment = augmentation(self._task.recipe.augment)
        draws = [self._task.recipe.batch_size, augment.draws]

        def batch(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images = tf.gather(self._images, rows)
            if augment.draws:
                images = augment(images, tf.random.uniform(draws))
            return images, tf.gather(self._labels, rows)

        batches = tf.data.Dataset.from_tensor_slices(self._task.batches)
        return batches.map(batch, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


class _Clock(keras.callbacks.Callback):
    """Times a `fit` from the end of its warm-up on."""

    # Losses stay tensors: turned into numbers at each batch they would hold `fit` up.
    _supports_tf_logs = True

    def __init__(self, warm_up: int) -> None:
        super().__init__()
        self._last = warm_up - 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == self._last:
            float(logs["loss"])
            self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        float(logs["loss"])
        self.seconds = time.perf_counter() - self._began


def _prunable(layer: keras.layers.Layer) -> keras.layers.Layer:
    copy = layer.__class__.from_config(layer.get_config())
    if not is_maskable(layer):
        return copy
    schedule = tfmot.sparsity.keras.ConstantSparsity(_SPARSITY, begin_step=0)
    # The output layer keeps float32 whatever the policy; its wrapper must as well.
    return tfmot.sparsity.keras.prune_low_magnitude(copy, schedule, dtype=copy.dtype_policy)


def _optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    common = {
        "learning_rate": recipe.learning_rate,
        "weight_decay": recipe.weight_decay or None,
    }
    optimizer = {
        "adam": lambda: keras.optimizers.Adam(**common),
        "momentum": lambda: keras.optimizers.SGD(momentum=0.9, **common),
        "sgd": lambda: keras.optimizers.SGD(**common),
    }[recipe.optimizer]()
    if recipe.weight_decay:  # of kernels alone, as all others have it
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


@contextlib.contextmanager
def _policy(precision: str) -> Iterator[None]:
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(precision)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)
