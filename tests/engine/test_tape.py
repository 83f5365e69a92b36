"""GradientTape beyond TensorFlow's golden values: values read inside, programs, errors."""

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import weft
from weft.engine import (
    GraphError,
    Variable,
    as_tensor,
    cond,
    custom_gradient,
    flush,
    program,
    recompute_grad,
    scan,
)

Tape = weft.GradientTape
total = weft.op(lambda x: jnp.sum(x), name="total")
sine = weft.op(jnp.sin, name="sine")


@pytest.fixture
def texts(monkeypatch):
    """The StableHLO of the lazy programs that are run."""
    found = []
    compile_ = program._compile

    def spying(*args):
        jitted = compile_(*args)

        class Spy:
            trace = jitted.trace

            def __call__(self, *arrays):
                found.append(jitted.lower(*arrays).as_text())
                return jitted(*arrays)

        return Spy()

    monkeypatch.setattr(program, "_compile", spying)
    monkeypatch.setattr(program.programs, "kept", type(program.programs.kept)())
    return found


def loop(x, w):
    """A loop that XLA would not merge with an equal one."""
    return scan(lambda c, _: (sine(c * w), c), x, length=5)[0]


def test_the_forward_pass_runs_once(texts):
    w = Variable(1.5)
    with Tape() as tape:
        y = loop(1.0, w)
    g = tape.gradient(y, w)
    flush()
    assert np.isfinite([float(y), float(g)]).all()
    assert len(texts) == 1
    assert texts[0].count("stablehlo.while") == 2  # one forward, one backward


def test_the_forward_pass_runs_once_for_two_gradients(texts):
    u, w = Variable(1.5), Variable(0.5)
    with Tape(persistent=True) as tape:
        y = loop(1.0, w) * u
        z = y * y
    found = [tape.gradient(y, w), tape.gradient(z, [u, w])]
    del tape
    flush()
    assert len(texts) == 1
    assert texts[0].count("stablehlo.while") <= 3  # one forward, a backward each
    assert float(found[1][1]) == pytest.approx(2 * float(y) * float(found[0]), rel=1e-5)


def test_two_tapes_share_the_forward_pass(texts):
    """A GAN's step: two losses, two tapes, one generator."""
    g, d = Variable(1.5), Variable(0.7)
    with Tape() as generator, Tape() as critic:
        fake = loop(0.5, g)
        score = fake * d
        g_loss = (score - 1.0) ** 2
        d_loss = score**2 + (d - 1.0) ** 2
    dg = generator.gradient(g_loss, g)
    dd = critic.gradient(d_loss, d)
    flush()
    assert len(texts) == 1
    assert texts[0].count("stablehlo.while") == 2
    f, s = float(fake), float(score)
    assert float(dd) == pytest.approx(2 * s * f + 2 * (0.7 - 1.0), rel=1e-5)
    reference = jax.grad(lambda g: (_loop(0.5, g) * 0.7 - 1.0) ** 2)(1.5)
    assert float(dg) == pytest.approx(float(reference), rel=1e-5)


def _loop(x, w):
    for _ in range(5):
        x = jnp.sin(x * w)
    return x


@pytest.mark.parametrize("read", ["print", "branch", "flush", "numpy"])
def test_values_may_be_read_inside(read, capsys):
    v, x = Variable([1.0, 2.0]), as_tensor(np.array([3.0, 4.0], "float32"))
    with Tape() as tape:
        tape.watch(x)
        y = v * x
        if read == "print":
            print(y)
        elif read == "flush":
            flush()
        elif read == "numpy":
            assert y.numpy().tolist() == [3.0, 8.0]
        factor = 2.0 if read != "branch" or total(y) > 5.0 else 100.0
        z = y * y * factor
        if read == "print":
            print(z)
        loss = total(z * v)
    dv, dx = tape.gradient(loss, [v, x])
    # loss = 2 v^3 x^2
    np.testing.assert_allclose(dv.numpy(), [54.0, 384.0], rtol=1e-6)
    np.testing.assert_allclose(dx.numpy(), [12.0, 128.0], rtol=1e-6)
    assert bool(capsys.readouterr().out) == (read == "print")


