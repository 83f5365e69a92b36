"""Every public layer passes the same properties, by being listed: against Keras, and weft's own."""

import inspect
import re

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import weft
from weft import layers

RNG = np.random.default_rng(0)
FLAT = RNG.normal(size=(4, 6)).astype("float32")
STEPS = RNG.normal(size=(2, 3, 4)).astype("float32")
IMAGE = RNG.normal(size=(2, 7, 6, 4)).astype("float32")
FIRST = np.moveaxis(IMAGE, -1, 1).copy()
INDICES = np.array([[1, 0, 3], [2, 4, 0]], "int32")

# Each public layer: (arguments, input). Every case goes through every test below.
CASES = {
    "Dense": [
        ({"units": 3}, FLAT),
        ({"units": 3, "activation": "relu", "use_bias": False}, STEPS),
        (
            {
                "units": 2,
                "activation": "softmax",
                "kernel_initializer": "he_normal",
                "bias_initializer": "ones",
                "kernel_regularizer": "l2",
                "bias_regularizer": "l1",
                "activity_regularizer": "l2",
                "kernel_constraint": "max_norm",
                "bias_constraint": "non_neg",
            },
            FLAT,
        ),
    ],
    "Activation": [({"activation": "tanh"}, FLAT), ({"activation": "softmax"}, STEPS)],
    "ReLU": [({}, FLAT), ({"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}, FLAT)],
    "LeakyReLU": [({}, FLAT), ({"negative_slope": 0.1}, STEPS)],
    "Softmax": [({}, FLAT), ({"axis": 1}, STEPS), ({"axis": [1, 2]}, STEPS)],
    "Embedding": [
        ({"input_dim": 5, "output_dim": 3}, INDICES),
        (
            {
                "input_dim": 5,
                "output_dim": 3,
                "mask_zero": True,
                "embeddings_initializer": "ones",
                "embeddings_regularizer": "l2",
                "embeddings_constraint": "unit_norm",
            },
            INDICES.astype("float32"),
        ),
    ],
    "Identity": [({}, STEPS)],
    "Dropout": [
        ({"rate": 0.4, "seed": 7}, FLAT),
        ({"rate": 0.4, "seed": 7, "noise_shape": [None, 1, 4]}, STEPS),
        ({"rate": 0, "seed": 7}, FLAT),
        ({"rate": 1.0, "seed": 7}, FLAT),
    ],
    "Flatten": [({}, IMAGE), ({"data_format": "channels_first"}, FIRST), ({}, FLAT[:, 0])],
    "Reshape": [({"target_shape": [2, -1]}, STEPS), ({"target_shape": [3, 2]}, FLAT)],
    "BatchNormalization": [
        ({}, IMAGE),
        ({"axis": 1, "momentum": 0.7, "epsilon": 1e-2, "scale": False}, FIRST),
        (
            {
                "center": False,
                "beta_initializer": "ones",
                "gamma_initializer": "zeros",
                "moving_mean_initializer": "ones",
                "moving_variance_initializer": "zeros",
                "gamma_regularizer": "l2",
                "gamma_constraint": "non_neg",
            },
            FLAT,
        ),
        ({"trainable": False}, FLAT),
    ],
    "LayerNormalization": [
        ({}, STEPS),
        ({"axis": [1, 2], "epsilon": 1e-2, "center": False}, STEPS),
        (
            {"axis": 1, "scale": False, "beta_regularizer": "l2", "beta_constraint": "non_neg"},
            IMAGE,
        ),
    ],
    "Conv2D": [
        ({"filters": 3, "kernel_size": 3}, IMAGE),
        (
            {
                "filters": 4,
                "kernel_size": [3, 2],
                "strides": 2,
                "padding": "same",
                "groups": 2,
                "activation": "relu",
                "use_bias": False,
            },
            IMAGE,
        ),
        (
            {
                "filters": 2,
                "kernel_size": 2,
                "dilation_rate": [2, 1],
                "data_format": "channels_first",
                "bias_initializer": "ones",
                "kernel_regularizer": "l2",
                "kernel_constraint": {
                    "class_name": "MaxNorm",
                    "config": {"max_value": 1, "axis": [0, 1, 2]},
                },
            },
            FIRST,
        ),
    ],
    "MaxPooling2D": [
        ({}, IMAGE),
        ({"pool_size": [3, 2], "strides": 1, "padding": "same"}, IMAGE),
        ({"data_format": "channels_first"}, FIRST),
    ],
    "AveragePooling2D": [
        ({"pool_size": 2}, IMAGE),
        ({"pool_size": 3, "strides": [2, 1], "padding": "same"}, IMAGE),
        ({"pool_size": 2, "data_format": "channels_first"}, FIRST),
    ],
    "GlobalAveragePooling2D": [
        ({}, IMAGE),
        ({"data_format": "channels_first", "keepdims": True}, FIRST),
    ],
    "GlobalMaxPooling2D": [
        ({"keepdims": True}, IMAGE),
        ({"data_format": "channels_first"}, FIRST),
    ],
}
# What computes nothing by itself, and second names.
WITHOUT_CASES = {"Input", "InputLayer", "Layer"}
SECOND_NAMES = {
    "AvgPool2D": "AveragePooling2D",
    "Convolution2D": "Conv2D",
    "GlobalAvgPool2D": "GlobalAveragePooling2D",
    "GlobalMaxPool2D": "GlobalMaxPooling2D",
    "MaxPool2D": "MaxPooling2D",
}
# Options of Keras's configs that are off, or have no counterpart.
KERAS_ONLY = {
    "quantization_config", "renorm", "renorm_clipping", "renorm_momentum", "rms_scaling",
    "input_axes", "output_axes",
}  # fmt: skip


def ident(case):
    name, options, _ = case
    return f"{name}-{'-'.join(options)}"


ALL = [(name, *case) for name, cases in CASES.items() for case in cases]
every_case = pytest.mark.parametrize(("name", "options", "x"), ALL, ids=map(ident, ALL))


def pair(name, options, x, **more):
    """The layer and Keras's, built, with the same weights, none of them at its initial value."""
    theirs = getattr(keras.layers, name)(**options, **more)
    mine = getattr(layers, name)(**options, **more)
    theirs(x)
    mine(x)
    rng = np.random.default_rng(1)
    values = [rng.uniform(0.2, 1.5, w.shape).astype("float32") for w in mine.get_weights()]
    assert [v.shape for v in values] == [tuple(w.shape) for w in theirs.weights]
    mine.set_weights(values)
    theirs.set_weights(values)
    return mine, theirs


def run_keras(theirs, x, training, cotangent):
    """(outputs, gradients of input and weights, values of non-trainable variables after)."""
    params = [v.value for v in theirs.trainable_variables]
    states = [v.value for v in theirs.non_trainable_variables]
    takes_training = "training" in inspect.signature(theirs.call).parameters
    options = {"training": training} if takes_training else {}

    def loss(x, params):
        y, after = theirs.stateless_call(params, states, x, **options)
        return jnp.sum(y * cotangent(y.shape)), (y, after)

    which = 1 if isinstance(theirs, keras.layers.Embedding) else (0, 1)
    grads, (y, after) = jax.grad(loss, which, has_aux=True)(jnp.asarray(x), params)
    d_x, d_params = (None, grads) if which == 1 else grads
    return y, d_x, d_params, after


def run_weft(mine, x, training, cotangent):
    x = weft.convert_to_tensor(x)
    with weft.GradientTape() as tape:
        tape.watch(x)
        y = mine(x, training=training)
        loss = weft.ops.sum(y * cotangent(y.shape))
    d_x, d_params = tape.gradient(loss, [x, mine.trainable_variables])
    return y, d_x, d_params


def close(mine, theirs, tolerance):
    mine, theirs = (np.asarray(v, "float32") for v in (mine, theirs))
    assert mine.shape == theirs.shape
    np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)


# -- the list -----------------------------------------------------------------------------------


def test_every_public_layer_is_listed():
    public = set(layers.__all__)
    assert set(CASES) | WITHOUT_CASES | set(SECOND_NAMES) == public
    for second, first in SECOND_NAMES.items():
        assert getattr(layers, second) is getattr(layers, first)


# -- against Keras ------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True])
@every_case
def test_values_gradients_and_state_are_keras_s(name, options, x, training):
    mine, theirs = pair(name, options, x)

    def cotangent(shape):
        return np.random.default_rng(2).normal(size=shape).astype("float32")

    y, d_x, d_params = run_weft(mine, x, training, cotangent)
    their_y, their_d_x, their_d_params, after = run_keras(theirs, x, training, cotangent)
    assert y.dtype == their_y.dtype
    close(y, their_y, 2e-5)
    if their_d_x is not None:
        close(np.zeros_like(x) if d_x is None else d_x, their_d_x, 2e-4)
    assert len(d_params) == len(their_d_params)
    for grad, their_grad in zip(d_params, their_d_params):
        close(grad, their_grad, 2e-4)
    for variable, value in zip(mine.non_trainable_variables, after):
        if options.get("rate") != 1:  # Keras draws nothing then
            close(variable, value, 1e-5)


@pytest.mark.parametrize("training", [False, True])
@every_case
def test_half_precision_is_keras_s(name, options, x, training):
    mine, theirs = pair(name, options, x, dtype="mixed_bfloat16")
    takes_training = "training" in inspect.signature(theirs.call).parameters
    their_y = theirs(x, training=training) if takes_training else theirs(x)
    y = mine(x, training=training)
    assert y.dtype == their_y.dtype == "bfloat16"
    # One step of bfloat16 is 2**-8.
    close(y, np.asarray(their_y, "float32"), 0.02)
    assert {v.dtype for v in mine.weights} <= {"float32"}


@every_case
def test_penalties_are_keras_s(name, options, x):
    mine, theirs = pair(name, options, x)
    mine(x)
    theirs(x)
    close(sum(map(float, mine.losses)), sum(map(float, theirs.losses)), 1e-5)


def same_config(mine, theirs):
    """Whether two configs mean the same, nested ones included."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        keys = set(mine) | set(theirs)
        return all(same_config(mine.get(k), theirs.get(k)) for k in keys - KERAS_ONLY - {"name"})
    if isinstance(theirs, dict) and theirs.get("class_name") == "DTypePolicy":
        return mine == theirs["config"]["name"]
    if isinstance(mine, list | tuple) and isinstance(theirs, list | tuple):
        return len(mine) == len(theirs) and all(map(same_config, mine, theirs))
    if isinstance(mine, float):
        return mine == pytest.approx(theirs, rel=1e-6)  # Keras's L1 keeps a float32
    return mine == theirs


@every_case
def test_configs_are_keras_s_both_ways(name, options, x):
    mine, theirs = getattr(layers, name)(**options), getattr(keras.layers, name)(**options)
    config, their_config = mine.get_config(), theirs.get_config()
    assert same_config(config, their_config), (config, their_config)
    assert same_config(type(mine).from_config(their_config).get_config(), their_config)
    assert same_config(config, type(theirs).from_config(config).get_config())
    again = type(mine).from_config(config)
    assert again.get_config() == config
    numbered = re.compile(r"_\d+$")
    assert numbered.sub("", mine.name) == numbered.sub("", theirs.name)
    assert again.name == mine.name


# -- weft's own promises --------------------------------------------------------------------------


@every_case
def test_same_in_the_loop_and_in_a_function(name, options, x):
    mine, _ = pair(name, options, x)
    start = [v.numpy() for v in mine.variables]
    traced = weft.function(lambda x: mine(x, training=True))
    found = []
    for call in (lambda x: mine(x, training=True), traced):
        for variable, value in zip(mine.variables, start):
            variable.assign(value)
        x = weft.convert_to_tensor(x)
        outputs = [call(x).numpy() for _ in range(2)]  # the second sees the first's state
        found.append((outputs, [v.numpy() for v in mine.variables]))
    (loop, loop_state), (trace, trace_state) = found
    for a, b in [*zip(loop, trace), *zip(loop_state, trace_state)]:
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


@every_case
def test_building_compiles_nothing(name, options, x):
    before = weft.config.compile_count()
    layer = getattr(layers, name)(**options)
    layer.build(x.shape)
    assert layer.built
    layer.get_weights()
    layer.set_weights(layer.get_weights())
    assert weft.config.compile_count() == before


@every_case
def test_a_second_step_compiles_nothing(name, options, x):
    layer = getattr(layers, name)(**options)

    def step():
        with weft.GradientTape() as tape:
            loss = weft.ops.sum(layer(x, training=True)) + sum(layer.losses)
        grads = tape.gradient(loss, layer.trainable_variables)
        return float(loss), [g.numpy() for g in grads if g is not None]

    step(), step()
    before = weft.config.compile_count()
    step(), step()
    assert weft.config.compile_count() == before


@every_case
def test_shapes_are_known_before_anything_is_computed(name, options, x):
    layer = getattr(layers, name)(**options)
    y = layer(x)
    before = weft.config.compile_count()
    y = layer(x)
    assert y._value is None or weft.config.compile_count() == before
    assert tuple(y.shape) == y.numpy().shape


@pytest.mark.parametrize(
    ("name", "options", "x"),
    [case for case in ALL if case[0] in ("BatchNormalization", "Dropout")],
)
def test_state_is_carried_by_a_loop(name, options, x):
    mine, _ = pair(name, options, x)
    start = [v.numpy() for v in mine.variables]
    y = weft.convert_to_tensor(x)
    for _ in range(3):
        y = mine(y, training=True)
    expected = [y.numpy(), *(v.numpy() for v in mine.variables)]
    for variable, value in zip(mine.variables, start):
        variable.assign(value)
    y = weft.ops.fori_loop(0, 3, lambda i, y: mine(y, training=True), x)
    for a, b in zip([y, *mine.variables], expected):
        np.testing.assert_allclose(a.numpy(), b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "x"),
    [case for case in ALL if case[0] in ("Dense", "Conv2D", "BatchNormalization")],
)
def test_a_step_of_fit(name, options, x):
    """The layer's weights move under `fit`, as far as they are trained."""
    model = weft.Sequential([getattr(layers, name)(**options), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    model(x)
    before = [v.numpy() for v in model.layers[0].trainable_variables]
    model.fit(x, np.ones((len(x), 1), "float32"), batch_size=len(x), epochs=1, verbose=0)
    after = [v.numpy() for v in model.layers[0].trainable_variables]
    # A zero gamma times nothing but zeros after it may rest; some weight of each layer moves.
    assert not before or any((a != b).any() for a, b in zip(before, after))
