"""Tensors and variables behave as arrays do."""

import copy
import operator
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import weft
from weft.engine import GraphError, ShapeError, Tensor, Variable, as_dtype, as_tensor, function

A = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]], "float32")
B = np.array([[2.0, 3.0, 1.0], [1.0, 2.0, 4.0]], "float32")
I = np.array([[7, 2, 5], [4, 6, 1]], "int32")  # noqa: E741
J = np.array([[2, 3, 1], [1, 2, 4]], "int32")

make = pytest.mark.parametrize("make", [as_tensor, Variable], ids=["tensor", "variable"])


# -- operators ----------------------------------------------------------------------------

FLOAT = ["add", "sub", "mul", "truediv", "floordiv", "mod", "lt", "le", "gt", "ge", "eq", "ne"]
INT = [*FLOAT, "and_", "or_", "xor"]


@make
@pytest.mark.parametrize("name", FLOAT)
def test_operators_on_floats(make, name):
    op = getattr(operator, name)
    want = op(A, B)
    for got in (op(make(A), make(B)), op(make(A), B), op(A, make(B)), op(make(A), jnp.asarray(B)),
                op(make(A), B.tolist())):  # fmt: skip
        assert isinstance(got, Tensor)
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-6)
    for number in (2.0, 2):
        np.testing.assert_allclose(op(make(A), number).numpy(), op(A, np.float32(number)))
        np.testing.assert_allclose(op(number, make(A)).numpy(), op(np.float32(number), A))


@make
@pytest.mark.parametrize("name", INT)
def test_operators_on_integers(make, name):
    op = getattr(operator, name)
    want = op(I, J)
    for got in (op(make(I), make(J)), op(make(I), J), op(I, make(J))):
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-6)
    np.testing.assert_allclose(op(make(I), 3).numpy(), op(I, np.int32(3)), rtol=1e-6)


@make
def test_powers_products_and_signs(make):
    a = make(A)
    np.testing.assert_allclose((a**2).numpy(), A**2)
    np.testing.assert_allclose((2.0 ** make(B)).numpy(), 2.0**B)
    np.testing.assert_allclose((a @ make(B).T).numpy(), A @ B.T)
    np.testing.assert_allclose((A @ make(B.T)).numpy(), A @ B.T)
    np.testing.assert_allclose((-a).numpy(), -A)
    np.testing.assert_allclose((+a).numpy(), A)
    np.testing.assert_allclose(abs(a).numpy(), abs(A))
    assert (~make(np.array([True, False]))).numpy().tolist() == [False, True]
    assert (make(np.array([True, False])) & np.array([True, True])).numpy().tolist() == [
        True,
        False,
    ]


@make
def test_numpy_scalars_on_the_left(make):
    for got in (np.float32(2.0) * make(A), np.float32(2.0) - make(A), np.float64(2.0) / make(A)):
        assert isinstance(got, Tensor)
        assert got.dtype == "float32"


def test_a_python_number_takes_the_tensor_s_dtype():
    half = as_tensor(np.ones(2, "float16"))
    assert (half * 2.5).dtype == (2 - half).dtype == (half + True).dtype == "float16"
    assert (as_tensor(np.ones(2, "int32")) * 2.5).dtype == "float32"
    assert (as_tensor(np.ones(2, "bfloat16")) + np.ones(2, "float32")).dtype == "float32"


def test_in_place_operators_make_new_tensors():
    a = b = as_tensor(A)
    a += 1.0
    assert a is not b
    np.testing.assert_array_equal(b.numpy(), A)


def test_operators_with_what_is_no_operand():
    a = as_tensor(A)
    with pytest.raises(TypeError, match="unsupported operand"):
        a + "text"
    with pytest.raises(TypeError, match="unsupported operand"):
        None * a
    with pytest.raises(TypeError, match="'<' not supported"):
        a < "text"  # noqa: B015
    assert (a == None) is False  # noqa: E711
    assert (a != None) is True  # noqa: E711
    assert (a == "text") is False
    assert a in [object(), a]


