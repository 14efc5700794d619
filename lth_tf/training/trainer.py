"""Trainer: one compiled model that runs any number of trainings of a recipe, one after another."""

import dataclasses
import functools
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras as keras

from lth_tf import models
from lth_tf.data import ImageData, ImageInfo, UserData, UserDataInfo
from lth_tf.data.augmentations import augmentation
from lth_tf.errors import UserError
from lth_tf.importing import import_function, names_function
from lth_tf.metric import ACCURACY
from lth_tf.models.keras_3 import compare
from lth_tf.models.layers import UNIT, Scaling
from lth_tf.models.user_model import ModelFunction, build_user_model
from lth_tf.pruning.kernels import kernels, pruned_kernels, snapshot
from lth_tf.pruning.packing import unpack
from lth_tf.pruning.wrapper import set_masks
from lth_tf.recipe import Recipe
from lth_tf.training.arithmetic import TrainingWork, multiply_adds
from lth_tf.training.checkpoint import Checkpoint, Resume, Saving
from lth_tf.training.chunked import Examples, chunked_copy
from lth_tf.training.distribution import use_xla
from lth_tf.training.evaluation import Evaluator, Sums
from lth_tf.training.initial_state import InitialState, Keep
from lth_tf.training.invariants import CheckInvariants
from lth_tf.training.keeping import Keeping
from lth_tf.training.mask_learning import LearnMasks
from lth_tf.training.mask_schedules import MaskSchedule
from lth_tf.training.mask_schedules.learned import Learned
from lth_tf.training.mask_updates import MaskUpdates
from lth_tf.training.measure import Measure, MetricsRow
from lth_tf.training.objective import objective_of
from lth_tf.training.optimizers import make_optimizer, optimizer_arrays
from lth_tf.training.order import Order, chunk_ends
from lth_tf.training.process_group import ProcessGroup
from lth_tf.training.rewind import Rewind
from lth_tf.training.state import State

