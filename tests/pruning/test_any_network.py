"""Networks of every sort: masks cover their kernels, cut exactly, stay, and change nothing else.

Each case says which kernels a network has, and of what class each is.
"""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorflow_model_optimization.sparsity.keras import PrunableLayer

from lth_tf import Settings, find_tickets
from lth_tf.pruning.compaction import compact
from lth_tf.pruning.kernels import kernels, named_weights, pruned_kernels, rates, snapshot
from lth_tf.pruning.masks import prune
from lth_tf.pruning.wrapper import get_masks, mask_layers, masked_layers, set_masks, strip
from lth_tf.recipe import Recipe
from lth_tf.training.arithmetic import multiply_adds

pytestmark = pytest.mark.long

L = keras.layers
register = keras.saving.register_keras_serializable("test_any_network")
RECIPE = Recipe(prune_conv=0.3, prune_dense=0.4, prune_output=0.2)


@register
class TransformerBlock(L.Layer):
    """As on keras.io: attention and two dense layers without names, inside of a layer."""

    def __init__(self, width=4, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.attention = L.MultiHeadAttention(num_heads=2, key_dim=3)
        self.feed_forward = keras.Sequential([L.Dense(5, activation="relu"), L.Dense(width)])
        self.norms = [L.LayerNormalization(), L.LayerNormalization()]

    def call(self, inputs):  # noqa: D102
        x = self.norms[0](inputs + self.attention(inputs, inputs))
        return self.norms[1](x + self.feed_forward(x))

    def get_config(self):  # noqa: D102
        return {**super().get_config(), "width": self.width}


@register
class Positions(L.Layer):
    """Two embeddings in a layer, as on keras.io."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.tokens = L.Embedding(9, 4, name="tokens")
        self.positions = L.Embedding(6, 4, name="positions")

    def call(self, inputs):  # noqa: D102
        return self.tokens(inputs) + self.positions(tf.range(6))


@register
class MyDense(L.Dense):
    """A dense layer of one's own."""

    def call(self, inputs):  # noqa: D102
        return 3.0 * super().call(inputs)


@register
class MyConv(L.Conv2D):
    """A convolution of one's own."""


@register
class Protocol(L.Layer, PrunableLayer):
    """Says by tfmot's protocol that one of its two weights is pruned."""

    def build(self, shape):  # noqa: D102
        self.pruned = self.add_weight("pruned", (shape[-1], 3))
        self.whole = self.add_weight("whole", (3, 3))
        super().build(shape)

    def get_prunable_weights(self):  # noqa: D102
        return [self.pruned]

    def call(self, inputs):  # noqa: D102
        return inputs @ self.pruned @ self.whole


@register
class BuildsItsParts(L.Layer):
    """Builds its parts by hand, so that Keras gives their weights one name."""

    def build(self, shape):  # noqa: D102
        self.first, self.second = L.Dense(3), L.Dense(2)
        self.first.build(shape)
        self.second.build((*shape[:-1], 3))
        super().build(shape)

    def call(self, inputs):  # noqa: D102
        return self.second(self.first(inputs))


def text(mask_zero=False):
    words = keras.Input((6,), dtype="int32")
    return words, L.Embedding(9, 4, mask_zero=mask_zero, name="words")(words)


def transformer():
    words = keras.Input((6,), dtype="int32")
    x = TransformerBlock(name="block_2")(
        TransformerBlock(name="block")(Positions(name="at")(words))
    )
    return keras.Model(words, L.Dense(3, name="out")(L.GlobalAveragePooling1D()(x)))


def attention():
    words, x = text(mask_zero=True)
    other = keras.Input((5, 3))
    y, scores = L.MultiHeadAttention(2, 3, name="mha")(
        query=x, value=other, key=other, return_attention_scores=True
    )
    return keras.Model([words, other], [L.Dense(2, name="out")(L.Flatten()(y)), scores])


def bidirectional():
    words, x = text(mask_zero=True)
    x = L.Bidirectional(L.LSTM(3), name="both")(x)
    return keras.Model(words, L.Dense(1, activation="sigmoid", name="out")(x))


def recurrent():
    words, x = text()
    x = L.SimpleRNN(3, return_sequences=True, name="simple")(x)
    x = L.RNN([L.GRUCell(3), L.LSTMCell(2)], return_sequences=True, name="stack")(x)
    return keras.Model(words, L.GRU(2, name="gru")(x, mask=tf.not_equal(words, 0), training=True))


def encoder_decoder():
    source, target = keras.Input((4, 3)), keras.Input((5, 3))
    _, *state = L.LSTM(3, return_state=True, name="encoder")(source)
    x = L.LSTM(3, return_sequences=True, name="decoder")(target, initial_state=state)
    return keras.Model([source, target], L.TimeDistributed(L.Dense(2), name="out")(x))


def convolutional_lstm():
    frames = keras.Input((3, 5, 5, 2))
    x = L.ConvLSTM2D(2, 3, name="lstm")(frames)
    return keras.Model(frames, L.Conv2D(1, 1, name="out")(x))


def separable():
    images = keras.Input((8, 8, 2))
    x = L.Conv2D(4, 3, padding="same", name="stem")(images)
    y = L.SeparableConv2D(4, 3, padding="same", use_bias=False, name="separable")(x)
    x = L.Add()([x, L.BatchNormalization()(y)])
    return keras.Model(images, L.Dense(3, name="out")(L.GlobalAveragePooling2D()(x)))


def depthwise():
    images = keras.Input((8, 8, 2))
    x = L.Conv2D(4, 1, name="expand")(images)
    x = L.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(L.ReLU(6.0)(x))
    x = L.Conv2D(2, 1, name="project")(L.BatchNormalization()(x))
    return keras.Model(images, L.Dense(3, name="out")(L.Flatten()(x)))


def sequences():
    series = keras.Input((8, 2))
    x = L.SeparableConv1D(3, 3, name="separable")(series)
    x = L.DepthwiseConv1D(2, name="depthwise")(x)
    return keras.Model(series, L.Conv1DTranspose(2, 4, name="back")(x))


def autoencoder():
    series = keras.Input((8, 1))
    x = L.Conv1D(4, 3, strides=2, padding="same", activation="relu", name="down")(series)
    x = L.Conv1DTranspose(4, 3, strides=2, padding="same", activation="relu", name="up")(x)
    return keras.Model(series, L.Conv1DTranspose(1, 3, padding="same", name="out")(x))


def u_net():
    images = keras.Input((8, 8, 1))
    x = L.Conv2D(2, 3, padding="same", name="down")(images)
    y = L.Conv2D(3, 3, strides=2, padding="same", name="bottom")(x)
    y = L.Conv2DTranspose(2, 2, strides=2, name="up")(y)
    return keras.Model(images, L.Conv2D(2, 1, name="out")(L.Concatenate()([x, y])))


def volumes():
    inputs = keras.Input((4, 4, 4, 1))
    x = L.Conv3D(2, 2, name="down")(inputs)
    return keras.Model(inputs, L.Conv3DTranspose(1, 2, name="up")(x))


def repeated():
    frames = keras.Input((3, 6, 6, 1))
    image = keras.Input((4, 4, 2))
    head = keras.Model(image, L.Dense(3, name="dense")(L.Flatten()(image)), name="head")
    x = L.TimeDistributed(L.Conv2D(2, 3), name="each")(frames)
    return keras.Model(frames, L.TimeDistributed(head, name="heads")(x))


def einsum():
    inputs = keras.Input((4, 3))
    x = L.EinsumDense("abc,cde->abde", (None, 2, 3), name="split")(inputs)
    return keras.Model(inputs, L.EinsumDense("abde,def->abf", (None, 2), name="out")(x))


def own_classes():
    images = keras.Input((5, 5, 1))
    x = L.Flatten()(MyConv(2, 3, name="conv")(images))
    return keras.Model(images, MyDense(2, name="out")(x))


def own_layers():
    inputs = keras.Input((5,))
    x = Protocol(name="protocol")(inputs)
    return keras.Model(inputs, L.Dense(2, name="out")(BuildsItsParts(name="parts")(x)))


def frozen():
    images = keras.Input((6, 6, 1))
    body = keras.Sequential([keras.Input((6, 6, 1)), L.Conv2D(2, 3), L.Flatten()], name="body")
    body.trainable = False
    return keras.Model(images, L.Dense(2, name="out")(body(images)))


def outputs(formula):
    def make():
        inputs = keras.Input((4,))
        x = L.Dense(5, name="hidden")(inputs)
        return keras.Model(inputs, formula(x))

    return make


def p(x):
    return L.Dense(2, name="p")(x)


def q(x):
    return L.Dense(2, name="q")(x)


LSTM = ("lstm_cell/kernel", "lstm_cell/recurrent_kernel")
ATTENTION = ("query/kernel", "key/kernel", "value/kernel", "attention_output/kernel")


def inside(*layers, parts, kind="dense"):
    return {f"{layer}/{part}": kind for layer in layers for part in parts}


HIDDEN = {"hidden/kernel": "dense"}
BLOCK = (*(f"multi_head_attention/{part}" for part in ATTENTION), "dense/kernel", "dense_1/kernel")
OUT = {"out/kernel": "output"}
NETWORKS = {
    "transformer": (
        transformer,
        {
            **inside("at", parts=("tokens/embeddings", "positions/embeddings"), kind="embedding"),
            **inside("block", "block_2", parts=BLOCK),
            **OUT,
        },
    ),
    "attention": (
        attention,
        {"words/embeddings": "embedding", **inside("mha", parts=ATTENTION), **OUT},
    ),
    "BiLSTM": (
        bidirectional,
        {
            "words/embeddings": "embedding",
            **inside("both/forward_lstm", "both/backward_lstm", parts=LSTM),
            **OUT,
        },
    ),
    "recurrent": (
        recurrent,
        {
            "words/embeddings": "embedding",
            **inside("simple/simple_rnn_cell", parts=("kernel", "recurrent_kernel")),
            **inside("stack/stacked_rnn_cells/gru_cell", parts=("kernel", "recurrent_kernel")),
            **inside("stack/stacked_rnn_cells", parts=LSTM),
            **inside("gru/gru_cell", parts=("kernel", "recurrent_kernel")),
        },
    ),
    "encoder and decoder": (encoder_decoder, {**inside("encoder", "decoder", parts=LSTM), **OUT}),
    "ConvLSTM": (
        convolutional_lstm,
        {**inside("lstm", parts=("kernel", "recurrent_kernel"), kind="conv"), "out/kernel": "conv"},
    ),
    "Xception-like": (
        separable,
        {
            "stem/kernel": "conv",
            **inside("separable", parts=("depthwise_kernel", "pointwise_kernel"), kind="conv"),
            **OUT,
        },
    ),
    "MobileNet-like": (
        depthwise,
        {
            "expand/kernel": "conv",
            "depthwise/depthwise_kernel": "conv",
            "project/kernel": "conv",
            **OUT,
        },
    ),
    "sequences": (
        sequences,
        {
            **inside("separable", parts=("depthwise_kernel", "pointwise_kernel"), kind="conv"),
            "depthwise/depthwise_kernel": "conv",
            "back/kernel": "conv",
        },
    ),
    "autoencoder": (autoencoder, inside("down", "up", "out", parts=["kernel"], kind="conv")),
    "U-Net": (u_net, inside("down", "bottom", "up", "out", parts=["kernel"], kind="conv")),
    "volumes": (volumes, inside("down", "up", parts=["kernel"], kind="conv")),
    "TimeDistributed": (repeated, {"each/kernel": "conv", "heads/dense/kernel": "output"}),
    "EinsumDense": (einsum, {"split/kernel": "dense", **OUT}),
    "subclasses": (own_classes, {"conv/kernel": "conv", **OUT}),
    "own layers": (
        own_layers,
        {
            "protocol/pruned": "dense",
            "parts/kernel": "dense",
            "parts/kernel_1": "dense",
            **OUT,
        },
    ),
    "frozen": (frozen, OUT),
    "p + q": (
        outputs(lambda x: p(x) + q(x)),
        {**HIDDEN, "p/kernel": "output", "q/kernel": "output"},
    ),
    "2 * p": (outputs(lambda x: 2 * p(x)), {**HIDDEN, "p/kernel": "output"}),
    "1 - p": (outputs(lambda x: 1 - p(x)), {**HIDDEN, "p/kernel": "output"}),
    "softmax of p": (outputs(lambda x: tf.nn.softmax(p(x))), {**HIDDEN, "p/kernel": "output"}),
    "shared": (
        outputs(lambda x: (dense := L.Dense(5, name="shared"))(dense(x))),
        {**HIDDEN, "shared/kernel": "output"},
    ),
}


def built(name):
    make, kinds = NETWORKS[name]
    keras.backend.reset_uids()
    keras.utils.set_random_seed(0)
    return make(), kinds


def some_inputs(model):
    rng = np.random.default_rng(0)
    drawn = [
        rng.integers(0, 9, (4, *each.shape[1:]))
        if each.dtype == tf.int32
        else rng.normal(size=(4, *each.shape[1:])).astype(np.float32)
        for each in model.inputs
    ]
    return drawn if len(drawn) > 1 else drawn[0]


def assert_same(ours, theirs):
    for one, other in zip(tf.nest.flatten(ours), tf.nest.flatten(theirs), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", NETWORKS)
def test_kernels_are_masked_exactly_and_all_else_is_as_in_keras(name):
    plain, kinds = built(name)
    found = kernels(plain)
    assert {kernel.name: kernel.kind for kernel in found} == kinds
    model = mask_layers(plain)
    inputs = some_inputs(plain)
    assert kernels(model) == found
    assert list(snapshot(model)) == list(snapshot(plain))
    assert_same(model(inputs, training=False), plain(inputs, training=False))

    by_name = rates(found, RECIPE)
    dense = get_masks(model)
    assert list(dense) == [kernel for kernel, kind in kinds.items() if kind != "embedding"]
    magnitudes = {n: np.abs(weight) for n, weight in snapshot(model).items()}
    masks = prune(magnitudes, dense, {n: by_name[n] for n in dense}, "layer")
    for kernel, mask in masks.items():
        assert mask.sum() == mask.size - round(by_name[kernel] * mask.size) < mask.size
    set_masks(model, masks)
    before = snapshot(model)
    model.compile("adam", "mse", run_eagerly=True)
    targets = [np.ones([4, *each.shape[1:]], np.float32) for each in model.outputs]
    for _ in range(2):
        model.train_on_batch(inputs, targets if len(targets) > 1 else targets[0])
    after = snapshot(model)
    for kernel, mask in masks.items():
        assert not after[kernel][~mask].any()
        assert (after[kernel][mask] != before[kernel][mask]).any()

    stripped = strip(model)
    assert not masked_layers(stripped)
    assert_same(stripped(inputs, training=False), model(inputs, training=False))
    compact(stripped)  # checks that it answers as before
    assert multiply_adds(plain).keys() == kinds.keys()


def test_embeddings_are_pruned_where_a_rate_is_named():
    plain, _ = built("transformer")
    found = kernels(plain)
    recipe = Recipe(prune_layers=(("at/tokens", 0.25), ("MultiHeadAttention", 0.5)))
    by_name = rates(found, recipe)
    assert by_name["at/tokens/embeddings"] == 0.25
    assert by_name["at/positions/embeddings"] == 0.0
    assert by_name["block/multi_head_attention/query/kernel"] == 0.5
    assert by_name["block/dense/kernel"] == recipe.prune_dense
    pruned = [kernel.name for kernel in pruned_kernels(found, recipe)]
    assert set(named_weights(plain)) > set(pruned) == by_name.keys() - {"at/positions/embeddings"}
    model = mask_layers(plain, pruned)
    assert list(get_masks(model)) == pruned
    mask = np.arange(36).reshape(9, 4) % 4 > 0
    set_masks(model, {"at/tokens/embeddings": mask})
    model.compile("adam", "mse", run_eagerly=True)
    model.train_on_batch(some_inputs(plain), np.ones((4, 3)))
    np.testing.assert_array_equal(snapshot(model)["at/tokens/embeddings"] != 0, mask)


def test_multiply_adds_count_time_steps_and_places():
    work = multiply_adds(built("encoder and decoder")[0])
    assert work["encoder/lstm_cell/kernel"] == 3 * 12 * 4
    assert work["decoder/lstm_cell/recurrent_kernel"] == 3 * 12 * 5
    assert work["out/kernel"] == 3 * 2 * 5
    work = multiply_adds(built("Xception-like")[0])
    assert work["separable/depthwise_kernel"] == 3 * 3 * 4 * 64
    work = multiply_adds(built("autoencoder")[0])
    assert work["up/kernel"] == 3 * 4 * 4 * 4
    assert multiply_adds(built("ConvLSTM")[0])["lstm/kernel"] == 3 * 3 * 2 * 8 * 3 * 9


def classifier():
    """Trained as it is by the compiled loop: embeddings by name, layers in layers, a cell."""
    words = keras.Input((6,), dtype="int32")
    x = L.GlobalAveragePooling1D()(TransformerBlock(name="block")(Positions(name="at")(words)))
    model = keras.Model(words, L.Dense(3, name="out")(x))
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_the_training_loop_keeps_masks_that_change_under_it(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 9, (48, 6)).astype(np.int32), rng.integers(0, 3, 48)
    train, rest = ([array[part] for array in rows] for part in (slice(32), slice(32, None)))
    recipe = RECIPE.override(
        iterations=12, batch_size=16, eval_every=6, weight_decay=1e-3, prune_layers=(("at", 0.25),)
    )
    # RigL ranks pruned weights by their gradients.
    found = find_tickets(
        classifier, train, rest, rest, recipe, rounds=1, strategy="rigl", folder=tmp_path / "run",
        settings=Settings(xla="off"), report=False,
    )  # fmt: skip
    ticket = found.ticket(1)
    there = kernels(classifier())
    assert list(ticket.masks) == [kernel.name for kernel in there]
    left = 0
    for kernel in there:
        rate = {"dense": 0.4, "output": 0.2, "embedding": 0.25}[kernel.kind]
        mask = ticket.masks[kernel.name]
        assert mask.sum() == kernel.size - round(rate * kernel.size)
        assert (ticket.trained[kernel.name] != 0)[mask].all()
        left += mask.sum()
    assert found.results.remaining.tolist() == [sum(kernel.size for kernel in there), left]
    masked = mask_layers(ticket.model(make=classifier), ticket.masks)
    ticket.apply(masked)
    assert_same(masked(rest[0]), ticket.model(make=classifier)(rest[0]))