def test_shapes_that_do_not_fit_are_refused_at_once():
    with pytest.raises(ShapeError, match=r"add\(float32\[2, 3\], float32\[2\]\)"):
        as_tensor(A) + np.ones(2, "float32")
    with pytest.raises(ShapeError, match=r"matmul\(float32\[2, 3\], float32\[2, 3\]\)"):
        as_tensor(A) @ as_tensor(B)
    v = Variable(A, name="w")
    with pytest.raises(
        ShapeError, match=r"cannot assign to variable 'w': it has shape \(2, 3\), .*\(3,\)"
    ):
        v.assign(np.ones(3))
    with pytest.raises(
        ShapeError, match=r"cannot assign_add to variable 'w' of shape \(2, 3\): .*\(4, 2, 3\)"
    ):
        v.assign_add(np.ones((4, 1, 1)))
    np.testing.assert_array_equal(v.numpy(), A)


# -- indexing -----------------------------------------------------------------------------

SHAPE = (4, 3, 5)
CUBE = np.arange(60, dtype="float32").reshape(SHAPE)


def parts(size):
    bound = st.none() | st.integers(-size - 2, size + 2)
    step = st.none() | st.sampled_from([1, 2, -1, -2])
    return st.integers(-size, size - 1) | st.builds(slice, bound, bound, step)


@st.composite
def indices(draw):
    kept = draw(st.integers(0, 3))
    index = [draw(parts(n)) for n in SHAPE[:kept]]
    if draw(st.booleans()):
        start = draw(st.integers(0, len(index)))
        # `...` stands before parts that count from the end.
        index = index[:start] + [Ellipsis] + [draw(parts(n)) for n in SHAPE[3 - kept + start :]]
    for _ in range(draw(st.integers(0, 2))):
        index.insert(draw(st.integers(0, len(index))), None)
    return tuple(index)


@settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(indices())
def test_basic_indexing_is_numpy_s(index):
    got, want = as_tensor(CUBE)[index], CUBE[index]
    assert got.shape == want.shape
    np.testing.assert_array_equal(got.numpy(), want)


ADVANCED = [
    [0, 2],
    (slice(None), [0, 2]),
    ([0, 1], [2, 0]),
    ([0, 1], slice(None), [2, 0]),
    (np.array([[0, 1], [3, 2]]), 1),
    (Ellipsis, np.array([4, 4, 0])),
    (None, [0, -1]),
    np.array([-1, -4]),
    CUBE > 30,
    (slice(None), np.array([True, False, True])),
    (np.array([True, False, True, False]), slice(1, 3)),
    [True, False, True, False],
    (CUBE[0, 0, 0] * 0 + np.int64(2)).astype("int32"),
    [],
]


@make
@pytest.mark.parametrize("index", ADVANCED, ids=range(len(ADVANCED)))
def test_indexing_with_arrays_is_numpy_s(make, index):
    want = CUBE[index]
    got = make(CUBE)[index]
    assert got.shape == want.shape
    np.testing.assert_array_equal(got.numpy(), want)


def test_indexing_with_tensors():
    x, i = as_tensor(CUBE), as_tensor(np.array([3, 0], "int32"))
    np.testing.assert_array_equal(x[i].numpy(), CUBE[[3, 0]])
    np.testing.assert_array_equal(x[i[0], :, i].numpy(), CUBE[3, :, [3, 0]])
    np.testing.assert_array_equal(x[Variable(1)].numpy(), CUBE[1])
    np.testing.assert_array_equal(x[x > 30.0].numpy(), CUBE[CUBE > 30])
    np.testing.assert_array_equal(x[as_tensor(1) : as_tensor(3)].numpy(), CUBE[1:3])
    np.testing.assert_array_equal(x[[i[0], 1]].numpy(), CUBE[[3, 1]])
    assert [CUBE.tolist()[n] for n in (i[0],)] == [CUBE.tolist()[3]]


