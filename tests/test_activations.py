"""Activations against Keras: values and gradients, names, configs."""

import inspect
import pickle

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import weft
from weft import activations

rng = np.random.default_rng(5)
# Ordinary numbers, the corners of the piecewise ones, and numbers at which exp overflows.
POINTS = np.concatenate(
    [[0.0, 1e4, -1e4, 1e-3, -1e-3, 0.5, -0.5, 1.0, 3.0, -3.0, 20.0, -20.0, 88.0, -88.0, 90.0],
     2 * rng.normal(size=17)]
).astype("float32").reshape(4, 8)  # fmt: skip
WEIGHTS = rng.normal(size=(4, 8)).astype("float32")
# Absolute and relative error of a few rounded operations.
CLOSE = {"float32": 2e-6, "float16": 2e-3, "bfloat16": 2e-2}

ARGUMENTS = {"threshold": (0.3, -1.0)}
FUNCTIONS = [n for n in activations.__all__ if n not in ("get", "serialize", "deserialize")]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_pickles(name):
    function = getattr(activations, name)
    function(POINTS, *ARGUMENTS.get(name, ()))
    assert pickle.loads(pickle.dumps(function)) is function


def test_every_keras_activation_is_there():
    assert set(FUNCTIONS) == set(keras.src.activations.ALL_OBJECTS_DICT)


def values_and_gradients(name, x):
    """Keras's, of Σ weights · f(x), in float32."""
    function = getattr(keras.activations, name)
    arguments = ARGUMENTS.get(name, ())
    shape = jax.eval_shape(lambda v: function(v, *arguments), x).shape

    def both(v):
        value, pull = jax.vjp(lambda v: function(v, *arguments), v)
        return value, pull(jnp.asarray(WEIGHTS[:, : shape[1]]))[0]

    return map(np.asarray, jax.jit(both)(x))


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n not in ("sparsemax", "linear")])
def test_values_and_gradients_are_keras(name):
    points = np.minimum(POINTS, 10) if name == "exponential" else POINTS
    for dtype, close in CLOSE.items():
        x = jnp.asarray(points, dtype)
        want, expected = values_and_gradients(name, x.astype("float32"))
        v = weft.Variable(x)
        with weft.GradientTape() as tape:
            got = getattr(activations, name)(v, *ARGUMENTS.get(name, ()))
            weights = WEIGHTS[:, : got.shape[1]]
            loss = weft.ops.sum(weft.ops.cast(got, "float32") * weights)
        slope = tape.gradient(loss, v).numpy().astype("float32")
        assert got.dtype == dtype
        got = got.numpy().astype("float32")
        np.testing.assert_allclose(got, want, rtol=close, atol=close, err_msg=dtype)
        np.testing.assert_allclose(slope, expected, rtol=close, atol=close, err_msg=dtype)


def sparsemax_by_hand(row):
    """The projection by bisection on τ, at which Σ max(x - τ, 0) is 1."""
    low, high = row.max() - 1, row.max()
    for _ in range(60):
        tau = (low + high) / 2
        low, high = (tau, high) if np.maximum(row - tau, 0).sum() > 1 else (low, tau)
    return np.maximum(row - tau, 0)


@pytest.mark.parametrize("dtype", CLOSE)
def test_sparsemax(dtype):
    # Keras's does not sum to one where a score outside the support precedes one in it.
    x = jnp.asarray(POINTS, dtype)
    want = np.stack([sparsemax_by_hand(row) for row in np.asarray(x, "float64")])
    v = weft.Variable(x)
    with weft.GradientTape() as tape:
        got = activations.sparsemax(v)
        loss = weft.ops.sum(weft.ops.cast(got, "float32") * WEIGHTS)
    np.testing.assert_allclose(got.numpy().astype("float32"), want, atol=CLOSE[dtype])
    np.testing.assert_allclose(got.numpy().astype("float32").sum(-1), 1, atol=CLOSE[dtype])
    # The gradient is the weights within the support, less their mean there.
    support = want > 0
    mean = (WEIGHTS * support).sum(-1) / support.sum(-1)
    expected = np.where(support, WEIGHTS - mean[:, None], 0)
    slope = tape.gradient(loss, v).numpy().astype("float32")
    np.testing.assert_allclose(slope, expected, atol=CLOSE[dtype])


