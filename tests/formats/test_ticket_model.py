"""A ticket makes the network that was trained, and sets a model that fits it, or leaves it."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from lth_tf import Ticket, UserError, data, get_masks, mask_layers, models, named_weights, set_masks
from lth_tf.lottery.tickets import ticket as ticket_of
from lth_tf.paper.recipes import paper_recipe
from lth_tf.pruning.kernels import kernels, snapshot
from lth_tf.runs.experiment import Training
from lth_tf.runs.store import Store


def network(filters=4, name="conv"):
    return keras.Sequential(
        [
            keras.layers.Conv2D(filters, 3, name=name, input_shape=(6, 6, 2)),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, name="output"),
        ]
    )


def random_ticket(model, metadata=None):
    """A ticket of random masks and weights for a model, none of them what a new model has."""
    rng = np.random.default_rng(3)
    masks = {kernel.name: rng.random(kernel.shape) < 0.4 for kernel in kernels(model)}
    weights, trained = (
        {
            name: (masks.get(name, 1) * rng.uniform(0.5, 1.5, array.shape)).astype(np.float32)
            for name, array in snapshot(model).items()
        }
        for _ in range(2)
    )
    return Ticket(masks, weights, trained, metadata or {})


def assert_equal(model, weights):
    found = snapshot(model)
    assert found.keys() == weights.keys()
    for name, array in weights.items():
        assert found[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("level", [0, 2])
def test_the_model_of_a_runs_ticket_has_the_logits_of_its_training(reference, tmp_path, level):
    training = Training(1, level, "ticket" if level else "dense")
    ticket_of(Store(reference), training).save(tmp_path / "ticket")
    model = Ticket.load(tmp_path / "ticket").model()
    exported = tf.saved_model.load(str(reference / training.path / "saved_model"))
    images = tf.constant(data.load("mnist_5k").test_images[:50])
    wanted = exported.signatures["serving_default"](images=images)["logits"]
    np.testing.assert_array_equal(model(images), wanted)


@pytest.mark.parametrize(("name", "trained"), [("conv2", True), ("resnet18", False)])
def test_the_model_of_a_known_network_has_all_its_weights(name, trained):
    recipe = paper_recipe(name).override(dropout=0.5)
    image = {"image_shape": (16, 16, 2), "classes": 7}
    built = models.build(name, image["image_shape"], image["classes"], 5, recipe.dropout)
    ticket = random_ticket(built, {"recipe": recipe.to_json(), "data": image})
    model = ticket.model(trained=trained)
    assert_equal(model, ticket.trained if trained else ticket.weights)
    assert model.output_shape == (None, 7) and not get_masks(model)
    assert [layer.name for layer in model.layers] == [layer.name for layer in built.layers]


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"recipe": {"model": "mine"}}, "recipe.model must be one of conv2, .* found mine; "),
        ({}, "has no recipe.model"),
        ({"recipe": {"model": "lenet"}}, "has no data.image_shape"),
    ],
)
def test_a_network_that_is_not_known_is_left_to_apply(metadata, told, tmp_path):
    ticket = random_ticket(network(), metadata)
    ticket.save(tmp_path / "ticket")
    loaded = Ticket.load(tmp_path / "ticket")
    for each, where in ((ticket, ""), (loaded, f"{tmp_path}/ticket: ")):
        wanted = rf"^{where}metadata: {told}.*ticket\.apply\(your_model\)$"
        with pytest.raises(UserError, match=wanted):
            each.model()


@pytest.mark.parametrize("trained", [True, False])
def test_a_plain_model_gets_the_weights(trained):
    model = network()
    ticket = random_ticket(model)
    ticket.apply(model, trained=trained)
    assert_equal(model, ticket.trained if trained else ticket.weights)


def test_a_masked_model_gets_the_masks_as_well_and_keeps_them_in_training():
    model = mask_layers(network())
    ticket = random_ticket(model)
    # As after a level of another ticket: its masks must not be left over.
    set_masks(model, {name: ~mask for name, mask in ticket.masks.items()})
    ticket.apply(model)
    assert_equal(model, ticket.trained)
    for name, mask in get_masks(model).items():
        assert np.array_equal(mask, ticket.masks[name])
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 6, 6, 2)), np.ones((8, 3)), verbose=0)
    model(np.ones((1, 6, 6, 2)))
    for name, mask in ticket.masks.items():
        kernel = named_weights(model)[name].numpy()
        assert not kernel[~mask].any() and (kernel[mask] != ticket.trained[name][mask]).any()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"filters": 5}, r"conv/kernel: must have shape \(3, 3, 2, 4\) .*, found \(3, 3, 2, 5\)"),
        ({"name": "first"}, "first/kernel: the model has this weight, the ticket has not"),
    ],
)
def test_a_model_that_does_not_fit_is_named_and_left_as_it_was(other, told, masked):
    ticket = random_ticket(network())
    model = mask_layers(network(**other)) if masked else network(**other)
    before = snapshot(model)
    with pytest.raises(UserError, match=f"^{told}"):
        ticket.apply(model)
    assert_equal(model, before)
    assert all(mask.all() for mask in get_masks(model).values())


def test_a_model_with_fewer_weights_or_masks_than_the_ticket_is_refused():
    ticket = random_ticket(network())
    shorter = keras.Sequential(network().layers[:-1])
    with pytest.raises(UserError, match=r"^output/kernel: the ticket has this weight, the model"):
        ticket.apply(shorter)
    layers = network().layers
    layers[-1] = mask_layers(keras.Sequential([keras.Input((64,)), layers[-1]])).layers[-1]
    model = keras.Sequential([keras.Input((6, 6, 2)), *layers])
    before = snapshot(model)
    with pytest.raises(UserError, match=r"^mask:conv/kernel: its layer must be masked"):
        ticket.apply(model)
    assert_equal(model, before)


def test_a_ticket_that_was_never_trained_says_so():
    model = network()
    ticket = random_ticket(model)
    untrained = Ticket(ticket.masks, ticket.weights)
    with pytest.raises(UserError, match=r"^trained: .* use trained=False$"):
        untrained.apply(model)
    untrained.apply(model, trained=False)
    assert_equal(model, ticket.weights)


def test_a_ticket_takes_the_variables_of_a_model_as_they_are():
    model = mask_layers(network())
    random_ticket(model).apply(model)
    ticket = Ticket(get_masks(model), named_weights(model))
    assert_equal(model, ticket.weights)