def test_indices_that_do_not_fit():
    x = as_tensor(CUBE)
    with pytest.raises(IndexError, match=r"index 4 is out of range for axis 0 .*\(4, 3, 5\)"):
        x[4]
    with pytest.raises(IndexError, match="index -6 is out of range for axis 2"):
        x[..., -6]
    with pytest.raises(IndexError, match="index 3 is out of range for axis 1"):
        x[None, :, 3]
    with pytest.raises(IndexError, match="too many indices"):
        x[0, 0, 0, 0]
    with pytest.raises(IndexError, match="index -5 is out of range for axis 0"):
        x[[0, -5]]
    for odd in ("name", 1.5, True):
        with pytest.raises(IndexError, match=f"cannot be indexed with {odd!r}"):
            x[odd]


# -- Python's protocols -------------------------------------------------------------------


@make
def test_iteration_and_length(make):
    a = make(A)
    assert len(a) == 2
    rows = list(a)
    assert all(isinstance(r, Tensor) for r in rows)
    np.testing.assert_array_equal(np.stack(rows), A)
    first, second = a
    assert second.shape == (3,)
    assert [float(x) for x in first] == A[0].tolist()
    assert list(make(np.zeros((0, 3), "float32"))) == []
    assert 4.0 in a.numpy()
    with pytest.raises(TypeError, match="without dimensions cannot be iterated"):
        iter(make(1.0))
    with pytest.raises(TypeError, match="without dimensions has no len"):
        len(make(1.0))


@make
def test_python_numbers_from_tensors(make):
    assert float(make(2.5)) == 2.5
    assert int(make(np.int32(3))) == 3
    assert complex(make(2.5)) == 2.5
    assert bool(make([1.0])) and not make(0.0)
    assert make([[2.5]]).item() == 2.5
    assert type(make(np.int32(3)).item()) is int
    assert range(5)[make(np.int32(3))] == 3
    assert make(A).tolist() == A.tolist()
    for kind, convert in (
        ("float", float),
        ("bool", bool),
        ("int", int),
        ("item", lambda t: t.item()),
    ):
        with pytest.raises(ValueError, match=rf"{kind}\(\) of a tensor of shape \(2, 3\): only a "):
            convert(make(A))
    with pytest.raises(TypeError, match=r"shape \(\) and dtype float32 cannot be an index"):
        range(5)[make(2.0)]


@make
def test_shape_dtype_and_attributes(make):
    a = make(A)
    assert a.shape == (2, 3) and isinstance(a.shape, tuple)
    assert a.shape.rank == a.ndim == 2
    assert a.shape.as_list() == [2, 3]
    assert a.shape.num_elements() == a.size == 6
    assert a.shape.is_fully_defined()
    assert a.get_shape() == a.shape
    assert a.dtype == "float32"
    np.testing.assert_array_equal(a.T.numpy(), A.T)
    np.testing.assert_array_equal(a.reshape(3, -1).numpy(), A.reshape(3, 2))
    np.testing.assert_array_equal(a.reshape((6,)).numpy(), A.reshape(6))
    np.testing.assert_array_equal(a.astype("int32").numpy(), A.astype("int32"))
    for name in ("sum", "mean", "max", "min"):
        for options in ({}, {"axis": 1}, {"axis": (0, 1), "keepdims": True}):
            want = getattr(A, name)(**options)
            np.testing.assert_allclose(getattr(a, name)(**options).numpy(), want, rtol=1e-6)


def test_formatting():
    x = as_tensor(2.5)
    assert f"{x:.2f}|{x:6.1f}|{x}" == "2.50|   2.5|2.5"
    assert str(as_tensor([1.0, 2.0])) == "[1. 2.]"
    assert "%.1f" % x == "2.5"  # noqa: UP031
    assert repr(as_tensor([1, 2])) == "<weft.Tensor shape=(2,), dtype=int32, value=\n[1 2]>"
    v = Variable(1.0, name="scale")
    assert repr(v) == "<weft.Variable 'scale' shape=(), dtype=float32, value=\n1.0>"
    assert f"{v:.1f} {v}" == "1.0 1.0"
    seen = []
    function(lambda x: seen.append((repr(x), str(x), repr(v))) or x)(x)
    assert seen == [
        ("<weft.Tensor symbolic, shape=(), dtype=float32>",) * 2
        + ("<weft.Variable 'scale' shape=(), dtype=float32>",)
    ]


