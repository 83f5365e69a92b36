"""weft.op: pure JAX functions as operations."""

import functools
import traceback

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas as pl

import weft
from weft.engine import Op, ShapeError, Tensor, Variable, as_tensor, flush, function
from weft.engine.trace import state

outer = weft.op(lambda x, y: jnp.einsum("i,j->ij", x, y), name="outer")


@jax.custom_vjp
def _halved(x):
    return x * 3.0


_halved.defvjp(lambda x: (x * 3.0, None), lambda _, g: (g * 0.5,))
halved = weft.op(_halved, name="halved")


def _double_kernel(x_ref, o_ref):
    o_ref[...] = x_ref[...] * 2.0


@weft.op
def doubled(x):
    """Twice x."""
    call = pl.pallas_call(_double_kernel, jax.ShapeDtypeStruct(x.shape, x.dtype), interpret=True)
    return call(x)


def test_an_einsum_everywhere():
    x, y = Variable([1.0, 2.0]), as_tensor([3.0, 4.0, 5.0])
    want = np.outer([1, 2], [3, 4, 5])
    assert outer(x, y).shape == (2, 3)
    np.testing.assert_allclose(outer(x, y).numpy(), want)
    np.testing.assert_allclose(function(outer)(x, y).numpy(), want)
    np.testing.assert_allclose(outer([1.0, 2.0], np.array([3.0, 4.0, 5.0])).numpy(), want)
    with weft.GradientTape() as tape:
        tape.watch(y)
        z = outer(x, y)
    dx, dy = tape.gradient(z, [x, y])
    assert dx.numpy().tolist() == [12.0, 12.0]
    assert dy.numpy().tolist() == [3.0, 3.0, 3.0]


@pytest.mark.parametrize("wrap", [lambda f: f, function], ids=["lazy", "function"])
def test_a_custom_vjp_is_respected(wrap):
    x = Variable([1.0, 2.0])
    run = wrap(lambda: halved(x) * 2.0)
    with weft.GradientTape() as tape:
        y = run()
    assert y.numpy().tolist() == [6.0, 12.0]
    assert tape.gradient(y, x).numpy().tolist() == [1.0, 1.0]


def test_a_pallas_kernel():
    x = Variable(np.arange(8.0, dtype="float32"))
    want = np.arange(8.0) * 2
    np.testing.assert_array_equal(doubled(x).numpy(), want)
    np.testing.assert_array_equal(function(lambda: doubled(x) + 0.0)().numpy(), want)
    assert doubled.__doc__ == "Twice x." and doubled.__name__ == doubled.name == "doubled"


def test_one_call_is_one_node():
    flush()
    outer([1.0], [2.0])
    assert len(state.trace.nodes) == 1
    flush()


def test_shapes_are_inferred_once():
    calls = []

    @weft.op
    def counted(x, *, n):
        calls.append(1)
        return x * n

    for _ in range(5):
        counted(np.ones(3, "float32"), n=2)
    assert len(calls) == 1
    counted(np.ones(4, "float32"), n=2)
    counted(np.ones(4, "float32"), n=3)
    assert len(calls) == 3


def test_nests_as_operands():
    @weft.op
    def mix(pair, table, scale):
        return {"sum": pair[0] + pair[1] * scale, "rows": [table["a"], table["b"] * 2.0]}

    v = Variable(2.0)
    with weft.GradientTape() as tape:
        out = mix((1.0, v), {"a": np.float32(3.0), "b": v}, 10)
        loss = out["sum"] + out["rows"][1]
    assert isinstance(out["rows"], list) and all(isinstance(x, Tensor) for x in out["rows"])
    assert (float(out["sum"]), float(out["rows"][0]), float(out["rows"][1])) == (21.0, 3.0, 4.0)
    assert float(tape.gradient(loss, v)) == 12.0
    assert float(mix((1.0, v), {"a": 3.0, "b": v}, 20)["sum"]) == 41.0


def test_lists_of_tensors_and_tuples_as_results():
    joined = weft.op(lambda xs: jnp.concatenate(xs), name="joined")
    x = as_tensor([1.0])
    assert joined([x, x, Variable([2.0])]).numpy().tolist() == [1.0, 1.0, 2.0]
    split = weft.op(lambda x: (x[:1], x[1:]))
    head, tail = split(as_tensor([1.0, 2.0, 3.0]))
    assert (head.shape, tail.numpy().tolist()) == ((1,), [2.0, 3.0])
    assert weft.op(lambda x: ())(x) == ()


