"""GradientTape against TensorFlow 2.21: every expected value was measured there."""

import jax.numpy as jnp
import numpy as np
import pytest

import weft
from weft.engine import Variable, as_tensor, function, while_loop
from weft.engine.operators import astype

Tape = weft.GradientTape
total = weft.op(lambda x: jnp.sum(x), name="total")


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


# -- what is watched ----------------------------------------------------------------------


def test_uses_before_a_watch_do_not_count():
    x = const(3.0)
    with Tape() as tape:
        y = x * x
        tape.watch(x)
        z = x * x * x + y
    assert plain(tape.gradient(z, x)) == 27.0


def test_uses_before_a_watch_do_not_count_when_a_value_was_read_between():
    x = const(3.0)
    with Tape() as tape:
        y = x * x
        assert float(y) == 9.0
        tape.watch(x)
        z = x * x * x + y
        assert float(z) == 36.0
        w = z + y
    assert plain(tape.gradient(w, x)) == 27.0


def test_an_intermediate_watched_late_was_followed_all_along():
    x = const(3.0)
    with Tape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        w = y * 3.0
        tape.watch(y)
        z = w + y * 2.0
    assert plain(tape.gradient(z, [x, y])) == [30.0, 5.0]
    assert plain(tape.gradient(z, y)) == 5.0
    assert plain(tape.gradient(z, x)) == 30.0


def test_a_variable_watched_late():
    v = Variable(3.0)
    with Tape(watch_accessed_variables=False) as tape:
        y = v * v
        tape.watch(v)
        z = y + v * v * v
    assert plain(tape.gradient(z, v)) == 27.0


def test_nothing_is_watched_by_itself_when_switched_off():
    v = Variable(3.0)
    with Tape(watch_accessed_variables=False) as tape:
        y = v * v
    assert tape.gradient(y, v) is None
    assert tape.watched_variables() == ()


def test_variables_that_are_not_trainable_need_a_watch():
    v = Variable(3.0, trainable=False)
    with Tape() as tape:
        y = v * v
    assert tape.gradient(y, v) is None
    with Tape() as tape:
        tape.watch(v)
        y = v * v
    assert plain(tape.gradient(y, v)) == 6.0


def test_integers_have_no_gradient():
    v, x = Variable(3), const(2)
    with Tape() as tape:
        tape.watch(x)
        y = astype(v, "float32") * 2.0 + astype(x, "float32")
    assert tape.gradient(y, [v, x]) == [None, None]
    x = const(2.0)
    with Tape(persistent=True) as tape:
        tape.watch(x)
        whole = astype(x * 2.0, "int32")
        above = astype(x > 1.0, "float32")
    assert tape.gradient(whole, x) is None
    assert tape.gradient(above, x) is None


def test_unwatched_constants_give_none():
    x = const(3.0)
    with Tape() as tape:
        y = x * x
    assert tape.gradient(y, x) is None


def test_equal_values_are_not_the_same_tensor():
    x = const(2.0)
    z = x + 0.0
    with Tape() as tape:
        tape.watch(x)
        y = z * z
    assert tape.gradient(y, x) is None


def test_watched_variables_come_in_order_of_creation():
    a, b, c = (Variable(1.0, name=n) for n in "abc")
    with Tape() as tape:
        c * b
        a + b
    assert [v.name for v in tape.watched_variables()] == ["a", "b", "c"]


def test_watched_variables_are_those_read_assigned_or_watched():
    a = Variable(1.0)
    with Tape() as tape:
        a.assign(3.0)
    assert tape.watched_variables() == (a,)
    with Tape() as tape:
        a.assign_add(3.0)
    assert tape.watched_variables() == (a,)
    with Tape() as tape:
        tape.watch(a)
    assert tape.watched_variables() == (a,)
    with Tape() as tape, tape.stop_recording():
        a * 2.0
    assert tape.watched_variables() == ()
    with Tape() as tape:
        a * 2.0
        tape.reset()
    assert tape.watched_variables() == ()
    with Tape() as tape:
        y = a * 2.0
    tape.gradient(y, a)
    assert tape.watched_variables() == (a,)


# -- assignments --------------------------------------------------------------------------


def test_every_value_that_a_variable_had_counts():
    v = Variable(3.0)
    with Tape(persistent=True) as tape:
        y = v * v
        v.assign(5.0)
        z = v * v
    assert plain(tape.gradient(y, v)) == 6.0
    assert plain(tape.gradient(z, v)) == 10.0
    assert plain(tape.gradient([y, z], v)) == 16.0


def test_nothing_passes_through_an_assignment():
    v, x = Variable(3.0), const(2.0)
    with Tape() as tape:
        tape.watch(x)
        v.assign(x * 2.0)
        z = v * v * x
    assert plain(tape.gradient(z, [x, v])) == [16.0, 16.0]
    v = Variable(3.0)
    with Tape() as tape:
        tape.watch(x)
        v.assign_add(x * 2.0)
        z = v * v
    assert plain(tape.gradient(z, [x, v])) == [None, 14.0]
    v = Variable(3.0)
    with Tape() as tape:
        v.assign(v * v)
        z = v * v
    assert plain(tape.gradient(z, [v])) == [18.0]