@pytest.mark.parametrize(
    "options",
    [
        {"negative_slope": 0.2}, {"max_value": 1.0}, {"threshold": 0.6}, {"threshold": -0.6},
        {"negative_slope": 0.1, "max_value": 2.0, "threshold": 0.4},
    ],
)  # fmt: skip
def test_relu_options(options):
    want = np.asarray(keras.activations.relu(POINTS, **options))
    np.testing.assert_allclose(activations.relu(POINTS, **options).numpy(), want, rtol=1e-6)
    if "negative_slope" in options:
        keras_2 = {**options, "alpha": options["negative_slope"]}
        del keras_2["negative_slope"]
        np.testing.assert_allclose(activations.relu(POINTS, **keras_2).numpy(), want, rtol=1e-6)


def test_relu_keeps_its_threshold():
    # As documented, x where x ≥ threshold; Keras 3.15 gives 0 at the threshold itself.
    assert activations.relu([0.5, 0.4], threshold=0.5).numpy().tolist() == [0.5, 0.0]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("celu", {"alpha": 0.5}), ("elu", {"alpha": 0.5}), ("gelu", {"approximate": True}),
        ("glu", {"axis": 0}), ("hard_shrink", {"threshold": 1.0}), ("softmax", {"axis": 0}),
        ("leaky_relu", {"negative_slope": 0.4}), ("log_softmax", {"axis": 0}),
        ("soft_shrink", {"threshold": 1.0}), ("squareplus", {"b": 2}),
        ("threshold", {"threshold": 1, "default_value": 5}),
    ],
)  # fmt: skip
def test_options(name, options):
    want = np.asarray(getattr(keras.activations, name)(POINTS, **options))
    got = getattr(activations, name)(POINTS, **options).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


# -- names and configs ------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_names_and_configs(name):
    ours, theirs = activations.get(name), keras.activations.get(name)
    assert activations.get(activations.serialize(ours)) is ours
    assert activations.serialize(ours) == keras.activations.serialize(theirs)
    assert keras.activations.get(activations.serialize(ours)) is theirs


def half(x):
    return 0.5 * x


def test_functions_of_the_user_s_own():
    assert activations.get(half) is half
    config = activations.serialize(half)
    assert config == keras.activations.serialize(half)
    assert activations.deserialize(config, {"half": half}) is half
    assert activations.deserialize("half", {"half": half}) is half
    with weft.utils.custom_object_scope({"half": half}):
        assert activations.get("half") is half
        layer = weft.layers.Dense(2, activation=half)
        again = weft.layers.Dense.from_config(layer.get_config())
        assert again.activation is half
    with pytest.raises(ValueError, match="unknown activation 'half'"):
        activations.deserialize(config)


def test_registered_functions_open_on_both_sides():
    @keras.saving.register_keras_serializable("mine")
    @weft.utils.register_keras_serializable("mine")
    def thirds(x):
        return x / 3

    config = activations.serialize(thirds)
    assert config == keras.activations.serialize(thirds)
    assert activations.deserialize(config) is thirds is keras.activations.deserialize(config)


def test_objects_as_activations():
    @weft.utils.register_keras_serializable("mine")
    class Power(weft.layers.Layer):
        def __init__(self, p=2, **kwargs):
            super().__init__(**kwargs)
            self.p = p

        def call(self, inputs):
            return inputs**self.p

        def get_config(self):
            return {**super().get_config(), "p": self.p}

    again = activations.deserialize(activations.serialize(Power(3)))
    assert type(again) is Power and again.p == 3


def test_lookup():
    assert activations.get(None) is activations.linear
    x = weft.ops.ones(2)
    assert activations.linear(x) is x
    assert activations.serialize(None) is None
    assert activations.swish is activations.silu
    with pytest.raises(ValueError, match=r"unknown activation 'reluu'. Did you mean 'relu'"):
        activations.get("reluu")
    with pytest.raises(ValueError, match="3 is no activation"):
        activations.get(3)

    class Nameless:
        def __call__(self, x):
            return x

    with pytest.raises(TypeError, match=r"cannot write the activation .* neither get_config nor"):
        activations.serialize(Nameless())


def test_an_axis_that_is_not_there():
    with pytest.raises(ValueError, match=r"softmax\(float32\[4, 8\], axis=3\): .*axis 3"):
        activations.softmax(POINTS, axis=3)


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n not in ("threshold", "linear")])
def test_defaults(name):
    ours = list(inspect.signature(activations.get(name)).parameters.values())
    theirs = list(inspect.signature(getattr(keras.activations, name)).parameters.values())
    same = [(p.name, p.default) for p in ours[: len(theirs)]]
    assert same == [(p.name, p.default) for p in theirs]
    assert all(p.default is None for p in ours[len(theirs) :])