def test_tensors_by_keyword_and_static_arguments():
    @weft.op
    def f(x, bias=None, *, axis, shift=0, f=jnp.sum):
        y = f(x, axis=axis)
        return (y if bias is None else y + bias) + shift

    x = np.ones((2, 3), "float32")
    assert f(x, axis=(0, 1)).numpy() == 6.0
    assert f(x, axis=1).numpy().tolist() == [3.0, 3.0]
    assert f(x, None, axis=0, f=jnp.max).numpy().tolist() == [1.0] * 3
    b = Variable([1.0, 2.0])
    with weft.GradientTape() as tape:
        y = f(x, bias=b, axis=1, shift=1)
    assert y.numpy().tolist() == [5.0, 6.0]
    assert tape.gradient(y, b).numpy().tolist() == [1.0, 1.0]
    assert f(x, axis=1, bias=np.array([1.0, 2.0], "float32")).numpy().tolist() == [4.0, 5.0]


def test_strings_and_none_among_the_operands():
    @weft.op
    def choose(x, how, extra):
        return x * 2 if how == "double" and extra is None else x

    assert float(choose(3.0, "double", None)) == 6.0
    assert float(choose(3.0, "same", None)) == 3.0


def test_a_static_argument_that_cannot_be_hashed():
    with pytest.raises(
        TypeError, match=r"weft\.op 'f': a static argument must be hashable, got \['set'"
    ):
        weft.op(lambda x, *, names: x, name="f")(1.0, names={"a"})


def test_numbers_are_operands_and_compile_once():
    scale = weft.op(lambda x, k: x * k)
    x = np.ones(3, "float32")
    flush()
    scale(x, 2.0).numpy()
    before = weft.config.compile_count()
    assert scale(x, 3.0).numpy().tolist() == [3.0] * 3
    assert weft.config.compile_count() == before


def test_options_and_the_decorator_with_a_name():
    @weft.op(name="mine")
    def f(x):
        return x

    assert repr(f) == "<weft.op mine>"
    assert repr(weft.op(functools.partial(jnp.sum, axis=0))) == "<weft.op op>"
    cut = Op(lambda x: x * 1.0, "cut", differentiable=False)
    v = Variable(1.0)
    with weft.GradientTape() as tape:
        y = cut(v)
    assert tape.gradient(y, v) is None


def test_a_shape_error_is_raised_at_the_user_s_line():
    flush()
    text = (
        r"outer\(float32\[2, 2\], float32\[3\]\): .*einsum|outer\(float32\[2, 2\], float32\[3\]\):"
    )
    with pytest.raises(ShapeError, match=text) as e:
        outer(np.ones((2, 2), "float32"), np.ones(3, "float32"))  # this line
    assert isinstance(e.value, ValueError)
    lines = [f.line for f in traceback.extract_tb(e.value.__traceback__)]
    assert any(line.endswith("# this line") for line in lines)
    assert state.trace.nodes == []
    reshaped = weft.op(lambda x, *, shape: jnp.reshape(x, shape), name="reshaped")
    with pytest.raises(ShapeError, match=r"reshaped\(float32\[2\], shape=\(3,\)\): cannot reshape"):
        reshaped(as_tensor([1.0, 2.0]), shape=(3,))
    with pytest.raises(ShapeError, match=r"op\(bfloat16\[1\]\): .*bit|op\(bfloat16\[1\]\)"):
        weft.op(lambda x: x << 1, name="op")(np.ones(1, "bfloat16"))


def test_operands_that_are_no_arrays():
    with pytest.raises(TypeError, match=r"hashable|expected a tensor"):
        outer(object(), {1: {2}})


def test_a_function_of_weft_s_operations_amid_pending_work():
    x = Variable([3.0])
    x.assign_add([1.0])
    rooted = weft.op(lambda x: weft.ops.sqrt(x) + 1.0, name="rooted")
    assert rooted(x * 4.0).numpy().tolist() == [5.0] and x.numpy().tolist() == [4.0]