def test_a_value_read_before_the_assignment_is_another_source():
    v = Variable(3.0)
    with Tape(persistent=True) as tape:
        r = v.read_value()
        v.assign(5.0)
        z = v * v
        s = v.read_value()
        q = s * 2.0
    assert plain(tape.gradient(z, [r, v])) == [None, 10.0]
    assert plain(tape.gradient(q, [s, v, r])) == [2.0, 2.0, None]


def test_an_assignment_after_the_tape_changes_nothing():
    v = Variable(3.0)
    with Tape() as tape:
        y = v * v
    v.assign(10.0)
    assert plain(tape.gradient(y, v)) == 6.0


def test_assignments_in_a_function():
    v, x = Variable(3.0), const(2.0)

    @function
    def f(x):
        a = v * v
        v.assign_add(x)
        return a * x + v * v * v

    with Tape() as tape:
        tape.watch(x)
        y = f(x)
    assert plain(tape.gradient(y, [x, v])) == [9.0, 87.0]


def test_assignments_in_a_loop_body():
    v, x = Variable(3.0), const(2.0)

    def body(i, y):
        y = y * v
        v.assign_add(x)
        return i + 1, y

    @function
    def f():
        return while_loop(lambda i, y: i < 3, body, (0, 1.0), maximum_iterations=5)[1]

    for run in (f, f.python):
        v.assign(3.0)
        with Tape() as tape:
            tape.watch(x)
            y = run()
        assert plain(y) == 105.0
        assert plain(tape.gradient(y, [x, v])) == [0.0, 71.0]


def test_a_step_inside_the_outer_tape():
    v = Variable(3.0)
    with Tape() as outer:
        with Tape() as inner:
            y = v * v * v
        g = inner.gradient(y, v)
        v.assign_sub(0.1 * g)
        y2 = v * v * v
    np.testing.assert_allclose(plain(outer.gradient(y2, v)), 0.26999992)
    assert plain(g) == 27.0


# -- sources and targets ------------------------------------------------------------------


def test_a_variable_as_a_target():
    v = Variable(3.0)
    with Tape(persistent=True) as tape:
        y = v * v
    assert plain(tape.gradient(v, v)) == 1.0
    with Tape(persistent=True) as tape:
        pass
    assert plain(tape.gradient(v, v)) == 1.0
    with Tape() as tape:
        y = v * 2.0
    assert plain(tape.gradient([y, v], v)) == 3.0
    with Tape() as tape:
        y = v * 2.0
        v.assign(7.0)
    assert plain(tape.gradient(v, v)) == 1.0


def test_a_target_that_is_a_source_gives_one():
    x = const(3.0)
    with Tape(persistent=True) as tape:
        tape.watch(x)
        y = x * 2.0
    assert plain(tape.gradient(x, x)) == 1.0
    assert plain(tape.gradient(y, y)) == 1.0
    assert plain(tape.gradient([x, y], [x, y])) == [3.0, 1.0]
    with Tape(persistent=True) as tape:
        y = x * 2.0
    assert plain(tape.gradient(x, x)) == 1.0
    assert plain(tape.gradient(y, y)) == 1.0
    # Unwatched, it does not become connected by that.
    assert plain(tape.gradient([x, y], x)) == 1.0


def test_a_source_downstream_of_another():
    x = const(3.0)
    with Tape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    assert plain(tape.gradient(z, [x, y])) == [108.0, 18.0]
    assert plain(tape.gradient([z, y], [x, y])) == [114.0, 19.0]


def test_nests_of_sources_and_targets():
    a, b, c = Variable(1.0), Variable(2.0), Variable(5.0)
    with Tape(persistent=True) as tape:
        y = a * b
        z = a * 3.0
    found = tape.gradient({"p": y, "q": [z]}, {"x": a, "y": [b, (c,)]})
    assert plain(found) == {"x": 5.0, "y": [1.0, (None,)]}
    assert plain(tape.gradient(y, (a, [c]), unconnected_gradients="zero")) == (2.0, [0.0])
    assert tape.gradient(y, []) == []


def test_targets_and_sources_named_twice():
    x = const(2.0)
    with Tape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
    assert plain(tape.gradient([y, y], x)) == 8.0
    assert plain(tape.gradient(y, [x, x])) == [4.0, 4.0]


def test_targets_are_summed():
    x = const([1.0, 2.0])
    with Tape() as tape:
        tape.watch(x)
        y = x * 2.0
        z = total(x * x)
    assert plain(tape.gradient([y, z], x)) == [4.0, 6.0]


def test_output_gradients_weigh_the_targets():
    x = const([1.0, 2.0])
    with Tape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        z = x * 3.0
    assert plain(tape.gradient(y, x, output_gradients=const([10.0, 100.0]))) == [20.0, 400.0]
    seeds = {"a": const([1.0, 2.0]), "b": const([5.0, 6.0])}
    assert plain(tape.gradient({"a": y, "b": z}, x, output_gradients=seeds)) == [17.0, 26.0]