_NOTHING = Keep()
_EXAMPLES = 8  # that a model of Keras 3 and its copy are compared on


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Attributes:
        rows: its evaluations.
        early_stop: the one where the validation loss was lowest.
        weights: the trained weights by name, pruned ones zero.
        masks: the masks at the end, by kernel name.
        kept: what it keeps for later trainings besides, by name: the weights of iteration k as
            "rewind", others as `Keep` says, "early_bird", the masks that were drawn, and the
            "scores" of masks that were learned.
        optimizer: the optimizer's variables at the end, by index, where they are kept.
        seconds: how long it took, over all starts.
    """

    rows: list[MetricsRow]
    early_stop: MetricsRow
    weights: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    kept: dict[str, dict[str, np.ndarray]]
    optimizer: dict[str, np.ndarray] | None
    seconds: float


class Trainer:
    """Trains a recipe's network on a data set, with any masks, weights and order.

    The model, its optimizer and the compiled loop are made once; each training resets them. A
    trainer trains either weights or masks (`MaskSchedule.trains_weights`): its optimizer is theirs.

    Attributes:
        examples: the data set's examples for training and validation, on the device.
    """

    def __init__(
        self,
        recipe: Recipe,
        build: Callable[[int], keras.Model],
        data: ImageData | UserData,
        strategy: tf.distribute.Strategy,
        xla: str = "auto",
        metric: str = ACCURACY.name,
        examples: Examples | None = None,
    ) -> None:
        """Builds and compiles the model.

        Args:
            recipe: what to train.
            build: returns the plain network for a seed.
            data: the data set, put on the device as a whole; not needed in memory afterwards.
            strategy: the devices.
            xla: "on", "off" or "auto".
            metric: the name of the metric that it is judged by.
            examples: those of another trainer of the same data set, to be shared.

        Raises:
            UserError: if it is to be compiled by XLA for several devices.
        """
        self.recipe = recipe
        # Outside of the strategy, which would send each device a copy of the whole data set.
        self.examples = examples or Examples(*data.examples)
        with strategy.scope():
            plain = build_in_precision(recipe.precision, build)
            _check_keras_3(plain, data)
            names = {kernel.name for kernel in pruned_kernels(kernels(plain), recipe)}
            self._multiply_adds = multiply_adds(plain)
            self.model = chunked_copy(plain, strategy.num_replicas_in_sync, names)
            augment = functools.partial(augmentation(recipe.augment).compiles, data.examples[0])
            self.xla = use_xla(xla, self.model, strategy, augment)
            optimizer = make_optimizer(recipe, plain.optimizer)
            objective_of(plain).compile(self.model, optimizer)
        self._sums = Sums(self.model, self.xla, metric)
        self._test = Evaluator(self._sums, *data.test)
        if self.xla and xla == "auto" and not self._test.compiles():
            self.xla = False
            self._sums = Sums(self.model, self.xla, metric)
            self._test = Evaluator(self._sums, *data.test)
        self.model.attach(self.examples, recipe, self.xla)
        self._process_group = ProcessGroup(strategy)

    def train(
        self,
        initial: InitialState,
        order: Order,
        schedule: MaskSchedule,
        validation_rows: np.ndarray,
        training_rows: np.ndarray,
        on_row: Callable[[MetricsRow], None] = lambda row: None,
        state: State | None = None,
        saving: Saving | None = None,
        keep: Keep = _NOTHING,
    ) -> Trained:
        """Runs one training to the recipe's end, or goes on with one that was interrupted.

        Args:
            initial: the iteration, weights and masks to start from.
            order: which examples make up each iteration.
            schedule: when masks change, and how.
            validation_rows: rows of the validation examples, as many as the recipe says.
            training_rows: rows of the training examples whose accuracy is measured at early
                stopping and at the end.
            on_row: is called with each evaluation, those before an interruption included.
            state: the state of an interrupted training to go on from.
            saving: where and when the state is kept.
            keep: what later trainings will go on from.

        Raises:
            DivergedError: if a loss is not finite.
            InvariantError: if masks or weights are not what they must be.
            KeyboardInterrupt: if it was asked to stop; the state is kept.
        """
        began = time.monotonic()
        recipe = self.recipe
        before = state.seconds if state else 0.0
        validation, training = (
            Evaluator(self._sums, *self.examples.take(rows))
            for rows in (validation_rows, training_rows)
        )
        masks = _masks(initial, state)
        set_masks(self.model, masks)
        first = state.iteration if state else initial.iteration
        also = (*recipe.marks, *keep.evaluations, *schedule.updates)
        if keep.early_bird:
            also += keep.early_bird.iterations
        ends = chunk_ends(first, recipe.iterations, recipe.eval_every, also)
        if isinstance(schedule, Learned):
            scores = self.model.scores_for(schedule)
            before_it = state.arrays["scores"] if state else {}
            updates = LearnMasks(schedule, scores, initial, before_it)
        else:
            updates = MaskUpdates(
                schedule,
                masks,
                ends,
                lambda i: self.model.kernel_gradients(order, i),
                self._process_group,
            )
        settled = max(schedule.updates, default=0)
        work = TrainingWork(self._multiply_adds, schedule.trains_weights)
        measure = Measure(
            validation,
            self._test,
            training,
            first,
            ends,
            recipe.marks,
            settled,
            lambda: updates.density,
            lambda: work.at(updates.masks),
            on_row,
            "--learning_rate" if schedule.trains_weights else "--mask_learning_rate",
        )
        check = CheckInvariants(
            initial.weights,
            lambda: updates.masks,
            from_start=state is None,
            trains_weights=schedule.trains_weights,
        )
        callbacks = [_beginning(initial, state), check, updates, measure]
        if state:
            measure.go_on(state.rows, state.best, state.arrays["best"])
        keeping = Keeping(keep, ends, state)
        callbacks += keeping.callbacks
        if saving:
            callbacks.append(
                Checkpoint(saving, ends, measure, updates, lambda: keeping.kept, began - before)
            )
        self.model.fit(order.dataset(first, ends), epochs=1, verbose=0, callbacks=callbacks)
        return Trained(
            rows=measure.rows,
            early_stop=measure.rows[measure.best],
            weights=snapshot(self.model),
            masks=updates.masks,
            kept={**keeping.kept, **updates.kept},
            optimizer=optimizer_arrays(self.model.optimizer) if keep.optimizer else None,
            seconds=time.monotonic() - began + before,
        )


def build_in_precision(precision: str, build: Callable[[int], keras.Model]) -> keras.Model:
    """Builds a network as it is trained, with initial weights that will be set.

    Args:
        precision: the recipe's.
        build: returns the plain network for a seed.
    """
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(precision)
    try:
        return build(0)
    finally:
        keras.mixed_precision.set_global_policy(before)


def _check_keras_3(model: keras.Model, data: ImageData | UserData) -> None:
    """Checks on real examples that a model answers as the Keras 3 one that it was rebuilt from."""
    # In half precision both round by more than `compare` lets pass.
    if hasattr(model, "keras_3") and model.dtype_policy.name == "float32":
        few = tf.nest.map_structure(lambda array: array[:_EXAMPLES], data.examples[0])
        compare(model, model.keras_3(), few, f"model {model.name}")


def _masks(initial: InitialState, state: State | None) -> dict[str, np.ndarray]:
    """Returns the masks to begin with, or those that were at work at an interruption."""
    kept = state.arrays["masks"] if state else {}
    return {
        name: unpack(kept[name], mask.shape) if name in kept else mask
        for name, mask in initial.masks.items()
    }


def _beginning(initial: InitialState, state: State | None) -> keras.callbacks.Callback:
    if state:
        return Resume(state.arrays["weights"], state.arrays["optimizer"], initial.schedule)
    if initial.optimizer:
        return Resume(initial.weights, initial.optimizer, initial.schedule)
    return Rewind(initial.iteration, initial.weights, initial.schedule)


def build_model(
    recipe: Recipe, info: ImageInfo | UserDataInfo, seed: int, make: ModelFunction | None = None
) -> keras.Model:
    """Builds a recipe's network, plain, with initial weights from a seed.

    Args:
        recipe: names the network, one of `lth_tf.models` or `package.module:function`.
        info: the data that it is for.
        seed: seed of the initial weights.
        make: the function that makes the network, where it is at hand.

    Raises:
        UserError: if there is no such network, or it cannot be trained.
    """
    name = recipe.model
    if make is None and names_function(name):
        make = import_function("model", name)
    if make:
        return build_user_model(make, name, seed)
    if isinstance(info, UserDataInfo):
        raise UserError(
            f"--model={name}: must be package.module:function where --dataset is one, "
            f"as in --dataset={recipe.dataset}"
        )
    scaling = UNIT
    if recipe.scaling == "standardize":
        scaling = Scaling(info.mean, info.deviation)
    return models.build(
        name,
        info.image_shape,
        info.classes,
        seed,
        recipe.dropout,
        recipe.width,
        scaling,
        recipe.init_stddev,
    )
