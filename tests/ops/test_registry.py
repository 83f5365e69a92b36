"""Every public operation against Keras 3 on JAX: values, shapes and dtypes."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from weft import ops

rng = np.random.default_rng(7)


def named(names, cases):
    return {name: cases for name in names.split()}


def call(*args, **kwargs):
    return args, kwargs


S = rng.normal(size=(3, 4)).astype("float32")  # signed
T = rng.normal(size=(3, 4)).astype("float32")
P = rng.uniform(0.1, 0.9, (3, 4)).astype("float32")  # in (0, 1)
Q = rng.uniform(0.1, 0.9, (3, 4)).astype("float32")
L = rng.uniform(1.1, 3.0, (3, 4)).astype("float32")  # above one
N = np.array([[1.0, np.nan, -np.inf, np.inf], [0.0, -2.5, np.nan, 3.5]], "float32")
I = rng.integers(-5, 6, (3, 4)).astype("int32")  # noqa: E741
J = rng.integers(1, 5, (3, 4)).astype("int32")
B = rng.integers(0, 2, (3, 4)).astype(bool)
D = rng.integers(0, 2, (3, 4)).astype(bool)
V = rng.normal(size=(5,)).astype("float32")
W = rng.normal(size=(5,)).astype("float32")
M = rng.normal(size=(4, 4)).astype("float32")
A = rng.normal(size=(2, 3, 4)).astype("float32")
Z = (S + 1j * T).astype("complex64")
X1 = rng.normal(size=(2, 9, 4)).astype("float32")
X2 = rng.normal(size=(2, 9, 8, 4)).astype("float32")
X3 = rng.normal(size=(2, 5, 6, 5, 2)).astype("float32")
K1 = rng.normal(size=(3, 4, 6)).astype("float32")
K2 = rng.normal(size=(3, 2, 4, 6)).astype("float32")
K3 = rng.normal(size=(2, 3, 2, 2, 3)).astype("float32")
T1, T2, T3 = (k.swapaxes(-1, -2).copy() for k in (K1, K2, K3))
FIRST = np.moveaxis(X2, -1, 1)
HEADS = rng.normal(size=(2, 4, 6, 5)).astype("float32")
GROUPS = rng.normal(size=(2, 3, 2, 5)).astype("float32")
PROBABILITIES = P / P.sum(-1, keepdims=True)
PROBABILITIES[0] = [0, 1, 0, 0]  # where the logarithm needs the clipping
ONE_HOT = np.eye(4, dtype="float32")[[1, 3, 0]]
SEGMENTS = np.array([0, 0, 1], "int32")
LABELS = np.array([1, 3, 0], "int32")
SEQUENCES = np.array([[1, 2, 2], [3, 0, 0]], "int32")
SEQUENCE_LENGTHS, STEPS = np.array([3, 1], "int32"), np.array([9, 7], "int32")

UNARY = {
    **named(
        "abs absolute arcsinh arctan ceil cos cosh deg2rad erf erfc exp exp2 expm1 fabs floor "
        "negative rad2deg reciprocal sign signbit sin sinc sinh square tan tanh trunc cbrt "
        "relu relu6 sigmoid log_sigmoid silu swish softplus softsign selu hard_sigmoid hard_silu "
        "hard_swish hard_tanh tanh_shrink sparse_plus sparse_sigmoid real",
        S,
    ),
    **named("arccos arcsin arctanh erfinv", P),
    **named("log log10 log1p log2 sqrt rsqrt arccosh", L),
    **named("isfinite isinf isnan isneginf isposinf isreal", N),
}
REDUCTIONS = [
    "sum", "mean", "std", "var", "max", "min", "amax", "amin", "any", "all", "median", "prod",
    "ptp", "logsumexp",
]  # fmt: skip
BINARY = {
    **named(
        "add subtract multiply divide true_divide floor_divide mod maximum minimum fmax fmin fmod "
        "arctan2 hypot logaddexp logaddexp2 equal not_equal less less_equal greater greater_equal "
        "logical_and logical_or logical_xor heaviside",
        [call(S, T), call(S, 2.0), call(I, J), call(I, 2.0), call(S, I)],
    ),
    **named("bitwise_and bitwise_or bitwise_xor", [call(I, J), call(B, D)]),
    **named("bitwise_left_shift bitwise_right_shift left_shift right_shift", [call(I, J)]),
}

CASES = {
    **{name: [call(x)] for name, x in UNARY.items()},
    **{
        name: [call(S), call(S, 0), call(A, (0, 2), True), call(S, axis=-1), call(J, 1)]
        for name in REDUCTIONS
    },
    **BINARY,
    # elementwise
    "power": [call(L, S), call(S, 2), call(I, 2), call(L, 0.5)],
    "divide_no_nan": [call(S, B.astype("float32"))],
    "clip": [call(S, -0.5, 0.5), call(I, 0, 2), call(S, T, 1.0)],
    "round": [call(S), call(S * 100, 1), call(S * 100, -1)],
    "where": [call(B, S, T), call(B, S, 0.0), call(B, I, 1.5), call(B)],
    "cast": [call(S, "int32"), call(I, "float32"), call(S, "bfloat16"), call(S, "bool")],
    "saturate_cast": [call(S * 300, "uint8"), call(I, "uint8"), call(S, "float16")],
    "nan_to_num": [call(N), call(N, 1.0), call(N, 0.0, 2.0, -2.0)],
    "isclose": [call(S, S + 1e-6), call(S, T), call(N, N, equal_nan=True)],
    "allclose": [call(S, S), call(S, T)],
    "logical_not": [call(B), call(I)],
    "bitwise_invert": [call(I), call(B)],
    "bitwise_not": [call(I)],
    "angle": [call(Z)],
    "imag": [call(Z)],
    "conj": [call(Z)],
    "conjugate": [call(Z)],
    # reductions
    "argmax": [call(S), call(S, 1), call(S, 0, True)],
    "argmin": [call(S), call(S, 1), call(S, 0, True)],
    "average": [call(S, 1), call(S, 1, T + 5), call(S)],
    "count_nonzero": [call(I), call(I, 0)],
    "cumsum": [call(S), call(S, 1), call(I, 0), call(I, 0, "float32")],
    "cumprod": [call(S), call(S, 1)],
    "diff": [call(S), call(S, 2, 0)],
    "norm": [call(S), call(S, axis=1), call(S, 1, 0), call(M, "fro"), call(S, np.inf, -1, True)],
    "quantile": [call(S, 0.3), call(S, np.array([0.1, 0.5], "float32"), 1, "linear", True)],
    "nansum": [call(N), call(N, 1)],
    "nanmean": [call(N[1:], 1)],
    "nanmax": [call(N, 1)],
    "nanmin": [call(N, 1, True)],
    # linear
    "matmul": [call(S, M), call(A, M), call(V, W), call(J, J.T)],
    "dot": [call(S, M), call(V, W), call(A, M)],
    "einsum": [call("ij,jk->ik", S, M), call("bij,kj->bik", A, S)],
    "tensordot": [call(A, S, 2), call(A, M, 1), call(A, S, [[1], [0]])],
    "outer": [call(V, W)],
    "inner": [call(S, T)],
    "vdot": [call(V, W)],
    "kron": [call(S, M)],
    "cross": [call(S[:, :3], T[:, :3])],
    "trace": [call(M), call(M, 1)],
    # creation
    "zeros": [call((2, 3)), call([2], "int32"), call(())],
    "ones": [call((2, 3)), call((2,), "bool")],
    "empty": [call((0, 3))],
    "full": [call((2, 3), 1.5), call((2,), 3, "int32"), call((2, 4), S[0])],
    "zeros_like": [call(S), call(S, "int32")],
    "ones_like": [call(I), call(S, "int32")],
    "empty_like": [call(S[:0])],
    "full_like": [call(I, 2), call(S, 2, "int32")],
    "eye": [call(3), call(2, 4, 1), call(3, dtype="int32")],
    "identity": [call(3), call(2, "int32")],
    "tri": [call(3), call(3, 4, -1)],
    "arange": [call(5), call(1, 6, 2), call(0.0, 1.0, 0.25), call(3, dtype="float32")],
    "linspace": [call(0.0, 1.0, 5), call(0.0, 1.0, 5, False), call(V, W, 4, axis=1)],
    "logspace": [call(0.0, 2.0, 3), call(0.0, 2.0, 3, base=2)],
    "meshgrid": [call(V, W), call(V, W, indexing="ij")],
    "array": [call([1, 2]), call(S, "int32")],
    "convert_to_tensor": [call([[1.5, 2.0]]), call(1), call(2.5), call(S, "float16"), call(True)],
    "convert_to_numpy": [call(S)],
    "copy": [call(S)],
    "stop_gradient": [call(S)],
    "shape": [call(A)],
    "ndim": [call(A)],
    "size": [call(A)],
    "dtype": [call(jnp.asarray(S)), call(jnp.asarray(I))],
    # shaping
    "reshape": [call(S, (2, 6)), call(S, (-1,)), call(A, (3, -1))],
    "transpose": [call(S), call(A, (2, 0, 1))],
    "ravel": [call(A)],
    "expand_dims": [call(S, 1), call(S, (0, -1))],
    "squeeze": [call(S[:, None]), call(S[None, :, None], 0)],
    "swapaxes": [call(A, 0, 2)],
    "moveaxis": [call(A, 0, -1), call(A, (0, 1), (2, 0))],
    "broadcast_to": [call(V, (3, 5))],
    "flip": [call(S), call(A, 1), call(A, (0, 2))],
    "fliplr": [call(S)],
    "flipud": [call(S)],
    "roll": [call(S, 2), call(S, 1, 1)],
    "rot90": [call(S), call(A, 2, (1, 2))],
    "concatenate": [call([S, T]), call([S, T], 1), call([I, S], -1)],
    "stack": [call([S, T]), call([S, T], -1)],
    "vstack": [call([S, T]), call([V, W])],
    "hstack": [call([S, T]), call([V, W])],
    "append": [call(S, T), call(S, T, 1)],
    "unstack": [call(S), call(S, 4, 1), call(A, axis=-1)],
    "split": [call(S, 2, 1), call(S, [1, 2]), call(S, 3)],
    "tile": [call(S, 2), call(S, (2, 1)), call(V, (2, 3))],
    "repeat": [call(S, 2), call(S, 2, 1), call(S, np.array([1, 0, 2]), 0)],
    "pad": [
        call(S, 1), call(S, ((1, 0), (0, 2))), call(S, ((1, 1), (1, 1)), constant_values=3.0),
        call(S, ((1, 1), (2, 2)), "reflect"), call(S, ((1, 1), (2, 2)), "symmetric"),
    ],
    "tril": [call(M), call(A, -1)],
    "triu": [call(M), call(A, 1)],
    "diag": [call(V), call(M, 1)],
    "diagonal": [call(M), call(A, 0, 1, 2)],
    "get_item": [call(S, 1), call(A, (slice(None), 1, slice(0, 4, 2)))],
    "take": [call(S, J), call(S, [2, -1], 0), call(A, np.array([[0, 3]]), -1), call(S, 9, 0)],
    "take_along_axis": [call(S, np.argsort(S, 1), 1), call(S, np.zeros((1, 4), "int32"), 0)],
    "slice": [call(A, (0, 1, 2), (2, 2, 1)), call(A, np.array([1, 0, 0]), (1, 3, 4))],
    "slice_update": [call(S, (1, 0), T[:2, :3])],
    "scatter": [
        call(np.array([[0], [3], [0]]), S, (5, 4)), call(np.array([[1, 1]]), V[:1], (2, 2)),
    ],
    "scatter_update": [
        call(S, np.array([[0, 1], [2, 2]]), V[:2]), call(S, np.array([[1], [1]]), T[:2], "add"),
        call(S, np.array([[0, 1]]), V[:1], "max"), call(S, np.array([[0, 1]]), V[:1], "mul"),
        call(S, np.array([[0, 1]]), V[:1], "min"),
    ],
    "one_hot": [call(LABELS, 4), call(J, 5, 0), call([1, 7], 3, dtype="int32")],
    "multi_hot": [call(np.array([[0, 2], [1, 1]]), 4), call(np.array([0, 3]), 4)],
    "segment_sum": [call(S, SEGMENTS, 2), call(S, SEGMENTS, 4, True)],
    "segment_max": [call(S, SEGMENTS[::-1].copy(), 2)],
    "segment_min": [call(S, SEGMENTS[::-1].copy(), 2)],
    "nonzero": [call(I)],
    "sort": [call(S), call(S, 0)],
    "argsort": [call(S), call(S, 0), call(I)],
    "top_k": [call(S, 2), call(V, 3)],
    "in_top_k": [call(LABELS, S, 2)],
    "searchsorted": [call(np.sort(V), W), call(np.sort(V), W, "right")],
    "digitize": [call(S, np.array([-1.0, 0.0, 1.0], "float32"))],
    "isin": [call(I, J), call(I, [1, 2], invert=True)],
    "bincount": [call(J.ravel()), call(SEGMENTS, None, 6), call(SEGMENTS, V[:3])],
    # networks
    "leaky_relu": [call(S), call(S, 0.1)],
    "elu": [call(S), call(S, 0.5)],
    "celu": [call(S), call(S, 0.5)],
    "gelu": [call(S), call(S, False)],
    "glu": [call(S), call(A, 2)],
    "squareplus": [call(S), call(S, 2)],
    "hard_shrink": [call(S), call(S, 0.2)],
    "soft_shrink": [call(S), call(S, 0.2)],
    "threshold": [call(S, 0.3, -1.0)],
    "softmax": [call(S), call(A, 1), call(S * 1000)],
    "log_softmax": [call(S), call(A, 1), call(S * 1000)],
    "moments": [call(S, [0]), call(A, (0, 1), True), call((S * 50).astype("float16"), [0])],
    "normalize": [call(S), call(S, 0, 1), call(A, -1, 3)],
    "batch_normalization": [
        call(S, V[:4], L[0], -1), call(S, V[:4], L[0], 1, W[:4], V[:4], 1e-5),
        call(A, V[:3], L[0, :3], 1, None, W[:3]), call(A, V[:3], L[0, :3], 1, W[:3]),
    ],
    "layer_normalization": [
        call(S), call(S, V[:4], W[:4]), call(A / 1000), call(S, V[:4]),
        call(A, axis=(1, 2), epsilon=1e-5),
        call(S.astype("float16")), call(S, None, W[:4]),
    ],
    "rms_normalization": [call(S), call(S, V[:4], epsilon=1e-3), call(S / 1000)],
    "binary_crossentropy": [
        call(B.astype("float32"), P), call(P, S, True), call(B, np.round(P)), call(I, T, True),
    ],
    "categorical_crossentropy": [
        call(ONE_HOT, PROBABILITIES), call(PROBABILITIES, S, True), call(ONE_HOT.T, S.T, True, 0),
    ],
    "sparse_categorical_crossentropy": [
        call(LABELS, PROBABILITIES), call(LABELS, S, True), call(LABELS[:, None], S * 50, True),
    ],
    "dot_product_attention": [
        call(HEADS, HEADS, HEADS + 1), call(HEADS, GROUPS, GROUPS + 1, is_causal=True),
        call(HEADS, GROUPS, GROUPS, HEADS[:, :4, :, :5].transpose(0, 2, 1, 3)[:, :, :, :3]),
        call(HEADS, GROUPS, GROUPS, None, HEADS[0, 0, 0, :3] > 0, 0.3),
        call(HEADS, GROUPS, GROUPS, mask=np.arange(24).reshape(2, 4, 3) % 4 > 1),
        call(HEADS.astype("float16"), HEADS.astype("float16"), HEADS.astype("float16")),
    ],
    # convolution and pooling
    "conv": [
        call(X1, K1), call(X2, K2), call(X3, K3), call(X2, K2, 2, "same"),
        call(X2, K2, (1, 2), "valid"), call(X2, K2, 1, "same", None, 2),
        call(FIRST, K2, 1, "same", "channels_first"), call(X2, K2[:, :, :2]),
        call(X2, K2[:1, :1], 2, "same"),
    ],
    "depthwise_conv": [call(X2, K2), call(X2, K2, 2, "same"), call(X1, K1[:, :, :2])],
    "conv_transpose": [
        call(X1, T1), call(X2, T2), call(X3, T3), call(X2, T2, 2, "same"), call(X2, T2, 2),
        call(X2, T2, (3, 1), "same", (2, 0)), call(X2, T2, 2, "valid", 1),
        call(X2, T2, 1, "same", None, None, 2),
        call(FIRST, T2, 2, "same", None, "channels_first"),
    ],
    "separable_conv": [call(X2, K2[..., :2], rng.normal(size=(1, 1, 8, 5)).astype("float32"))],
    "adaptive_average_pool": [
        call(X1, 4), call(X2, 3), call(X3, (2, 4, 1)), call(FIRST, (3, 11), "channels_first"),
    ],
    "adaptive_max_pool": [
        call(X1, 4), call(X2, 3), call(X3, (2, 4, 1)), call(FIRST, (3, 11), "channels_first"),
    ],
    "max_pool": [  # strides given: Keras on JAX fails without
        call(X1, 2, 2), call(X2, 2, 2), call(X3, 2, 1), call(X2, (3, 2), (2, 1), "same"),
        call(FIRST, 2, 2, "valid", "channels_first"), call(X2, 3, 1, "same"),
    ],
    "average_pool": [
        call(X1, 2, 2), call(X2, (2, 3), (2, 3)), call(X3, 2, 1), call(X2, 3, 2, "same"),
        call(FIRST, 2, 2, "same", "channels_first"),
    ],
    "ctc_loss": [call(SEQUENCES, X1[..., :4], SEQUENCE_LENGTHS, STEPS)],
}  # fmt: skip

# Recorded structure instead of arrays: the engine's tests hold these.
CONTROL = {
    "associative_scan", "cond", "custom_gradient", "fori_loop", "map", "scan", "switch",
    "vectorized_map", "while_loop",
}  # fmt: skip
# Tested in test_ops.py: Keras has no dense, tensors of its own, and a sparsemax that does not sum
# to one; and a module, tested in test_image.py.
OWN = {"dense", "image", "is_tensor", "sparsemax"}


def test_every_public_op_is_registered():
    assert set(ops.__all__) == set(CASES) | CONTROL | OWN
    assert len(ops.__all__) == len(set(ops.__all__))
    assert {name for name in ops.__all__ if not hasattr(ops, name)} == set()


def test_public_names_are_keras_names():
    assert {name for name in ops.__all__ if not hasattr(keras.ops, name)} == {"dense"}


def leaves(value):
    """The arrays of a result; a shape is one thing."""
    if isinstance(value, tuple) and all(isinstance(n, int) for n in value):
        return [tuple(value)]
    return jax.tree.leaves(value)


@pytest.mark.parametrize("name", CASES)
def test_same_as_keras(name):
    for args, kwargs in CASES[name]:
        ours = leaves(getattr(ops, name)(*args, **kwargs))
        theirs = leaves(getattr(keras.ops, name)(*args, **kwargs))
        assert len(ours) == len(theirs)
        for got, want in zip(ours, theirs, strict=True):
            if isinstance(want, tuple | int | str):
                assert got == want
                continue
            assert got.shape == want.shape
            assert got.dtype == want.dtype, (args, kwargs)
            tolerance = 2e-3 if got.dtype in ("float16", "bfloat16") else 2e-5
            got, want = (np.asarray(v).astype(v.dtype if v.dtype != "bfloat16" else "float32")
                         for v in (got, want))  # fmt: skip
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def dtypes(name):
    """The dtypes that the operation is defined for on both sides."""
    floats_only = ("erf", "sigmoid", "log_sigmoid", "silu", "swish", "rsqrt")
    undefined = dict.fromkeys(("negative", "sign", "ptp"), ("bool",))
    undefined |= dict.fromkeys(floats_only, ("int32", "uint8", "bool"))
    known = ("int32", "uint8", "bool", "float16", "bfloat16")
    return [dtype for dtype in known if dtype not in undefined.get(name, ())]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(n, d) for n in [*UNARY, *REDUCTIONS, "argmax", "cumsum"] for d in dtypes(n)],
)
def test_result_dtype_is_keras(name, dtype):
    x = jnp.ones((2, 3), dtype)
    want = jax.eval_shape(getattr(keras.ops, name), x).dtype
    assert getattr(ops, name)(x).dtype == want
