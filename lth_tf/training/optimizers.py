"""Optimizers and learning-rate schedules in the paper's convention."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf.recipe import Recipe


@keras.saving.register_keras_serializable("lth_tf")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up from 0, then a constant rate divided by 10 at each drop; at last constant.

    The schedule runs by the training's iteration: the optimizer's own count plus `start`, the
    iteration that a rewound training begins at. The two differ because an optimizer that starts
    anew must count from 0 (Adam corrects its averages by it) while the schedule goes on from k.
    """

    def __init__(
        self,
        learning_rate: float,
        drops: tuple[int, ...] = (),
        warmup: int = 0,
        iterations: int | None = None,
    ) -> None:
        """Makes a schedule.

        Args:
            learning_rate: rate after warm-up.
            drops: rising iterations from which on the rate is a tenth of what it was.
            warmup: iterations until the rate is reached.
            iterations: the schedule's length, behind which the rate stays that of the last
                iteration; None for no end.
        """
        self.learning_rate = learning_rate
        self.drops = tuple(drops)
        self.warmup = warmup
        self.iterations = iterations
        self.start = tf.Variable(0, trainable=False, dtype=tf.int64, name="start")

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the learning rate at an optimizer's step."""
        iteration = tf.cast(step, tf.int64) + self.start
        if self.iterations:
            iteration = tf.minimum(iteration, self.iterations - 1)
        rates = [self.learning_rate / 10**i for i in range(len(self.drops) + 1)]
        passed = tf.reduce_sum(tf.cast(iteration >= tf.constant(self.drops, tf.int64), tf.int32))
        rate = tf.gather(tf.constant(rates, tf.float32), passed)
        if self.warmup:
            rate *= tf.minimum(tf.cast(iteration, tf.float32) / self.warmup, 1.0)
        return rate

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "learning_rate": self.learning_rate,
            "drops": list(self.drops),
            "warmup": self.warmup,
            "iterations": self.iterations,
        }


@keras.saving.register_keras_serializable("lth_tf")
class Adam(keras.optimizers.Adam):
    """Keras's Adam, a variable updated in one pass over memory.

    Keras writes the update as a dozen operations. Where no compiler joins them, on CPUs without
    XLA, they take a fifth of an iteration of a network with large dense layers.
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Updates one variable by its gradient.

        Args:
            gradient: of the variable's shape.
            variable: one of those that the optimizer was built for.
        """
        place = self._index_dict[self._var_key(variable)]
        step = tf.cast(self.iterations + 1, variable.dtype)
        beta_1, beta_2 = (tf.cast(b, variable.dtype) for b in (self.beta_1, self.beta_2))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].handle,
            v=self._velocities[place].handle,
            beta1_power=beta_1**step,
            beta2_power=beta_2**step,
            lr=tf.cast(self.learning_rate, variable.dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=tf.cast(self.epsilon, variable.dtype),
            grad=gradient,
        )


@keras.saving.register_keras_serializable("lth_tf")
class Momentum(keras.optimizers.SGD):
    """SGD with momentum as TensorFlow 1 (the paper's framework) and PyTorch have it.

    Keras multiplies the learning rate into the velocity, so that after a drop the old rate lives
    on in it. Here the velocity holds gradients alone: `v = m v + g`, `w = w - rate v`.
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Updates one variable by its gradient.

        Args:
            gradient: of the variable's shape.
            variable: one of those that the optimizer was built for.
        """
        velocity = self.momentums[self._index_dict[self._var_key(variable)]]
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=velocity.handle,
            lr=tf.cast(self.learning_rate, variable.dtype),
            grad=gradient,
            momentum=tf.cast(self.momentum, variable.dtype),
        )


def make_optimizer(
    recipe: Recipe, compiled: keras.optimizers.Optimizer | None = None
) -> keras.optimizers.Optimizer:
    """Returns a new optimizer for a recipe, with loss scaling where float16 needs it.

    Args:
        recipe: the recipe.
        compiled: what a user's model was compiled with. Keras scales the loss of a model whose
            policy is mixed_float16, and skips updates that overflow: so does the new optimizer.
    """
    schedule = Schedule(recipe.learning_rate, recipe.lr_drops, recipe.warmup, recipe.iterations)
    # The training loop compiles the update together with the rest.
    common = {"learning_rate": schedule, "jit_compile": False}
    optimizer = {
        "adam": lambda: Adam(**common),
        "momentum": lambda: Momentum(momentum=0.9, **common),
        "sgd": lambda: keras.optimizers.SGD(**common),
    }[recipe.optimizer]()
    scaling = keras.mixed_precision.LossScaleOptimizer
    if isinstance(compiled, scaling):
        return scaling(**{**compiled.get_config(), "inner_optimizer": optimizer})
    return scaling(optimizer) if recipe.precision == "mixed_float16" else optimizer


def optimizer_state(optimizer: keras.optimizers.Optimizer) -> list[tf.Variable]:
    """Returns all variables of a built optimizer, a float16 loss scale's behind the others."""
    found = list(optimizer.variables)
    if isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
        # Keras offers no public way to its variables.
        scale = optimizer._loss_scale
        found += [scale.current_loss_scale, scale.counter]
    return found


def optimizer_arrays(optimizer: keras.optimizers.Optimizer) -> dict[str, np.ndarray]:
    """Returns a copy of an optimizer's variables by index."""
    return {str(i): v.numpy() for i, v in enumerate(optimizer_state(optimizer))}


def zero_slots(
    optimizer: keras.optimizers.Optimizer, variable: tf.Variable, where: np.ndarray
) -> None:
    """Zeroes the averages that an optimizer keeps of some weights, as of weights that are new.

    Args:
        optimizer: one of `make_optimizer`, built.
        variable: a variable of the model.
        where: boolean array of its shape.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    place = inner._index_dict[inner._var_key(variable)]
    for name in ("momentums", "_momentums", "_velocities"):
        if slots := getattr(inner, name, None):
            slots[place].assign(np.where(where, np.float32(0), slots[place].numpy()))


def schedule_of(optimizer: keras.optimizers.Optimizer) -> Any:
    """Returns the schedule or variable that gives an optimizer its learning rate."""
    return getattr(optimizer, "inner_optimizer", optimizer)._learning_rate