@make
def test_hashing_is_by_identity(make):
    a, b = make(A), make(A)
    assert len({a, b, a}) == 2
    assert {a: 1}[a] == 1


def test_copies_and_pickles():
    t = as_tensor(A) * 2.0
    assert copy.copy(t) is t and copy.deepcopy([t])[0] is t
    again = pickle.loads(pickle.dumps(as_tensor(A) * 2.0))
    np.testing.assert_array_equal(again.numpy(), A * 2)
    assert pickle.loads(pickle.dumps(as_tensor(np.ones(2, "bfloat16")))).dtype == "bfloat16"
    v = Variable(A, name="w", trainable=False, dtype="float16")
    v.path = "layer/w"
    v.assign_add(np.ones_like(A))
    for twin in (copy.deepcopy(v), pickle.loads(pickle.dumps(v)), copy.copy(v)):
        assert (twin.name, twin.path, twin.trainable, twin.dtype) == (
            "w", "layer/w", False, "float16",
        )  # fmt: skip
        twin.assign_add(np.ones_like(A))
        np.testing.assert_array_equal(twin.numpy(), A + 2)
        np.testing.assert_array_equal(v.numpy(), A + 1)
    shared = copy.deepcopy([v, v])
    assert shared[0] is shared[1]
    v = Variable(A, constraint=weft.constraints.MaxNorm(3), autocast=False, aggregation="mean")
    v.regularizer = weft.regularizers.L2(0.5)
    for twin in (copy.deepcopy(v), pickle.loads(pickle.dumps(v))):
        assert twin.constraint.max_value == 3 and twin.regularizer.l2 == 0.5
        assert (twin.autocast, twin.aggregation) == (False, "mean")


# -- other libraries ----------------------------------------------------------------------


@make
def test_numpy_reads_tensors(make):
    a = make(A)
    np.testing.assert_array_equal(np.asarray(a), A)
    assert np.asarray(a, "float64").dtype == "float64"
    assert np.array(a, copy=True).flags.writeable
    for reduce in (np.mean, np.sum, np.max, np.min):
        np.testing.assert_allclose(reduce(a), reduce(A), rtol=1e-6)
        np.testing.assert_allclose(reduce(a, axis=1), reduce(A, axis=1), rtol=1e-6)
    np.testing.assert_array_equal(np.concatenate([a, a]), np.concatenate([A, A]))
    np.testing.assert_array_equal(np.testing.assert_allclose(a, A) or A, A)


@make
def test_jax_reads_tensors(make):
    a = make(A)
    assert isinstance(jnp.asarray(a), jax.Array)
    np.testing.assert_array_equal(jnp.array(a) * 2, A * 2)
    assert jnp.asarray(make(np.ones(2, "bfloat16"))).dtype == "bfloat16"


@make
def test_dlpack(make):
    a = make(A) if make is Variable else make(A) * 1.0
    np.testing.assert_array_equal(np.from_dlpack(a), A)
    np.testing.assert_array_equal(jax.dlpack.from_dlpack(a), A)
    np.testing.assert_array_equal(np.from_dlpack(make(A)), A)


def test_raw_jax_in_a_trace_is_refused():
    v = Variable(A)

    @function
    def f(x):
        return jnp.sin(x)

    for g in (f, function(lambda x: jnp.asarray(v)), function(lambda x: jnp.sum(x * 2.0))):
        with pytest.raises(
            GraphError, match=r"test_tensor\.py:\d+.*function being traced.*weft\.op"
        ):
            g(as_tensor(A))
    other = as_tensor(B)
    assert function(lambda x: x + jnp.asarray(other))(A).shape == (2, 3)