def test_intermediate_sources_computed_before_and_after_a_read():
    x = Variable(3.0)
    with Tape(persistent=True) as tape:
        h = x * x
        float(h)
        k = h * x
        float(k)
        y = k * h
    assert [float(g) for g in tape.gradient(y, [x, h, k])] == [5 * 81.0, 27 + 3 * 9.0, 9.0]
    assert float(tape.gradient(k, h)) == 3.0


def test_variables_assigned_around_a_read():
    v = Variable(3.0)
    with Tape(persistent=True) as tape:
        y = v * v
        float(y)
        v.assign(5.0)
        z = v * v
        float(z)
        v.assign_add(v)
        w = v * v
    v.assign(0.0)
    assert [float(tape.gradient(t, v)) for t in (y, z, w)] == [6.0, 10.0, 20.0]
    assert float(tape.gradient([y, z, w], v)) == 36.0


def test_higher_orders_across_a_read():
    x = Variable(2.0)
    with Tape() as outer:
        with Tape() as inner:
            y = x**3
            float(y)
            y = y * x
        g = inner.gradient(y, x)
        float(g)
        g = g * 1.0
    assert float(g) == 32.0
    assert float(outer.gradient(g, x)) == 48.0


def test_two_overlapping_gradients_of_a_persistent_tape():
    a, b = Variable(2.0), Variable(3.0)
    with Tape(persistent=True) as tape:
        p = sine(a * b)
        q = p * p * a
        r = p * b
    found = [*tape.gradient(q, [a, b]), *tape.gradient(r, [a, b]), tape.gradient([q, r], p)]
    s, c = np.sin(6.0), np.cos(6.0)
    want = [s * s + 2 * s * c * 3 * 2, 2 * s * c * 2 * 2, c * 9, s + c * 2 * 3, 2 * s * 2 + 3]
    np.testing.assert_allclose([float(g) for g in found], want, rtol=1e-5)


def test_the_hessian_by_a_jacobian_of_a_gradient():
    x = Variable([1.0, 2.0, 3.0])
    with Tape() as outer:
        with Tape() as inner:
            y = total(x * x * x) + x[0] * x[1]
        g = inner.gradient(y, x)
    h = outer.jacobian(g, x)
    want = np.diag([6.0, 12.0, 18.0])
    want[0, 1] = want[1, 0] = 1.0
    np.testing.assert_allclose(h.numpy(), want, rtol=1e-6)


def test_gradients_of_indexing_and_control_flow_agree_with_differences():
    w = Variable(np.array([0.3, -0.7, 1.1], "float32"))

    def f():
        y = w[1:] * w[:-1]
        y = cond(total(y) > 0.0, lambda: y * w[0], lambda: y + w[as_tensor(2)])
        rows = scan(lambda c, row: (c * row + w[0], c), w[2], y)[1]
        return total(rows * rows)

    with Tape() as tape:
        loss = f()
    found = tape.gradient(loss, w).numpy()
    start = w.numpy()
    for k in range(3):
        steps = []
        for sign in (1, -1):
            moved = start.copy()
            moved[k] += sign * 1e-2
            w.assign(moved)
            steps.append(float(f()))
        assert found[k] == pytest.approx((steps[0] - steps[1]) / 2e-2, rel=2e-2, abs=1e-3)


def test_recompute_grad_computes_again_and_agrees(texts):
    w = Variable(1.5)

    def block(x):
        return loop(x, w)

    def step(f):
        with Tape() as tape:
            y = f(f(1.0 * w))
        g = tape.gradient(y, w)
        flush()
        return float(y), float(g)

    plain, again = step(block), step(recompute_grad(block))
    np.testing.assert_allclose(plain, again, rtol=1e-5)
    # Each block's loop a second time in the backward pass.
    assert [t.count("stablehlo.while") for t in texts] == [4, 6]


def test_recompute_grad_takes_variables_and_statics():
    counter, w = Variable(0.0, trainable=False), Variable(2.0)

    @recompute_grad
    def block(x, power, flag):
        assert flag == "static"
        counter.assign_add(1.0)
        return {"y": x**power * w}

    x = Variable(3.0)
    with Tape() as tape:
        y = block(x, 2, flag="static")["y"]
    assert [float(g) for g in tape.gradient(y, [x, w])] == [12.0, 9.0]
    assert float(counter) == 1.0


