"""Operations beyond their values: gradients, operands, kernels, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import weft
from weft import ops

rng = np.random.default_rng(3)


def signed(*shape):
    return rng.normal(size=shape).astype("float32")


def gradient(function, *arrays):
    tensors = [weft.ops.convert_to_tensor(a) for a in arrays]
    with weft.GradientTape() as tape:
        for tensor in tensors:
            tape.watch(tensor)
        target = function(*tensors)
    return [None if g is None else g.numpy() for g in tape.gradient(target, tensors)]


# -- gradients --------------------------------------------------------------------------------

X, Y = signed(3, 4), signed(3, 4)
LABELS = np.array([1, 3, 0])
SMOOTH = {
    "tanh": lambda x: ops.tanh(x),
    "power": lambda x: ops.power(ops.abs(x) + 1.0, 1.5),
    "divide_no_nan": lambda x: ops.divide_no_nan(X, ops.abs(x) + 0.5),
    "logsumexp": lambda x: ops.logsumexp(x, 1),
    "var": lambda x: ops.var(x, 0),
    "norm": lambda x: ops.norm(x, axis=1),
    "prod": lambda x: ops.prod(x, 1),
    "cumsum": lambda x: ops.cumsum(x, 1) * Y,
    "softmax": lambda x: ops.softmax(x) * Y,
    "gelu": lambda x: ops.gelu(x),
    "take": lambda x: ops.take(x, [2, 0, 2], 0) * Y,
    "where": lambda x: ops.where(Y > 0, x * x, 0.0),
    "pad": lambda x: ops.pad(x, 1, constant_values=2.0) ** 2,
    "concatenate": lambda x: ops.concatenate([x, x * x], 1) * np.concatenate([Y, X], 1),
    "slice_update": lambda x: ops.slice_update(x, (0, 1), x[:2, :2] ** 2),
    "segment_sum": lambda x: ops.segment_sum(x, [0, 1, 0], 2) ** 2,
    "einsum": lambda x: ops.einsum("ij,kj->ik", x, x),
    "dense": lambda x: ops.dense(x, Y.T, X[:, 0]) ** 2,
    "layer_normalization": lambda x: ops.layer_normalization(x, Y[0], Y[1]) * X,
    "batch_normalization": lambda x: ops.batch_normalization(x, X[0], Y[0] ** 2, -1, Y[1], Y[2]),
    "moments": lambda x: ops.moments(x, 0)[1],
    "normalize": lambda x: ops.normalize(x, 1) * Y,
    "sparsemax": lambda x: ops.sparsemax(x) * Y,
    "binary_crossentropy": lambda x: ops.binary_crossentropy(Y > 0, x, from_logits=True),
    "categorical_crossentropy": lambda x: ops.categorical_crossentropy(np.abs(Y), ops.exp(x)),
    "sparse_categorical_crossentropy": lambda x: ops.sparse_categorical_crossentropy(
        LABELS, x, from_logits=True
    ),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradient_is_the_slope(name):
    x, way = signed(3, 4), signed(3, 4)
    total = lambda x: ops.sum(SMOOTH[name](x))  # noqa: E731
    (slope,) = gradient(total, x)
    step = 1e-2
    ahead, behind = (float(total(x + s * step * way)) for s in (1, -1))
    measured = (ahead - behind) / (2 * step)
    assert (slope * way).sum() == pytest.approx(measured, rel=2e-2, abs=2e-2)


@pytest.mark.parametrize(
    ("function", "at_zero"),
    [(ops.relu, 0.0), (lambda x: ops.normalize(x, 0), 1e7)],
)
def test_gradient_at_zero(function, at_zero):
    (slope,) = gradient(lambda x: ops.sum(function(x)), np.zeros(1, "float32"))
    assert slope == pytest.approx([at_zero])


@pytest.mark.parametrize("exponent", [2, 2.0, 3, 5, -1.0, 0.5, 1.5])
def test_powers_and_their_gradients(exponent):
    x = np.array([0.5, 2.0, 3.0], "float32")
    for power in (lambda x: x**exponent, lambda x: ops.power(x, exponent)):
        np.testing.assert_allclose(power(ops.array(x)).numpy(), x**exponent, rtol=1e-5)
        (slope,) = gradient(power, x)
        np.testing.assert_allclose(slope, exponent * x ** (exponent - 1), rtol=1e-5)
    (slope,) = gradient(lambda x: x**2, np.array([0.0, -2.0], "float32"))
    assert slope.tolist() == [0, -4]
    assert (ops.array([1, 2]) ** 2).dtype == "int32" and (ops.array([1]) ** 2.0).dtype == "float32"


def test_stop_gradient():
    (none,) = gradient(lambda x: ops.stop_gradient(x) * 2.0, X)
    assert none is None
    (slope,) = gradient(lambda x: ops.stop_gradient({"a": x})["a"] * x, X)
    np.testing.assert_allclose(slope, X)


# -- operands ---------------------------------------------------------------------------------


def test_numbers_are_inputs_of_the_program():
    x = ops.convert_to_tensor(X)
    ops.clip(ops.power(x * 2.0, 2), -1.0, 1.0).numpy()
    before = weft.config.compile_count()
    for k in range(3, 6):
        got = ops.clip(ops.power(x * float(k), 2), -k / 2, k / 2).numpy()
        np.testing.assert_allclose(got, np.clip((X * k) ** 2, -k / 2, k / 2), rtol=1e-5)
    assert weft.config.compile_count() == before


def test_lists_arrays_and_keywords_are_operands():
    assert ops.add([1, 2], (3, 4)).numpy().tolist() == [4, 6]
    assert ops.exp(x=[0.0]).numpy().tolist() == [1.0]
    assert ops.maximum(x1=weft.Variable([1.0, 5.0]), x2=jnp.array([3.0, 3.0])).shape == (2,)
    assert ops.sum([weft.Variable(1.0), 2.0]).numpy() == 3
    assert ops.sum(np.ones((2, 3)), axis=np.int64(0)).shape == (3,)
    assert ops.reshape(X, ops.convert_to_tensor([4, 3])).shape == (4, 3)


def test_shapes_are_plain():
    assert ops.shape(X) == (3, 4) and isinstance(ops.shape(X), tuple)
    assert ops.shape([[1, 2]]) == (1, 2)
    assert (ops.ndim(X), ops.size(X), ops.dtype(X)) == (2, 12, "float32")


def test_is_tensor():
    assert ops.is_tensor(ops.ones(1)) and ops.is_tensor(weft.Variable(1.0))
    assert ops.is_tensor(jnp.ones(1)) and not ops.is_tensor(X) and not ops.is_tensor([1.0])


def test_convert_to_tensor_keeps_what_it_is_given():
    tensor = ops.ones(2)
    assert ops.convert_to_tensor(tensor) is tensor
    assert ops.convert_to_tensor(np.arange(3, dtype="int64")).dtype == "int32"
    assert ops.cast(tensor, "float32") is tensor


def test_dense():
    x, kernel, bias = signed(2, 3, 4), signed(4, 5), signed(5)
    np.testing.assert_allclose(ops.dense(x, kernel, bias).numpy(), x @ kernel + bias, rtol=1e-4)
    assert ops.dense(x[0, 0], kernel).shape == (5,)
    assert ops.dense(x.astype("float16"), kernel).dtype == "float32"


@pytest.mark.parametrize("axis", [0, 1])
def test_sparsemax_projects_onto_the_simplex(axis):
    # The projection p of x is what no other point of the simplex is nearer to: (x - p)·(q - p) ≤ 0.
    p = ops.sparsemax(X, axis).numpy()
    np.testing.assert_allclose(p.sum(axis), 1, rtol=1e-6)
    assert (p >= 0).all() and (p == 0).any()
    corners = np.moveaxis(p, axis, -1)[..., None, :] - np.eye(p.shape[axis])
    away = np.moveaxis(X - p, axis, -1)[..., None, :]
    assert (away * -corners).sum(-1).max() < 1e-6


# -- kernels ----------------------------------------------------------------------------------


def reduce_window(x, size, strides, padding):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, *size, 1), (1, *strides, 1), padding)


@pytest.mark.parametrize(
    ("size", "strides", "padding"),
    [((2, 2), (2, 2), "valid"), ((3, 3), (2, 2), "same"), ((2, 3), (1, 1), "valid"),
     ((40, 2), (1, 2), "same")],
)  # fmt: skip
def test_max_pool_gives_ties_to_the_first(size, strides, padding):
    # After a relu most windows are ties; the convention is that of XLA's own gradient.
    x = np.maximum(signed(2, 7, 6, 3), 0)
    x[0, :3] = 1
    weights = signed(*reduce_window(x, size, strides, padding.upper()).shape)
    (got,) = gradient(lambda x: ops.max_pool(x, size, strides, padding) * weights, x)
    want = jax.grad(lambda x: (reduce_window(x, size, strides, padding.upper()) * weights).sum())(
        jnp.asarray(x)
    )
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_pools_step_by_their_size():
    x = signed(2, 6, 6, 1)
    want = x.reshape(2, 3, 2, 2, 3, 1)
    np.testing.assert_array_equal(ops.max_pool(x, (2, 3)).numpy(), want.max((2, 4)))
    np.testing.assert_allclose(ops.average_pool(x, (2, 3)).numpy(), want.mean((2, 4)), rtol=1e-5)


def test_max_pool_keeps_nan_and_integers():
    x = np.zeros((1, 4, 2, 1), "float32")
    x[0, 0, 1] = np.nan
    got = ops.max_pool(x, 2).numpy()
    assert np.isnan(got[0, 0, 0, 0]) and got[0, 1, 0, 0] == 0
    assert ops.max_pool(np.arange(4).reshape(1, 4, 1), 2).numpy().ravel().tolist() == [1, 3]


# -- extremes ---------------------------------------------------------------------------------


def test_losses_of_certain_mistakes_are_finite():
    sure = np.array([[1000.0, -1000.0]], "float32")
    assert ops.sparse_categorical_crossentropy([1], sure, True).numpy() == [2000.0]
    assert ops.binary_crossentropy([[0.0, 1.0]], sure, True).numpy().tolist() == [[1000.0, 1000.0]]
    certain = ops.binary_crossentropy([[0.0, 1.0]], [[1.0, 0.0]]).numpy()
    assert certain == pytest.approx(np.full((1, 2), 16.0), abs=0.2)
    half = ops.binary_crossentropy([[0.0]], np.ones((1, 1), "float16")).numpy()
    assert np.isfinite(half).all()
    assert ops.sparse_categorical_crossentropy([5], sure, True).numpy() == [0.0]


def test_saturate_cast_of_the_largest_integer():
    big = np.array([3e9, -3e9, 5.0], "float32")
    assert ops.saturate_cast(big, "int32").numpy().tolist() == [2147483520, -2147483648, 5]


# -- errors -----------------------------------------------------------------------------------

ERRORS = [
    (lambda: ops.add(ops.ones((2, 3)), ops.ones((4,))), r"add\(float32\[2, 3\], float32\[4\]\)"),
    (lambda: ops.matmul(ops.ones((2, 3)), ops.ones((2, 3))), r"matmul\(float32\[2, 3\]"),
    (lambda: ops.dense(ops.ones((2, 3)), ops.ones((4, 5))), r"input \(2, 3\), kernel \(4, 5\)"),
    (lambda: ops.reshape(X, (5, 5)), r"reshape\(float32\[3, 4\], shape=\(5, 5\)\)"),
    (lambda: ops.sum(X, 7), r"sum\(float32\[3, 4\], axis=7"),
    (lambda: ops.concatenate([X, Y[:, :2]]), r"concatenate\(float32\[3, 4\], float32\[3, 2\]"),
    (lambda: ops.unstack(X, 2), r"num is 2, but axis 0 of shape \(3, 4\) has size 3"),
    (lambda: ops.unstack(X, axis=2), r"axis 2 is out of range .* shape \(3, 4\)"),
    (lambda: ops.where(X > 0, X), "give both x1 and x2, or neither"),
    (lambda: ops.pad(X, 1, "reflect", 3.0), "constant_values is for mode 'constant'"),
    (lambda: ops.scatter_update(X, [[0, 0]], [1.0], "sum"), "reduction is one of .* got 'sum'"),
    (lambda: ops.one_hot([1], 2, sparse=True), "dense tensors only"),
    (lambda: ops.max_pool(ops.ones((2, 5, 5, 2)), (2, 2, 2)), "positive int or 2 of them"),
    (lambda: ops.max_pool(ops.ones((2, 3, 3, 2)), 4), "does not fit into the input's spatial"),
    (lambda: ops.average_pool(ops.ones((2, 3, 3, 2)), 2, data_format="NHWC"),
     "data_format is 'channels_last' or 'channels_first', got 'NHWC'"),
    (lambda: ops.categorical_crossentropy([1, 2, 0], X), "sparse_categorical_crossentropy"),
    (lambda: ops.sparse_categorical_crossentropy([1, 2], X), r"got \(2,\) for an output of shape"),
    (lambda: ops.binary_crossentropy(X[:2], X), r"one shape, got \(2, 4\) and \(3, 4\)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), ERRORS)
def test_errors_name_the_operation_and_the_shapes(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_what_is_no_array_is_refused():
    with pytest.raises(TypeError, match="expected a tensor, an array or a number, got None"):
        ops.add(ops.ones(2), None)
    with pytest.raises(TypeError, match="got 'three'"):
        ops.exp("three")
    with pytest.raises(TypeError, match="not a dtype that weft can compute with"):
        ops.cast(X, "float33")
