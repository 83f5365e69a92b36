"""Regularizers and constraints against Keras: values, gradients, names, configs, bad input."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import weft
from weft import constraints, regularizers

rng = np.random.default_rng(5)
X = (2 * rng.normal(size=(6, 6))).astype("float32")
KERNEL = rng.normal(size=(2, 3, 4, 5)).astype("float32")
LARGE = np.where(np.eye(6) > 0, 1e4, np.where(X > 1, -1e4, 0)).astype("float32")

PENALTIES = [
    regularizers.L1(0.1), regularizers.L2(0.2), regularizers.L1L2(0.1, 0.2),
    regularizers.L1L2(), regularizers.OrthogonalRegularizer(0.5),
]  # fmt: skip
PROJECTIONS = [
    constraints.MaxNorm(1.5), constraints.MaxNorm(1.5, 1), constraints.NonNeg(),
    constraints.UnitNorm(), constraints.UnitNorm([0, 1]), constraints.MaxNorm(0, -1),
    constraints.MinMaxNorm(1.0, 2.0, 0.7, 1), constraints.MinMaxNorm(1.0, 1.0, 0.0),
]  # fmt: skip
BOTH = [*((regularizers, p) for p in PENALTIES), *((constraints, p) for p in PROJECTIONS)]
KINDS = lambda p: type(p).__name__ if not hasattr(p, "get") else None  # noqa: E731


def original(module):
    return getattr(keras, module.__name__.split(".")[1])


@pytest.mark.parametrize(("module", "ours"), BOTH, ids=KINDS)
def test_same_as_keras(module, ours):
    config = module.serialize(ours)
    theirs = original(module).deserialize(config)
    for x in (X, LARGE, 0 * X):
        want = np.asarray(theirs(x))
        got = ours(x)
        assert got.shape == want.shape
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-5, atol=1e-6)
    again = module.deserialize(config)
    assert type(again) is type(ours) and again.get_config() == ours.get_config()
    back = module.deserialize(original(module).serialize(theirs))
    assert type(back) is type(ours)
    for key, value in ours.get_config().items():  # Keras keeps factors in float32
        near = pytest.approx(value) if isinstance(value, float) else value
        assert back.get_config()[key] == near
    assert {**theirs.get_config(), **ours.get_config()}.keys() == theirs.get_config().keys()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("module", "ours"), BOTH, ids=KINDS)
def test_half_precision(module, ours, dtype):
    # A sum of squares may be infinite in float16 though the result is a number.
    x = jnp.asarray(100 * np.abs(X), dtype) if module is constraints else jnp.asarray(9 * X, dtype)
    got = ours(x)
    assert got.dtype == dtype
    want = np.asarray(ours(x.astype("float32")))
    np.testing.assert_allclose(got.numpy().astype("float32"), want, rtol=1e-2)


@pytest.mark.parametrize("ours", PENALTIES, ids=KINDS)
def test_gradients_of_penalties(ours):
    theirs = keras.regularizers.deserialize(regularizers.serialize(ours))
    w = weft.Variable(X)
    with weft.GradientTape() as tape:
        loss = ours(w)
    want = jax.jit(jax.grad(lambda x: jnp.asarray(theirs(x), "float32")))(X)
    np.testing.assert_allclose(tape.gradient(loss, w).numpy(), want, rtol=1e-4, atol=1e-6)


def test_axes_of_a_convolution():
    w = constraints.UnitNorm(axis=[0, 1, 2])(KERNEL).numpy()
    np.testing.assert_allclose((w**2).sum((0, 1, 2)), 1, rtol=1e-5)
    want = np.asarray(keras.constraints.MaxNorm(0.7, axis=[0, 1, 2])(KERNEL))
    got = constraints.MaxNorm(0.7, axis=(0, 1, 2))(KERNEL).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_orthogonal_columns_are_the_rows_of_the_transpose():
    # Keras 3.15 divides columns by the wrong norms, and fails unless the matrix is square.
    rows, columns = (regularizers.OrthogonalRegularizer(0.5, m) for m in ("rows", "columns"))
    assert float(columns(X[:4])) == pytest.approx(float(rows(X[:4].T)))
    unit = X[:4] / np.linalg.norm(X[:4], axis=0)
    cosines = np.abs(unit.T @ unit)[np.triu_indices(6, 1)]
    assert float(columns(X[:4])) == pytest.approx(0.5 * cosines.mean(), rel=1e-5)


# -- names and configs ------------------------------------------------------------------------


@pytest.mark.parametrize("module", [regularizers, constraints])
def test_lookup(module):
    known = getattr(keras.src, module.__name__.split(".")[1]).ALL_OBJECTS_DICT
    for name in known:
        if name.lower() not in ("regularizer", "constraint"):
            ours, theirs = module.get(name), original(module).get(name)
            assert type(ours).__name__ == type(theirs).__name__
            assert ours.get_config() == pytest.approx(theirs.get_config())
    assert module.get(None) is None and module.serialize(None) is None
    own = lambda x: x  # noqa: E731
    assert module.get(own) is own


def test_keras_2_spellings():
    assert regularizers.get("l1_l2").get_config() == {"l1": 0.01, "l2": 0.01}
    config = {"class_name": "l1_l2", "config": {"l1": 0.5, "l2": 0.0}}
    assert regularizers.deserialize(config).get_config() == {"l1": 0.5, "l2": 0.0}
    assert regularizers.l2(l=0.5).get_config() == {"l2": 0.5}
    assert regularizers.l1(l=0.5).get_config() == {"l1": 0.5}
    for name, kind in (("maxnorm", "MaxNorm"), ("nonneg", "NonNeg"), ("unitnorm", "UnitNorm")):
        assert isinstance(constraints.get(name), getattr(constraints, kind))
    assert weft.tf.keras.constraints.max_norm is constraints.MaxNorm
    assert weft.tf.keras.regularizers.l1_l2 is regularizers.L1L2


def doubled(x):
    return 2 * weft.ops.sum(x)


@pytest.mark.parametrize("module", [regularizers, constraints])
def test_functions_of_the_user_s_own(module):
    config = module.serialize(doubled)
    assert config == original(module).serialize(doubled)
    assert module.deserialize(config, {"doubled": doubled}) is doubled
    with weft.utils.custom_object_scope({"doubled": doubled}):
        assert module.get("doubled") is doubled and module.deserialize(config) is doubled
    with pytest.raises(ValueError, match=f"unknown {module.__name__[5:-1]} 'doubled'"):
        module.deserialize(config)


@pytest.mark.parametrize("module", [regularizers, constraints])
def test_classes_of_the_user_s_own(module):
    base = module.Regularizer if module is regularizers else module.Constraint

    class Empty(base):
        pass

    @weft.utils.register_keras_serializable("mine")
    class Scaled(base):
        def __init__(self, by):
            self.by = by

        def __call__(self, x):
            return self.by * weft.ops.sum(x)

        def get_config(self):
            return {"by": self.by}

    config = module.serialize(Scaled(3))
    assert config["registered_name"] == "mine>Scaled" and config["config"] == {"by": 3}
    assert module.deserialize(config).by == 3
    assert module.deserialize(module.serialize(Empty()), {"Empty": Empty}).get_config() == {}
    with pytest.raises(NotImplementedError, match=r"Empty needs a method __call__\("):
        Empty()(X)


# -- in layers --------------------------------------------------------------------------------


def test_penalties_of_a_layer():
    layer = weft.layers.Dense(
        2, kernel_regularizer="l2", bias_regularizer=doubled, activity_regularizer="l1"
    )
    x = rng.normal(size=(4, 3)).astype("float32")
    output = layer(x)
    kernel = layer.kernel.numpy()
    want = [0.01 * np.abs(output.numpy()).sum() / 4, 0.01 * (kernel**2).sum(), 0]
    assert sorted(map(float, layer.losses)) == pytest.approx(sorted(want), rel=1e-5)
    again = weft.layers.Dense.from_config(
        keras.layers.Dense(2, kernel_regularizer=keras.regularizers.L1L2(0.1, 0.2)).get_config()
    )
    assert again.kernel_regularizer.l2 == pytest.approx(0.2)


def test_what_a_regularizer_returns_is_looked_at():
    layer = weft.layers.Dense(2, kernel_regularizer=weft.ops.abs, name="d")
    layer.build((None, 3))
    with pytest.raises(
        weft.ShapeError, match=r"regularizer abs\w* of d/kernel returned shape \(3, 2\); a penalty"
    ):
        _ = layer.losses
    model = weft.Sequential([layer])
    model.compile("sgd", "mse")
    before = layer.kernel.numpy()
    with pytest.raises(weft.ShapeError, match=r"of .*d/kernel returned shape"):
        model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    np.testing.assert_array_equal(layer.kernel.numpy(), before)
    layer = weft.layers.Dense(2, activity_regularizer=weft.ops.square, name="e")
    with pytest.raises(weft.ShapeError, match=r"of the output of e returned shape \(4, 2\)"):
        layer(np.ones((4, 3), "float32"))
    layer = weft.layers.Dense(2, bias_regularizer=lambda b: None, name="f")
    layer.build((None, 3))
    with pytest.raises(TypeError, match=r"<lambda> of f/bias returned None, not a scalar"):
        _ = layer.losses


def test_what_a_constraint_returns_is_looked_at():
    w = weft.Variable(X, constraint=lambda w: w[:2], name="w")
    optimizer = weft.optimizers.SGD(0.1)
    with pytest.raises(weft.ShapeError, match=r"constraint of variable 'w' returned shape \(2, 6"):
        optimizer.apply_gradients([(X, w)])
    np.testing.assert_array_equal(w.numpy(), X)
    assert int(optimizer.iterations) == 0


def test_constraints_hold_after_every_update():
    layer = weft.layers.Dense(4, kernel_constraint="unit_norm", bias_constraint="nonneg")
    model = weft.Sequential([layer])
    model.compile("sgd", "mse")
    model.fit(X, np.full((6, 4), -5.0), batch_size=3, verbose=0)
    np.testing.assert_allclose((layer.kernel.numpy() ** 2).sum(0), 1, rtol=1e-5)
    assert (layer.bias.numpy() >= 0).all()


# -- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: regularizers.get("l3"), "unknown regularizer 'l3'. Known: L1, L1L2, L2, "),
        (lambda: regularizers.get(3), "3 is no regularizer: give a name"),
        (lambda: regularizers.deserialize({}), "the config of a regularizer is a dict with"),
        (lambda: regularizers.L2("a"), "L2: l2 must be a finite number, not below 0; got 'a'"),
        (lambda: regularizers.L2(-0.1), "L2: l2 must be .* got -0.1"),
        (lambda: regularizers.L1(float("nan")), "L1: l1 must be a finite number"),
        (lambda: regularizers.L1L2(l2=float("inf")), "L1L2: l2 must be a finite number"),
        (lambda: regularizers.OrthogonalRegularizer(-1), "OrthogonalRegularizer: factor must be"),
        (lambda: regularizers.OrthogonalRegularizer(mode="row"), "mode is 'rows' or 'columns'"),
        (lambda: regularizers.OrthogonalRegularizer()(X[0]), r"the weight's shape is \(6,\)"),
        (
            lambda: constraints.get("max_nrm"),
            "constraint 'max_nrm'. Did you mean 'max_norm' or 'maxnorm'",
        ),
        (lambda: constraints.MaxNorm(-1), "MaxNorm: max_value must be .* not below 0; got -1"),
        (lambda: constraints.MinMaxNorm(2, 1), "min_value must not be above max_value, got min_v"),
        (
            lambda: constraints.MinMaxNorm(rate=1.5),
            r"MinMaxNorm: rate must be in \[0, 1\]",
        ),
        (lambda: constraints.MinMaxNorm(rate=-0.5), "MinMaxNorm: rate must be .* got -0.5"),
        (lambda: constraints.UnitNorm("a"), "UnitNorm: axis must be an integer .* got 'a'"),
        (lambda: constraints.UnitNorm([]), r"UnitNorm: axis must be an integer .* got \[\]"),
        (lambda: constraints.UnitNorm(2)(X), r"UnitNorm: axis=2 is no axis .* shape \(6, 6\)"),
        (lambda: constraints.MaxNorm(1, [0, -3])(X), r"MaxNorm: axis=\[0, -3\] is no axis"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()