def test_custom_gradient_refuses_what_it_cannot_use():
    v = Variable(2.0)
    with pytest.raises(TypeError, match=r"reads the variables .* keyword argument `variables`"):
        custom_gradient(lambda x: (x * v, lambda up: up))(as_tensor(1.0))
    with pytest.raises(ValueError, match=r"must return 2 gradients.* returned 1"):
        custom_gradient(lambda x, y: (x * y, lambda up: up))(as_tensor(1.0), as_tensor(1.0))


def test_custom_gradient_inside_a_function_and_a_loop():
    @custom_gradient
    def clipped(x):
        return x * 1.0, lambda up: up * 0.5

    x = Variable(2.0)

    @weft.function
    def run():
        return scan(lambda c, _: (clipped(c) * 2.0, c), x * 1.0, length=3)[0]

    with Tape() as tape:
        y = run()
    assert float(y) == 16.0
    assert float(tape.gradient(y, x)) == 1.0


def test_a_function_under_a_tape_and_a_tape_inside_one():
    w, b = Variable(3.0), Variable(1.0)

    @weft.function
    def model(x):
        return x * w * w + b

    x = as_tensor(np.float32(2.0))
    with Tape() as tape:
        tape.watch(x)
        y = model(x) * 2.0
    assert [float(g) for g in tape.gradient(y, [x, w, b])] == [18.0, 24.0, 2.0]

    @weft.function
    def grads(x):
        with Tape() as tape:
            y = model(x) * 2.0
        return y, tape.gradient(y, [w, b])

    y, (dw, db) = grads(x)
    assert [float(y), float(dw), float(db)] == [38.0, 24.0, 2.0]
    assert len(grads.programs) == 1


def test_gradients_keep_the_order_of_a_dictionary():
    variables = {"z": Variable(1.0), "a": Variable(2.0)}
    with Tape() as tape:
        y = variables["z"] * variables["a"]
    assert list(tape.gradient(y, variables)) == ["z", "a"]


def test_gradients_have_the_dtype_of_their_source():
    x = as_tensor(np.ones(3, "float16"))
    with Tape() as tape:
        tape.watch(x)
        y = total(x.astype("float32") * 2.0)
    g = tape.gradient(y, x)
    assert g.dtype == "float16"
    assert g.numpy().tolist() == [2.0] * 3


def test_same_structure_other_shapes():
    """A gradient's plan is found by structure; a target that no node uses has its own shape."""
    for shape in ((2,), (3, 4)):
        v = Variable(np.ones(shape, "float32"))
        with Tape() as tape:
            pass
        assert tape.gradient(v, v).shape == shape


def test_a_tape_frees_what_it_recorded():
    v = Variable(np.ones(1000, "float32"))
    with Tape(persistent=True) as tape:
        h = v * 2.0
        y = total(h * h)
        float(y)
        y = y * 2.0
    trace = weakref.ref(h._trace)
    tape.gradient(y, v)
    flush()
    before = len(jax.live_arrays())
    del tape, h, y
    gc.collect()
    assert trace() is None
    assert len(jax.live_arrays()) < before


# -- errors -------------------------------------------------------------------------------


def watched():
    x = as_tensor(np.array([1.0, 2.0], "float32"))
    tape = Tape()
    with tape:
        tape.watch(x)
        y = x * x
    return tape, x, y


def test_used_twice():
    for second in ("gradient", "jacobian", "batch_jacobian"):
        tape, x, y = watched()
        tape.gradient(y, x)
        with pytest.raises(RuntimeError, match=r"one gradient.*this one was used.*persistent=True"):
            getattr(tape, second)(y, x)


def test_not_recording():
    tape = Tape()
    with pytest.raises(RuntimeError, match="watch: this tape is not recording"):
        tape.watch(as_tensor(1.0))
    with (
        pytest.raises(RuntimeError, match="stop_recording: this tape is not recording"),
        tape.stop_recording(),
    ):
        pass
    with pytest.raises(ValueError, match="reset: this tape is not recording"):
        tape.reset()
    with pytest.raises(RuntimeError, match="recorded nothing"):
        tape.gradient(as_tensor(1.0), as_tensor(1.0))