def test_unconnected_gradients():
    x, z = const([1.0, 2.0]), const([1.0, 2.0])
    whole = const([1, 2])
    with Tape(persistent=True) as tape:
        tape.watch([x, z])
        y = x * 2.0
    zero = weft.engine.UnconnectedGradients.ZERO
    assert tape.gradient(y, z) is None
    assert plain(tape.gradient(y, z, unconnected_gradients=zero)) == [0.0, 0.0]
    assert tape.jacobian(y, z) is None
    assert plain(tape.jacobian(y, z, unconnected_gradients="zero")) == [[0.0, 0.0], [0.0, 0.0]]
    found = tape.gradient(y, whole, unconnected_gradients="zero")
    assert plain(found) == [0, 0]
    assert found.dtype == "int32"


# -- the tape's life ----------------------------------------------------------------------


def test_entering_again_goes_on():
    x, v = const(3.0), Variable(2.0)
    for persistent in (True, False):
        tape = Tape(persistent=persistent)
        with tape:
            tape.watch(x)
            y = x * x * v
        with tape:
            z = y * x
        assert plain(tape.gradient(z, x)) == 54.0


def test_entering_after_use_starts_over():
    x = const(3.0)
    tape = Tape()
    with tape:
        tape.watch(x)
        y = x * x
    assert plain(tape.gradient(y, x)) == 6.0
    with tape:
        tape.watch(x)
        y = x * x * x
    assert plain(tape.gradient(y, x)) == 27.0


def test_a_gradient_taken_while_recording():
    x = const(3.0)
    with Tape() as tape:
        tape.watch(x)
        y = x * x
        g = tape.gradient(y, x)
    assert plain(g) == 6.0
    with Tape(persistent=True) as tape:
        tape.watch(x)
        y = x * x * x
        g = tape.gradient(y, x)
        h = tape.gradient(g, x)
    assert plain(g) == 27.0
    assert plain(h) == 18.0
    assert plain(tape.gradient(g, x)) == 18.0
    assert plain(tape.gradient(h, x)) == 6.0


def test_third_order():
    x = const(2.0)
    with Tape() as t1:
        t1.watch(x)
        with Tape() as t2:
            t2.watch(x)
            with Tape() as t3:
                t3.watch(x)
                y = x**5
            a = t3.gradient(y, x)
        b = t2.gradient(a, x)
    assert plain([a, b, t1.gradient(b, x)]) == [80.0, 160.0, 240.0]


def test_a_gradient_taken_outside_the_outer_tape_is_not_recorded():
    v = Variable(2.0)
    with Tape() as outer, Tape() as inner:
        y = v**3
    g = inner.gradient(y, v)
    assert plain(g) == 12.0
    assert outer.gradient(g, v) is None


def test_stop_recording():
    x = const(3.0)
    with Tape() as tape:
        tape.watch(x)
        y = x * x
        with tape.stop_recording():
            w = x * x * x
        z = y + w
    assert plain(tape.gradient(z, x)) == 6.0
    with Tape(persistent=True) as tape:
        tape.watch(x)
        with tape.stop_recording():
            w = x * x
        z = w * x
    assert plain(tape.gradient(z, x)) == 9.0
    assert tape.gradient(z, w) is None
    with Tape() as tape:
        with tape.stop_recording():
            tape.watch(x)  # without effect there
            y = x * x
        z = x * y
    assert tape.gradient(z, x) is None


def test_reset():
    x = const(3.0)
    with Tape() as tape:
        tape.watch(x)
        y = x * x
        tape.reset()
        tape.watch(x)
        z = x * x * x + y
    assert plain(tape.gradient(z, x)) == 27.0
    with Tape() as tape:
        tape.watch(x)
        tape.reset()
        z = x * x * x
    assert tape.gradient(z, x) is None


def test_made_after_the_tape():
    x = const(3.0)
    with Tape() as tape:
        tape.watch(x)
        y = x * x
    z = y * 2.0
    assert tape.gradient(z, x) is None


def test_watched_after_the_tape():
    x = const(3.0)
    with Tape() as tape:
        y = x * x
    tape.watch(x)
    assert tape.gradient(y, x) is None


def test_a_detour_through_numpy_is_lost():
    x = const(3.0)
    with Tape() as tape:
        tape.watch(x)
        y = const(x.numpy()) * 2.0
    assert tape.gradient(y, x) is None


def test_an_exception_closes_the_tape():
    x = const(2.0)
    tape = Tape()
    with pytest.raises(KeyError), tape:
        tape.watch(x)
        y = x * x
        raise KeyError
    assert plain(tape.gradient(y, x)) == 4.0


def test_tapes_that_overlap():
    x, v = const(2.0), Variable(3.0)
    a, b = Tape(), Tape()
    a.__enter__()
    a.watch(x)
    y = x * v
    b.__enter__()
    b.watch(y)
    z = y * y
    a.__exit__(None, None, None)
    w = z * y
    b.__exit__(None, None, None)
    assert plain(a.gradient(z, x)) == 36.0
    assert plain(b.gradient(w, y)) == 108.0
