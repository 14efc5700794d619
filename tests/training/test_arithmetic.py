"""What a network takes: the values of its layers, and its multiply-adds."""

import tf_keras as keras

from lth_tf.training.arithmetic import layer_values, multiply_adds, training_operations

L = keras.layers


def test_values_of_layers():
    inputs = keras.Input((4, 4, 2))
    shared = L.Conv2D(3, 1)  # from 32 values to 48, twice
    inner = keras.Sequential([keras.Input((4, 4, 3)), L.Conv2D(5, 3)])  # from 48 to 2 x 2 x 5
    x = L.Add()([shared(inputs), shared(inputs)])
    model = keras.Model(inputs, L.Dense(7)(L.Flatten()(inner(x))))
    counted = 2 * 32 + 2 * (32 + 48) + 3 * 48 + (48 + 20) + (20 + 20) + (20 + 7)
    assert layer_values(model) == counted


def test_open_lengths_are_not_counted():
    model = keras.Sequential([keras.Input((None, 2)), L.LSTM(3)])
    assert layer_values(model) is None


def test_a_recurrent_layer_inside_of_another_is_counted_at_each_position():
    inputs = keras.Input((7, 5, 2))
    model = keras.Model(inputs, L.Dense(4)(L.TimeDistributed(L.LSTM(3))(inputs)))
    assert list(multiply_adds(model).values()) == [
        7 * 5 * 2 * 4 * 3,
        7 * 5 * 3 * 4 * 3,
        7 * 3 * 4,
    ]
    assert training_operations(model) == 6 * (7 * 5 * 5 * 12 + 7 * 12) - 2 * 7 * 5 * 2 * 12
