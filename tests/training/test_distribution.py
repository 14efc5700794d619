"""A training on two devices is the training on one."""

import numpy as np
import pytest
import tensorflow as tf

from lth_tf.errors import UserError
from lth_tf.pruning.kernels import named_weights
from lth_tf.pruning.wrapper import get_masks, masked_kernels, set_masks
from lth_tf.training.distribution import make_strategy, use_xla


def test_two_devices_train_as_one(make, two_devices):
    setting = make(
        optimizer="momentum",
        learning_rate=0.05,
        dropout=0.4,
        augment="flip_crop",
        weight_decay=0.01,
        lr_drops=(15,),
        iterations=20,
    )
    trainers = setting.trainer(), setting.trainer(two_devices, xla="auto")
    assert trainers[1].xla is False
    one, two = (setting.train(trainer) for trainer in trainers)
    # The two sums over half a batch each are rounded otherwise than the one over the whole batch.
    for name, weight in one.weights.items():
        np.testing.assert_allclose(two.weights[name], weight, rtol=1e-4, atol=5e-6, err_msg=name)
    for first, second in zip(one.rows[1:], two.rows[1:], strict=True):
        assert second.train_loss == pytest.approx(first.train_loss, rel=1e-4)
        assert second.validation_loss == pytest.approx(first.validation_loss, rel=1e-4)
    for name, (kernel, _) in masked_kernels(trainers[1].model).items():
        mask = setting.masks[name]
        np.testing.assert_array_equal(get_masks(trainers[1].model)[name], mask)
        replicas = [copy.numpy() for copy in kernel.values]
        assert len(replicas) == 2
        for kernel in replicas:
            np.testing.assert_array_equal(kernel != 0, mask)
        np.testing.assert_array_equal(*replicas)


def test_masks_normalisation_and_precision_work_on_every_device(
    make, two_devices, assert_same_bits
):
    setting = make(iterations=10, precision="mixed_bfloat16")
    trainer = setting.trainer(two_devices)
    first, second = setting.train(trainer), setting.train(trainer)
    assert_same_bits(first.weights, second.weights)
    assert first.rows == second.rows
    assert first.rows[-1].learning_rate == np.float32(0.1)
    moving = "conv_bn/moving_mean"
    assert not np.array_equal(first.weights[moving], setting.weights[moving])
    set_masks(trainer.model, {"dense1/kernel": np.zeros((36, 12), bool)})
    kernel = trainer.model.get_layer("masked_layer_dense1").layer.kernel
    assert not any(value.numpy().any() for value in kernel.values)
    assert get_masks(trainer.model)["dense2/kernel"].all()
    assert named_weights(trainer.model)["dense2/kernel"].numpy().any()


def test_xla_is_for_dense_networks_on_one_cpu(make, two_devices):
    assert not tf.config.list_physical_devices("GPU"), "this test is for CPUs"
    one, two = tf.distribute.get_strategy(), two_devices
    models = {name: make(model=name).trainer().model for name in ("dense", "tiny")}
    assert use_xla("auto", models["dense"], one)
    assert not use_xla("auto", models["tiny"], one)
    assert not use_xla("auto", models["dense"], two)
    assert use_xla("on", models["tiny"], one) and not use_xla("off", models["dense"], one)
    with pytest.raises(UserError, match="--xla=on: must be auto or off where a training has"):
        use_xla("on", models["dense"], two)


def test_a_process_has_one_strategy():
    assert make_strategy("mirrored") is make_strategy("mirrored")
    assert make_strategy("none") is tf.distribute.get_strategy()


def test_an_unknown_strategy_is_refused():
    with pytest.raises(
        UserError, match="--distribution=mirror: must be one of none, mirrored, multi_worker"
    ):
        make_strategy("mirror")
