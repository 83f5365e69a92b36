"""Activations, regularizers and constraints against Keras."""

import inspect

import keras
import numpy as np
import pytest

import weft
from weft import activations, constraints, regularizers

rng = np.random.default_rng(5)
X = (2 * rng.normal(size=(6, 6))).astype("float32")

# -- activations ------------------------------------------------------------------------------

ARGUMENTS = {"threshold": (0.3, -1.0)}
FUNCTIONS = [n for n in activations.__all__ if n not in ("get", "serialize", "deserialize")]


def test_every_keras_activation_is_there():
    assert set(FUNCTIONS) == set(keras.src.activations.ALL_OBJECTS_DICT)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activation(name):
    ours, theirs = activations.get(name), keras.activations.get(name)
    arguments = ARGUMENTS.get(name, ())
    if name == "sparsemax":  # Keras's does not sum to one; see tests/ops
        assert ours(X).numpy().sum(-1) == pytest.approx(np.ones(6))
        return
    want = np.asarray(theirs(X, *arguments))
    np.testing.assert_allclose(weft.ops.copy(ours(X, *arguments)), want, rtol=1e-5, atol=1e-6)
    assert activations.get(activations.serialize(ours)) is ours
    assert activations.serialize(ours) == keras.activations.serialize(theirs)


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n not in ("threshold", "linear")])
def test_activation_defaults(name):
    ours = inspect.signature(activations.get(name)).parameters.values()
    theirs = inspect.signature(getattr(keras.activations, name)).parameters.values()
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]


@pytest.mark.parametrize(
    "options",
    [
        {"negative_slope": 0.2}, {"max_value": 1.0}, {"threshold": 0.5}, {"threshold": -0.5},
        {"negative_slope": 0.1, "max_value": 2.0, "threshold": 0.4},
    ],
)  # fmt: skip
def test_relu_options(options):
    want = np.asarray(keras.activations.relu(X, **options))
    np.testing.assert_allclose(activations.relu(X, **options).numpy(), want, rtol=1e-6)


def test_activation_lookup():
    assert activations.get(None) is activations.linear and activations.linear(X) is X
    own = lambda x: x  # noqa: E731
    assert activations.get(own) is own
    assert activations.deserialize("own", {"own": own}) is own
    assert activations.serialize(None) is None
    with pytest.raises(ValueError, match=r"unknown activation 'reluu'. Did you mean 'relu'"):
        activations.get("reluu")
    with pytest.raises(ValueError, match="3 is no activation"):
        activations.get(3)


# -- regularizers -----------------------------------------------------------------------------

PENALTIES = [
    regularizers.L1(0.1), regularizers.L2(0.2), regularizers.L1L2(0.1, 0.2),
    regularizers.L1L2(), regularizers.OrthogonalRegularizer(0.5),
]  # fmt: skip
PROJECTIONS = [
    constraints.MaxNorm(1.5), constraints.MaxNorm(1.5, 1), constraints.NonNeg(),
    constraints.UnitNorm(), constraints.UnitNorm([0, 1]),
    constraints.MinMaxNorm(1.0, 2.0, 0.7, 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("module", "ours"),
    [*((regularizers, p) for p in PENALTIES), *((constraints, p) for p in PROJECTIONS)],
    ids=lambda p: type(p).__name__,
)
def test_same_as_keras(module, ours):
    config = module.serialize(ours)
    theirs = getattr(keras, module.__name__.split(".")[1]).deserialize(config)
    want = np.asarray(theirs(X))
    got = ours(X)
    assert got.shape == want.shape
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-5, atol=1e-6)
    again = module.deserialize(config)
    assert type(again) is type(ours) and again.get_config() == ours.get_config()
    assert {**theirs.get_config(), **ours.get_config()}.keys() == theirs.get_config().keys()


@pytest.mark.parametrize("module", [regularizers, constraints])
def test_lookup(module):
    known = getattr(keras.src, module.__name__.split(".")[1]).ALL_OBJECTS_DICT
    for name in known:
        if name.lower() not in ("regularizer", "constraint"):
            assert callable(module.get(name))
    assert module.get(None) is None
    own = lambda x: x  # noqa: E731
    assert module.get(own) is own


def test_orthogonal_columns_are_the_rows_of_the_transpose():
    # Keras 3.15 divides columns by the wrong norms, and fails unless the matrix is square.
    rows, columns = (regularizers.OrthogonalRegularizer(0.5, m) for m in ("rows", "columns"))
    assert float(columns(X[:4])) == pytest.approx(float(rows(X[:4].T)))


def test_penalties_have_gradients():
    w = weft.Variable(X)
    with weft.GradientTape() as tape:
        loss = regularizers.L2(0.5)(w) + regularizers.L1(1.0)(w)
    np.testing.assert_allclose(tape.gradient(loss, w).numpy(), X + np.sign(X), rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: regularizers.get("l3"), "unknown regularizer 'l3'. Known: L1, L1L2, L2, "),
        (lambda: regularizers.L2("a"), "l2 must be a finite number, not below 0; got 'a'"),
        (lambda: regularizers.L1(float("nan")), "l1 must be a finite number"),
        (lambda: regularizers.OrthogonalRegularizer(mode="row"), "mode is 'rows' or 'columns'"),
        (lambda: regularizers.OrthogonalRegularizer()(X[0]), r"the weight's shape is \(6,\)"),
        (lambda: constraints.get("maxnorm"), "unknown constraint 'maxnorm'. Did you mean 'MaxNorm"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()