def test_entering_an_active_tape():
    tape = Tape()
    with tape, pytest.raises(ValueError, match="recording already"), tape:
        pass


def test_what_is_no_tensor():
    tape, x, y = watched()
    with (
        pytest.raises(ValueError, match="watch needs a tensor or variable, got float"),
        Tape() as t,
    ):
        t.watch(3.0)
    with pytest.raises(TypeError, match=r"target must be a weft tensor, got float.*weft\.op"):
        tape.gradient(3.0, x)
    with pytest.raises(TypeError, match="source must be a tensor or variable, got ndarray"):
        tape.gradient(y, np.ones(2))
    with pytest.raises(TypeError, match="source must be a tensor or variable, got NoneType"):
        tape.gradient(y, [x, None])
    assert tape.gradient(y, x).numpy().tolist() == [2.0, 4.0]  # still unused


def test_options_that_do_not_fit():
    tape, x, y = watched()
    with pytest.raises(ValueError, match="must be 'none' or 'zero', got 'nil'"):
        tape.gradient(y, x, unconnected_gradients="nil")
    with pytest.raises(ValueError, match="has 2 entries for 1 targets"):
        tape.gradient(y, x, output_gradients=[y, y])
    with pytest.raises(ValueError, match=r"shape \(\) was given for a target of shape \(2,\)"):
        tape.gradient(y, x, output_gradients=1.0)
    assert tape.gradient(y, x).numpy().tolist() == [2.0, 4.0]


def test_batch_jacobians_of_unlike_batches():
    tape, x, y = watched()
    with pytest.raises(ValueError, match=r"same first dimension, got shapes \(1,\) and \(2,\)"):
        tape.batch_jacobian(y[:1], x)
    with pytest.raises(ValueError, match=r"got shapes \(\) and \(2,\)"):
        tape.batch_jacobian(total(y), x)


def test_a_loop_without_bound_has_no_gradient():
    v = Variable(2.0)
    with Tape() as tape:
        y = weft.engine.while_loop(lambda x: x < 100.0, lambda x: x * v, [1.0])[0]
    with pytest.raises(NotImplementedError, match=r"while_loop.*maximum_iterations"):
        float(tape.gradient(y, v))
    with Tape() as tape:
        y = weft.engine.fori_loop(as_tensor(0), as_tensor(3), lambda i, x: x * v, 1.0)
    with pytest.raises(NotImplementedError, match=r"fori_loop.*Python ints"):
        float(tape.gradient(y, v))
    assert float(v) == 2.0


REFUSED = r"test_tape\.py:.*GradientTape is following.*weft\.op"


@pytest.mark.parametrize("read", [False, True])
def test_raw_jax_under_a_tape_is_refused(read):
    x, v = as_tensor(np.ones(2, "float32")), Variable([1.0, 2.0])
    other = as_tensor(np.ones(2, "float32"))
    with Tape() as tape:
        tape.watch(x)
        y = x * 2.0
        if read:
            y.numpy()
        z = y + other
        for followed in (x, y, z, v):
            for raw in (jnp.sin, jnp.asarray, jax.jit(lambda x: x)):
                with pytest.raises(GraphError, match=REFUSED):
                    raw(followed)
        assert jnp.asarray(other * 3.0).tolist() == [3.0, 3.0]  # not followed
    assert jnp.asarray(y).tolist() == [2.0, 2.0]  # the tape is closed
    with Tape(watch_accessed_variables=False):
        assert jnp.asarray(v).tolist() == [1.0, 2.0]


def test_custom_gradient_of_arrays_and_numbers():
    @custom_gradient
    def f(x, k, n, flag=None):
        assert flag == "static"
        return x * k * n, lambda up: (up * 2.0, None, up * 5)

    x = Variable([1.0, 2.0])
    with Tape() as tape:
        y = f(x, np.float32(3.0), 2, flag="static")
    assert y.numpy().tolist() == [6.0, 12.0]
    assert tape.gradient(y, x).numpy().tolist() == [2.0, 2.0]
