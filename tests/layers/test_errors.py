"""Each built-in layer's refusals, by their text; nothing is half-changed after one."""

import numpy as np
import pytest

import weft
from weft import layers
from weft.layers import (
    AveragePooling2D,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling2D,
    Input,
    LayerNormalization,
    LeakyReLU,
    MaxPooling2D,
    ReLU,
    Reshape,
)


def zeros(*shape, dtype="float32"):
    return np.zeros(shape, dtype)


# -- arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Dense(0), "Dense: units must be a positive integer, got units=0"),
        (lambda: Dense(-3), "units must be a positive integer, got units=-3"),
        (lambda: Dense(2.5), "units must be a positive integer, got units=2.5"),
        (lambda: Dense(True), "units must be a positive integer, got units=True"),
        (lambda: Dense("64"), "units must be a positive integer, got units='64'"),
        (lambda: Dense(2, "rellu"), "unknown activation 'rellu'. Did you mean 'relu'"),
        (lambda: Dense(2, kernel_initializer="glorot_unifrm"), "Did you mean 'glorot_uniform'"),
        (lambda: Dense(2, kernel_regularizer="l3"), "unknown regularizer 'l3'"),
        (lambda: Dense(2, lora_rank=4), "Dense: lora_rank=4 is not offered"),
        (lambda: layers.Activation("sofmax"), "Did you mean 'softmax'"),
        (lambda: Embedding(0, 4), "Embedding: input_dim must be a positive integer"),
        (lambda: Embedding(4, -1), "Embedding: output_dim must be a positive integer"),
        (lambda: Dropout(1.5), r"Dropout: rate must be a number in \[0, 1\], got rate=1.5"),
        (lambda: Dropout("0.5"), "rate must be a number"),
        (lambda: Dropout(0.5, seed=-1), "non-negative integer seed"),
        (lambda: Flatten("channels_lst"), "Flatten: data_format is 'channels_last' or"),
        (lambda: Reshape((2, -2)), r"Reshape: target_shape is a tuple of sizes.*got \(2, -2\)"),
        (lambda: Reshape((-1, -1)), "at most one of them -1"),
        (lambda: Conv2D(0, 3), "Conv2D: filters must be a positive integer"),
        (
            lambda: Conv2D(4, (3, 3, 3)),
            r"must be an int or 2 of them, got .*\(3, 3, 3\)",
        ),
        (lambda: Conv2D(4, 3, strides=0), "strides must be a positive integer"),
        (lambda: Conv2D(4, 3, padding="causal"), "padding is 'valid' or 'same', got 'causal'"),
        (
            lambda: Conv2D(4, 3, groups=3),
            "multiple of groups.*filters=4.*groups=3",
        ),
        (lambda: MaxPooling2D(0), "MaxPooling2D: pool_size must be a positive integer"),
        (lambda: AveragePooling2D(2, data_format="NHWC"), "AveragePooling2D: data_format is"),
        (lambda: BatchNormalization(momentum=1.1), r"momentum must be in \[0, 1\]"),
        (lambda: BatchNormalization(axis=[1, 2]), r"axis must be an integer, got axis=\[1, 2\]"),
        (lambda: BatchNormalization(virtual_batch_size=8), "virtual_batch_size=8 is not offered"),
        (lambda: LayerNormalization(axis="last"), "axis must be an integer or several"),
        (lambda: ReLU(negative_slope=-1), "negative_slope must be a number, not below 0"),
        (lambda: LeakyReLU(None), "negative_slope must be a number, not below 0, got"),
        (lambda: Input(), "either shape, without the batch axis, or batch_shape"),
        (lambda: Input((2.5,)), r"a shape is a tuple of sizes.*got \(2.5,\)"),
        (lambda: Input((3,), sparse=True), "declares dense tensors"),
    ],
)
def test_refused_arguments(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_an_unknown_argument_lists_near_ones():
    with pytest.raises(TypeError, match=r"Dense got unknown arguments.*'activaton'.*'activation'"):
        Dense(3, activaton="relu")
    with pytest.raises(TypeError, match="name must be a string, got 7"):
        Dense(3, name=7)


# -- inputs: the layer is named, and what it expected and what came --------------------------------


@pytest.mark.parametrize(
    ("layer", "x", "text"),
    [
        (
            Dense(2),
            zeros(3),
            r"\(Dense\) built for \(3,\).*\(batch, \.\.\., features\), got \(3,\)",
        ),
        (
            Conv2D(4, 3),
            zeros(2, 8, 8),
            r"\(batch, rows, columns, channels\), got shape \(2, 8, 8\)",
        ),
        (Conv2D(4, 3), zeros(2, 8, 8), r"get one with x\[\.\.\., None\]"),
        (
            Conv2D(4, 3, data_format="channels_first"),
            zeros(2, 8),
            r"\(batch, channels, rows, columns\)",
        ),
        (Conv2D(4, 3, groups=2), zeros(2, 8, 8, 3), "multiple of groups=2, got 3"),
        (Conv2D(4, 9), zeros(2, 8, 8, 3), "does not fit"),
        (
            MaxPooling2D(),
            zeros(2, 8),
            r"expected an input of shape \(batch, rows, columns, channels",
        ),
        (MaxPooling2D(9), zeros(2, 8, 8, 1), r"window of \(9, 9\) does not fit"),
        (GlobalAveragePooling2D(), zeros(2, 8, 8), r"got shape \(2, 8, 8\)"),
        (BatchNormalization(axis=2), zeros(2, 3), r"axis 2 is out of range.*\(2, 3\).*2 axes"),
        (LayerNormalization(axis=[1, 5]), zeros(2, 3), "axis 5 is out of range"),
        (Reshape((5,)), zeros(2, 12), r"\(12,\) has 12 numbers.*target_shape \(5,\)"),
        (Reshape((5, -1)), zeros(2, 12), "do not fit in target_shape"),
        (Embedding(5, 2), zeros(2, 3, dtype=bool), "indices must be integers .*got bool"),
    ],
    ids=lambda v: v.name if isinstance(v, layers.Layer) else "",
)
def test_refused_inputs(layer, x, text):
    with pytest.raises(weft.ShapeError, match=text) as caught:
        layer(x, training=True)
    assert repr(layer.name) in str(caught.value)
    assert type(layer).__name__ in str(caught.value)


def test_dropout_s_noise_shape_must_fit():
    for shape in [(3, 1), (1,), (2, 1, 1)]:
        layer = Dropout(0.5, noise_shape=shape)
        with pytest.raises(weft.ShapeError, match=r"noise_shape .* does not broadcast"):
            layer(zeros(2, 3), training=True)
        assert layer.seed_generator.state.numpy()[1] == 0


def test_another_size_than_the_layer_was_built_for():
    dense = Dense(2, name="head")
    dense(zeros(1, 4))
    with pytest.raises(weft.ShapeError) as caught:
        dense(zeros(1, 5))
    for part in ("'head'", "float32[1, 5]", "kernel[4, 2]", "input (1, 5), kernel (4, 2)"):
        assert part in str(caught.value)
    conv = Conv2D(4, 3)
    conv(zeros(1, 8, 8, 1))
    with pytest.raises(weft.ShapeError, match=r"columns, 1\), got shape \(1, 8, 8, 4\)"):
        conv(zeros(1, 8, 8, 4))  # 4 channels would do for 4 groups of one
    norm = BatchNormalization()
    norm(zeros(2, 3))
    with pytest.raises(weft.ShapeError, match=r"called on float32\[2, 4\] with weights gamma\[3\]"):
        norm(zeros(2, 4), training=True)
    assert norm.moving_mean.numpy().tolist() == [0, 0, 0]


def test_a_layer_that_failed_to_build_builds_later():
    layer = Dense(2, bias_initializer="identity")  # of matrices only
    with pytest.raises(ValueError, match="Identity makes matrices"):
        layer(zeros(1, 4))
    assert not layer.built and layer.weights == []
    layer.bias_initializer = weft.initializers.get("zeros")
    assert layer(zeros(1, 6)).shape == (1, 2)
    assert [tuple(w.shape) for w in layer.weights] == [(6, 2), (2,)]


def test_the_inner_layer_is_the_one_named():
    model = weft.Sequential([Dense(3, name="first"), Dense(2, name="second")])
    model(zeros(1, 4))
    with pytest.raises(weft.ShapeError) as caught:
        model(zeros(1, 7))
    assert "'first'" in str(caught.value) and "sequential" not in str(caught.value)


def test_an_index_outside_the_table_gives_nan():
    values = Embedding(3, 2)(np.array([0, 3])).numpy()
    assert np.isfinite(values[0]).all() and np.isnan(values[1]).all()


# -- masks and states -----------------------------------------------------------------------------

STEPS = zeros(2, 3, 4)
FRAMES = zeros(2, 3, 5, 4)
OTHER_STEPS = np.ones((2, 4), bool)
TRAINING = {BatchNormalization: {"training": True}}  # it uses masks then


@pytest.mark.parametrize(
    ("layer", "inputs", "mask", "text"),
    [
        (layers.LSTM(2), [STEPS], OTHER_STEPS, r"mask must have shape \(2, 3\).*got \(2, 4\)"),
        (layers.GRU(2), [STEPS], OTHER_STEPS[:, 0], r"must have shape \(2, 3\).*got \(2,\)"),
        (
            layers.Bidirectional(layers.SimpleRNN(2)),
            [STEPS],
            OTHER_STEPS[..., None],
            r"must have shape \(2, 3\).*got \(2, 4, 1\)",
        ),
        (layers.TimeDistributed(layers.LSTM(2)), [FRAMES], OTHER_STEPS, r"\(2, 3\).*\(2, 4\)"),
        (layers.ConvLSTM1D(2, 2), [FRAMES], OTHER_STEPS, r"\(2, 3\).*got \(2, 4\)"),
        (layers.GlobalAveragePooling1D(), [STEPS], OTHER_STEPS, r"\(2, 3\), got \(2, 4\)"),
        (BatchNormalization(), [STEPS], OTHER_STEPS, r"\(2, 4\)"),
        (layers.Softmax(), [STEPS], np.ones((2, 3, 5), bool), r"mask of shape \(2, 3, 5\)"),
        (layers.Attention(), [[STEPS, STEPS]], [None, OTHER_STEPS], r"mask of the value must"),
        (layers.AdditiveAttention(), [[STEPS, STEPS]], OTHER_STEPS, "mask must be a list"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, layers.Layer) else "",
)
def test_a_mask_that_does_not_fit(layer, inputs, mask, text):
    with pytest.raises(weft.ShapeError, match=text) as caught:
        layer(*inputs, mask=mask, **TRAINING.get(type(layer), {})).numpy()
    assert any(repr(inner.name) in str(caught.value) for inner in layer._flatten_layers())


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (layers.LSTM(2, stateful=True), STEPS),
        (layers.Bidirectional(layers.GRU(2, stateful=True)), STEPS),
        (layers.RNN(layers.SimpleRNNCell(2), stateful=True), STEPS),
        (layers.ConvLSTM1D(2, 2, stateful=True), FRAMES),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, layers.Layer) else "",
)
def test_a_stateful_layer_keeps_its_batch_size(layer, x):
    layer(x + 1)
    before = [v.numpy() for v in layer.variables]
    for other in (x[:1], np.concatenate([x, x])):
        with pytest.raises(weft.ShapeError, match=rf"batches of 2, got one of {len(other)}") as err:
            layer(other)
        assert any(repr(inner.name) in str(err.value) for inner in layer._flatten_layers())
    for value, variable in zip(before, layer.variables):
        np.testing.assert_array_equal(value, variable.numpy())


