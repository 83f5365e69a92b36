"""Jacobians and single operations under GradientTape, as measured in TensorFlow 2.21.

Where weft differs on purpose it is said at the test: embedding gradients are dense, and a
connection that only a value decides (an untaken branch) counts as a gradient of zero, as it does in
`tf.function`.
"""

import jax.numpy as jnp
import numpy as np
import pytest

import weft
from weft.engine import Op, Variable, as_tensor, cond, custom_gradient

Tape = weft.GradientTape
total = weft.op(lambda x: jnp.sum(x), name="total")
stopped = Op(lambda x: x + 0, "stopped", differentiable=False)


@pytest.fixture(autouse=True, params=["lazy", "eager"])
def mode(request):
    weft.config.set_eager(request.param == "eager")
    yield request.param
    weft.config.set_eager(False)


def const(x):
    return as_tensor(jnp.asarray(x))


def plain(nest):
    """Gradients as Python values."""
    if isinstance(nest, dict):
        return {k: plain(v) for k, v in nest.items()}
    if isinstance(nest, list | tuple):
        return type(nest)(plain(v) for v in nest)
    return None if nest is None else nest.numpy().tolist()


# -- Jacobians ----------------------------------------------------------------------------


def test_jacobians():
    x = const(np.arange(30.0, dtype="float32").reshape(5, 6) / 10)
    w = const(np.arange(18.0, dtype="float32").reshape(6, 3) / 10)
    with Tape(persistent=True) as tape:
        tape.watch(x)
        y = x @ w
    found = tape.jacobian(y, x)
    assert found.shape == (5, 3, 5, 6)
    assert float(total(found)) == pytest.approx(76.5)
    rows = tape.batch_jacobian(y, x)
    assert rows.shape == (5, 3, 6)
    np.testing.assert_allclose(rows.numpy(), np.tile(w.numpy().T, (5, 1, 1)), rtol=1e-6)


def test_the_jacobian_of_nested_sources_and_of_a_scalar():
    x, v = const([1.0, 2.0]), Variable(3.0)
    with Tape() as tape:
        tape.watch(x)
        y = x * x * v
    found = tape.jacobian(y, {"x": x, "v": v})
    assert plain(found) == {"x": [[6.0, 0.0], [0.0, 12.0]], "v": [1.0, 4.0]}
    x = const(2.0)
    with Tape() as tape:
        tape.watch(x)
        y = x * x
    assert plain(tape.jacobian(y, x)) == 4.0


def test_an_unconnected_batch_jacobian_is_zero():
    x, z = const(np.ones((2, 3), "float32")), const(np.ones((2, 3), "float32"))
    with Tape() as tape:
        tape.watch([x, z])
        y = x * 2.0
    found = tape.batch_jacobian(y, z)
    assert found.shape == (2, 3, 3)
    assert not found.numpy().any()


# -- operations ---------------------------------------------------------------------------


def test_gathers():
    e = Variable([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    with Tape() as tape:
        y = total(e[[0, 2, 0]] ** 2)
    assert plain(tape.gradient(y, e)) == [[4.0, 8.0], [0.0, 0.0], [10.0, 12.0]]


def test_stop_gradient():
    x = const(2.5)
    with Tape(persistent=True) as tape:
        tape.watch(x)
        y = stopped(x) * x
        z = stopped(x)
        w = x // 2.0
    assert plain(tape.gradient(y, x)) == 2.5
    assert tape.gradient(z, x) is None
    assert tape.gradient(w, x) is None


def test_complex_numbers():
    x = const(2.0 + 3.0j)
    with Tape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        r = abs(x) ** 2
    np.testing.assert_allclose(tape.gradient(y, x).numpy(), 4 - 6j, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(r, x).numpy(), 4 + 6j, rtol=1e-6)


def test_a_branch_is_one_operation():
    v, w = Variable(2.0), Variable(3.0)
    with Tape() as tape:
        y = cond(v > 1.0, lambda: v * v, lambda: w * 3.0)
    assert plain(tape.gradient(y, [v, w])) == [4.0, 0.0]


def test_custom_gradient_with_a_variable():
    v = Variable(2.0)

    @custom_gradient
    def f(x):
        return x * v, lambda up, variables=None: (up * 10.0, [up * 100.0])

    x = const(3.0)
    with Tape() as tape:
        tape.watch(x)
        z = f(x) * 2.0
    assert plain(z) == 12.0
    assert plain(tape.gradient(z, [x, v])) == [20.0, 200.0]


def test_custom_gradient_of_two_outputs():
    @custom_gradient
    def f(x, y):
        return (x * y, x + y), lambda a, b: (a * 2.0 + b, b * 7.0)

    x, y = const(3.0), const(4.0)
    with Tape(persistent=True) as tape:
        tape.watch([x, y])
        p, q = f(x, y)
    assert plain(tape.gradient(p, [x, y])) == [2.0, 0.0]
    assert plain(tape.gradient(q, [x, y])) == [1.0, 7.0]
    assert plain(tape.gradient([p, q], [x, y])) == [3.0, 7.0]


def test_custom_gradient_may_give_none():
    @custom_gradient
    def f(x, y):
        return x * y, lambda up: (up * 2.0, None)

    x, y = const(3.0), const(4.0)
    with Tape() as tape:
        tape.watch([x, y])
        p = f(x, y)
    assert plain(tape.gradient(p, [x, y])) == [2.0, None]


def test_custom_gradient_is_differentiated_itself():
    @custom_gradient
    def f(x):
        return x * x, lambda up: up * x * x * x

    x = const(3.0)
    with Tape() as outer:
        outer.watch(x)
        with Tape() as inner:
            inner.watch(x)
            y = f(x)
        g = inner.gradient(y, x)
    assert plain([g, outer.gradient(g, x)]) == [27.0, 27.0]