# -- making tensors -----------------------------------------------------------------------


def test_what_becomes_a_tensor():
    assert as_tensor([[1, 2], [3, 4]]).dtype == "int32"
    assert as_tensor([1.5, 2]).dtype == "float32"
    assert as_tensor([True, False]).dtype == "bool"
    assert as_tensor(np.float64(1.5)).dtype == "float32"
    assert as_tensor(np.arange(3)).dtype == "int32"
    assert as_tensor(3, "float16").dtype == "float16"
    t = as_tensor([as_tensor(1.0), 2.0, Variable(3.0)])
    assert t.numpy().tolist() == [1.0, 2.0, 3.0]
    nested = as_tensor([[as_tensor(1.0), 2.0], [3.0, 4.0]])
    assert nested.numpy().tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert as_tensor(t) is t

    class Foreign:
        def __array__(self, dtype=None, copy=None):
            return A

    np.testing.assert_array_equal(as_tensor(Foreign()).numpy(), A)


def test_what_does_not():
    for odd, text in (
        ("text", "expected a tensor, an array or a number, got 'text' of type str"),
        (None, "got None of type NoneType"),
        ({"a": 1}, "of type dict"),
        ([[1, 2], [3]], "must be rectangular"),
        (["a", "b"], "expected numbers"),
        (object(), "expected numbers"),
    ):
        with pytest.raises(TypeError, match=text):
            as_tensor(odd)
    with pytest.raises(OverflowError, match="2147483648 does not fit in int32"):
        as_tensor(2**31)
    with pytest.raises(TypeError, match="'nonsense' is not a dtype that weft can compute with"):
        as_dtype("nonsense")
    with pytest.raises(TypeError, match="is not a dtype"):
        as_dtype("U3")


def test_dtypes_are_jax_s():
    names = {"float": "float32", "half": "float16", float: "float32", int: "int32", bool: "bool",
             "float64": "float32", np.int64: "int32", jnp.bfloat16: "bfloat16"}  # fmt: skip
    for given_, want in names.items():
        assert as_dtype(given_).name == want


# -- variables ----------------------------------------------------------------------------


def test_making_variables():
    assert Variable(1).dtype == "int32"
    assert Variable([1.0], dtype="float16").dtype == "float16"
    assert Variable(lambda shape, dtype: np.full(shape, 2, dtype), shape=(2,)).numpy().tolist() == [
        2,
        2,
    ]
    assert Variable(lambda: np.ones(3, "float32")).shape == (3,)
    assert Variable(initial_value=3.0, name="n").name == "n"
    assert float(Variable(as_tensor(2.0) * 2.0)) == 4.0
    assert Variable(1.0).name != Variable(1.0).name
    with pytest.raises(TypeError, match="needs an initial value"):
        Variable()
    with pytest.raises(
        ShapeError, match=r"'b': the initial value has shape \(2,\), but shape=\(3,\)"
    ):
        Variable([1.0, 2.0], shape=(3,), name="b")


def test_assignment_converts_and_chains():
    v = Variable(np.zeros(2, "float16"))
    assert v.assign(np.ones(2)) is v
    assert v.assign_add([1, 2]).assign_sub(0.5).dtype == "float16"
    assert v.numpy().tolist() == [1.5, 2.5]
    i = Variable(3)
    i.assign_add(2)
    assert i.dtype == "int32" and int(i) == 5
    v.assign(v)
    assert v.numpy().tolist() == [1.5, 2.5]


def test_a_value_is_what_it_was():
    v = Variable(1.0)
    before, pending = v.value, v + 0.0
    v.assign(5.0)
    v.assign_add(1.0)
    assert (float(before), float(pending), float(v), float(v.read_value())) == (1.0, 1.0, 6.0, 6.0)


def test_trainable_may_change():
    v = Variable(1.0)
    version = weft.engine.trainable_version()
    v.trainable = False
    assert weft.engine.trainable_version() == version + 1
    v.trainable = False
    assert weft.engine.trainable_version() == version + 1