@pytest.mark.parametrize(
    ("layer", "states", "text"),
    [
        (layers.LSTM(2), [zeros(2, 2)], "expected 2 initial states.*got 1"),
        (layers.LSTM(2), [zeros(2, 3), zeros(2, 2)], r"\(2, 2\).*got 2 of shapes \[\(2, 3\)"),
        (layers.GRU(2), zeros(3, 2), r"\(2, 2\).*got .*\(3, 2\)"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, layers.Layer) else "",
)
def test_initial_states_that_do_not_fit(layer, states, text):
    with pytest.raises(weft.ShapeError, match=text) as caught:
        layer(STEPS, initial_state=states)
    assert repr(layer.name) in str(caught.value)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: layers.StackedRNNCells([]), "StackedRNNCells needs at least one cell"),
        (lambda: layers.RNN(Dense(2)), "RNN: a cell has a method call"),
        (lambda: layers.Bidirectional(Dense(2)), "Bidirectional takes a recurrent layer"),
        (lambda: layers.Bidirectional(layers.GRU(2), merge_mode="summ"), "merge_mode is one of"),
        (lambda: layers.TimeDistributed(3), "TimeDistributed wraps a layer, got int"),
        (
            lambda: layers.deserialize({"class_name": "Dens", "config": {"units": 2}}),
            "unknown layer 'Dens'. Did you mean 'Dense'",
        ),
    ],
)
def test_refused_inner_layers(make, text):
    with pytest.raises((TypeError, ValueError), match=text):
        make()
