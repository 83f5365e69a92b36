"""Pending work: when it runs, what it compiles, and that nothing else can be seen of it."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import weft
from weft.engine import (
    Op,
    Tensor,
    Variable,
    as_tensor,
    boundary,
    flush,
    function,
    give_value,
    program,
    recompute_grad,
)
from weft.engine.trace import state

count = weft.config.compile_count
mean = Op(lambda x: jnp.mean(x), "mean")
_descend = Op(lambda v, g, rate: v - rate * g, "descend")


def compiled(step, *args):
    """How many programs a call compiles."""
    flush()  # what was there before would be a part of its first one
    before = count()
    step(*args)
    flush()
    return count() - before


def pending():
    return len(state.trace.nodes)


# -- when it runs -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "want",
    [float, bool, str, repr, np.asarray, lambda t: t.numpy(), lambda t: f"{t:.3f}",
     lambda t: t.item(), jnp.asarray, lambda t: np.add(t, 1.0)],
)  # fmt: skip
def test_pending_work_runs_when_a_value_is_wanted(want):
    y = as_tensor(2.0) * 3.0 + 1.0
    assert pending() == 2
    want(y)
    assert pending() == 0


def test_shapes_and_dtypes_are_known_without_running():
    x = as_tensor(np.ones((2, 3), "float32"))
    y = (x @ np.ones((3, 4), "float32")) > 0
    assert (y.shape, y.dtype, len(y), y.ndim, y.size) == ((2, 4), "bool", 2, 2, 8)
    assert pending() == 2


def test_work_that_nobody_holds_is_not_run():
    seen = []
    spy = Op(lambda x: jax.pure_callback(lambda a: seen.append(1) or a, x, x), "spy")
    x = as_tensor(np.ones(2, "float32"))
    spy(x)
    y = spy(x) * 2.0
    y.numpy()
    assert len(seen) == 1


# -- what it compiles ---------------------------------------------------------------------


def make_step():
    w, b = Variable(np.ones((3, 2), "float32")), Variable(np.zeros(2, "float32"))
    seen = Variable(0.0, trainable=False)

    def step(x, rate, factor=1.0):
        with weft.GradientTape() as tape:
            loss = mean((x @ w + b) ** 2) * factor
        for v, g in zip([w, b], tape.gradient(loss, [w, b])):
            give_value(v, _descend(v, g, rate))
        seen.assign_add(loss)
        flush()
        return loss

    return step, (w, b, seen)


def test_a_training_step_is_one_program():
    step, _ = make_step()
    x = np.ones((4, 3), "float32")
    assert compiled(step, x, 0.1) == 1
    for k in range(5):
        assert compiled(step, x + k, 0.1 / (k + 1), float(k)) == 0


def test_the_step_computes_what_jax_computes():
    step, (w, b, seen) = make_step()
    x = np.linspace(0, 1, 12, dtype="float32").reshape(4, 3)
    params = {"w": jnp.ones((3, 2)), "b": jnp.zeros(2)}
    losses = 0.0
    for _ in range(3):
        loss, g = jax.value_and_grad(lambda p: jnp.mean((x @ p["w"] + p["b"]) ** 2))(params)
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, g)
        losses += loss
        step(x, 0.1)
    np.testing.assert_allclose(w.numpy(), params["w"], rtol=1e-5)
    np.testing.assert_allclose(b.numpy(), params["b"], rtol=1e-5)
    np.testing.assert_allclose(float(seen), losses, rtol=1e-5)


def test_python_numbers_do_not_compile_again():
    x = as_tensor(np.arange(3.0, dtype="float32"))
    first = (x * 2.0 + 3).numpy()
    before = count()
    np.testing.assert_array_equal((x * 5.0 + 7).numpy(), first * 2.5 - 0.5)
    x[1].numpy()
    before = count()
    assert [float(x[k]) for k in range(-3, 3)] == [0.0, 1.0, 2.0, 0.0, 1.0, 2.0]
    assert count() == before


class Mean:
    """A metric as the library writes them."""

    def __init__(self):
        self.total = Variable(0.0, trainable=False)
        self.count = Variable(0.0, trainable=False)

    def update(self, x):
        boundary(self)
        self.total.assign_add(mean(x))
        self.count.assign_add(1.0)


def test_an_evaluation_loop_is_one_program_a_batch():
    first, second = Mean(), Mean()
    w = Variable(np.ones(3, "float32"))

    def batches(n):
        for k in range(n):
            y = w * np.full(3, k, "float32")
            first.update(y)
            second.update(y * y)

    assert compiled(batches, 3) <= 3
    assert compiled(batches, 20) == 0
    assert pending() == 0
    assert float(first.count) == 23.0
    assert float(first.total) == 3.0 + 190.0


def test_assigning_again_runs_what_is_pending():
    v = Variable(np.zeros(2, "float32"))
    v.assign_add([1.0, 2.0])
    assert pending() == 1
    v.assign_add([1.0, 2.0])
    assert pending() == 1
    before = count()
    for _ in range(50):
        v.assign(v * 1.0 + 1.0)
    assert count() - before <= 2
    assert v.numpy().tolist() == [52.0, 54.0]


# -- bounds -------------------------------------------------------------------------------


@pytest.fixture
def limits():
    """Limits as they were, afterwards."""
    yield
    weft.config.set_max_pending(1000)
    program.programs.kinds.clear()
    program.programs.waiting.clear()


def test_pending_work_is_bounded(limits):
    weft.config.set_max_pending(10)
    y = as_tensor(np.float32(0.0))
    most = 0
    for _ in range(55):
        y = y + 1.0
        most = max(most, pending())
    assert most < 10
    assert float(y) == 55.0
    with pytest.raises(ValueError, match="set_max_pending needs a positive number, got 0"):
        weft.config.set_max_pending(0)


def test_calls_of_graphs_are_bounded_too(limits):
    weft.config.set_max_pending(10)
    grow = recompute_grad(lambda x: x + 1.0)
    y = as_tensor(np.float32(0.0))
    for _ in range(25):
        y = grow(y)
        assert pending() < 10
    assert float(y) == 25.0


def test_a_tape_has_a_bound_of_its_own(limits, monkeypatch):
    weft.config.set_max_pending(10)
    x = Variable(2.0)
    with weft.GradientTape() as tape:
        y = x * 1.0
        for _ in range(30):
            y = y * 1.0
        assert pending() == 31
    assert float(tape.gradient(y, x)) == 1.0
    monkeypatch.setattr(type(state), "limit_in_tape", 20)
    with weft.GradientTape() as tape:
        y = x * 1.0
        for _ in range(50):
            y = y * 1.1
            assert pending() <= 20
    np.testing.assert_allclose(float(tape.gradient(y, x)), 1.1**50, rtol=1e-4)


def test_structure_that_never_settles_stops_compiling(limits, monkeypatch):
    monkeypatch.setattr(program.programs, "LIMIT", 8)
    before = count()

    def chain(n):
        y = as_tensor(np.ones(2, "float32"))
        for _ in range(n):
            y = y * 1.5
        return y.numpy()

    for n in range(1, 40):
        np.testing.assert_allclose(chain(n), 1.5**n, rtol=1e-4)
    assert count() - before <= 8
    # It settles: what comes again is compiled once, and then only run.
    for _ in range(3):
        chain(33)
    settled = count()
    for _ in range(20):
        chain(33)
    assert count() == settled
    assert settled - before <= 10


def test_what_settled_does_not_hide_what_never_does(limits, monkeypatch):
    """An episode: known steps one after the other, then a chain of a new length."""
    monkeypatch.setattr(program.programs, "LIMIT", 8)
    x = np.ones(3, "float32")
    before = count()
    for n in range(1, 40):
        for _ in range(10):
            assert (as_tensor(x) + 1.0).numpy().tolist() == [2.0, 2.0, 2.0]
        y = as_tensor(x)
        for _ in range(n):
            y = y / 1.5
        np.testing.assert_allclose(y.numpy(), 1.5**-n, rtol=1e-4)
    assert count() - before <= 9


def test_long_structures_weigh_more(limits, monkeypatch):
    """They take longer to compile, so fewer of them are, where each is new."""
    monkeypatch.setattr(program.programs, "LIMIT", 8)
    before = count()
    for n in range(200, 210):
        y = as_tensor(np.ones(5, "float32"))
        for _ in range(n):
            y = y - 1.0
        assert float(y[0]) == 1.0 - n
    # The chain and the subscript: 4 for each of two long ones, and then no more of them.
    assert count() - before <= 2 + 1


# -- what the caller does to its arrays ---------------------------------------------------


def test_a_refilled_buffer_leaves_pending_work_alone():
    buffer = np.ones(1000, "float32")
    v = Variable(np.zeros(1000, "float32"))
    y = as_tensor(buffer) + 0.0
    z = v + buffer
    v.assign(buffer)
    ran = function(lambda x: x + 0.0)(buffer)
    w = Variable(buffer)
    buffer[:] = 7.0
    for made in (y, z, v, ran, w):
        assert (made.numpy() == 1.0).all()


def test_a_refilled_buffer_in_many_steps():
    buffer = np.zeros(4096, "float32")
    run = function(lambda x: x * 1.0)
    outs, lazy = [], []
    for k in range(20):
        buffer[:] = k
        outs.append(run(buffer))
        lazy.append(as_tensor(buffer) * 1.0)
    for k in range(20):
        assert (outs[k].numpy() == k).all()
        assert (lazy[k].numpy() == k).all()


def test_what_numpy_gives_may_be_written_to():
    v = Variable(np.ones(100, "float32"))
    view = v.numpy()
    view[:] = 5.0
    assert (v.numpy() == 1.0).all()


# -- donation -----------------------------------------------------------------------------

KEEP = {
    "value": lambda v: v.value,
    "numpy": lambda v: v.numpy(),
    "asarray": np.asarray,
    "jax": jnp.asarray,
    "array": lambda v: v.array(),
    "dlpack": lambda v: np.from_dlpack(v),
    "value's numpy": lambda v: v.value.numpy(),
    "value's jax": lambda v: jnp.asarray(v.value),
    "raw tensor": lambda v: v._tensor,
    "view of the raw tensor": lambda v: np.asarray(v._tensor),
    "pending": lambda v: v + 0.0,
    "alias": lambda v: Variable(v),
    "assigned to another": lambda v: Variable(np.zeros(1000, "float32")).assign(v),
    "assigned to another by value": lambda v: Variable(np.zeros(1000, "float32")).assign(v.value),
}


@pytest.mark.parametrize("keep", KEEP.values(), ids=KEEP.keys())
@pytest.mark.parametrize("update", ["lazy", "function"])
def test_nothing_can_be_seen_of_donation(keep, update):
    v = Variable(np.zeros(1000, "float32"))

    def step():
        v.assign_add(np.ones(1000, "float32"))

    if update == "function":
        step = function(step)
    kept = []
    for k in range(4):
        kept.append(keep(v))
        step()
        flush()
        assert (v.numpy() == k + 1).all()
    for k, x in enumerate(kept):
        x = x.numpy() if isinstance(x, Tensor | Variable) else np.asarray(x)
        assert (x == k).all()


def test_buffers_of_replaced_variables_are_donated():
    v = Variable(np.zeros(1000, "float32"))
    for step in (lambda: v.assign_add(1.0), function(lambda: v.assign_add(1.0).shape)):
        step()
        flush()
        raw = v._tensor._value
        step()
        flush()
        assert raw.is_deleted()
    assert (v.numpy() == 4.0).all()


def test_one_value_given_to_two_variables():
    a, b = Variable(np.zeros(3, "float32")), Variable(np.zeros(3, "float32"))

    def both(x):
        a.assign(x)
        b.assign(x)

    for give in (both, function(both)):
        give(as_tensor(np.ones(3, "float32")))
        a.assign_add(1.0)
        flush()
        b.assign_add(2.0)
        assert [a.numpy().tolist(), b.numpy().tolist()] == [[2.0] * 3, [3.0] * 3]


def test_variables_that_swap():
    a, b = Variable(1.0), Variable(2.0)

    def swap():
        old = a.value
        a.assign(b)
        b.assign(old)

    for run in (swap, function(swap)):
        run()
        assert (float(a), float(b)) == (2.0, 1.0)
        run()
        assert (float(a), float(b)) == (1.0, 2.0)


# -- failures -----------------------------------------------------------------------------


def _fail_late(x):
    def fail(_):
        raise ValueError("the callback refuses")

    return jax.pure_callback(fail, jax.ShapeDtypeStruct(x.shape, x.dtype), x)


class _Late:
    """An operation that passes shape inference and fails when the program is made."""

    def __init__(self):
        self.inferred = False

    def __call__(self, x):
        if self.inferred:
            raise RuntimeError("no lowering")
        self.inferred = True
        return x * 1


@pytest.mark.parametrize("where", ["lazy", "function", "tape"])
@pytest.mark.parametrize("when", ["compile", "run"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_failing_program_leaves_variables_as_they_were(when, where, capfd):
    fails = Op(_Late() if when == "compile" else _fail_late, "fails")
    read, written, replaced = (Variable(np.full(3, k, "float32")) for k in (1.0, 2.0, 3.0))
    held = replaced.value

    def step():
        replaced.assign_add(read * 2.0)
        written.assign(fails(read.value))
        return written.value

    run = function(step) if where == "function" else step
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"no lowering|the callback refuses"):
            if where == "tape":
                with weft.GradientTape():
                    run().numpy()
            else:
                run().numpy()
        assert [v.numpy()[0] for v in (read, written, replaced)] == [1.0, 2.0, 3.0]
        assert held.numpy()[0] == 3.0
    replaced.assign_add(1.0)
    written.assign_add(1.0)
    assert [v.numpy()[0] for v in (read, written, replaced)] == [1.0, 3.0, 4.0]
    capfd.readouterr()  # JAX prints the callback's traceback


# -- eager mode ---------------------------------------------------------------------------


def scenario():
    step, variables = make_step()
    x = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
    for k in range(3):
        step(x * k, 0.1)
    v = Variable(np.ones(3, "float32"))
    with weft.GradientTape(persistent=True) as tape:
        y = v[1] * v
        v.assign_add(y)
        z = weft.engine.scan(lambda c, row: (c * row, c), v[0], v * y)[0]
    g = tape.gradient(z, [v, y])
    return [*variables, v, y, z, *g, function(lambda a: a * v)(2.0)]


def test_eager_mode_gives_the_same():
    lazy = [x.numpy() for x in scenario()]
    weft.config.set_eager(True)
    try:
        assert weft.config.is_eager()
        made = scenario()
        assert pending() == 0
    finally:
        weft.config.set_eager(False)
    for a, b in zip(lazy, made):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-5)


def test_eager_mode_runs_each_operation_at_once():
    weft.config.set_eager(True)
    v = Variable(1.0)
    with weft.GradientTape() as tape:
        y = v * 3.0
        assert y._value is not None
    g = tape.gradient(y, v)
    assert g._value is not None
    weft.config.set_eager(False)
    assert not weft.config.is_eager()


def test_eager_mode_keeps_the_bound(limits):
    weft.config.set_max_pending(5)
    weft.config.set_eager(True)
    weft.config.set_eager(False)
    y = as_tensor(1.0)
    for _ in range(20):
        y = y + 1.0
        assert pending() < 5


# -- memory -------------------------------------------------------------------------------


def test_a_thousand_steps_leave_memory_flat():
    step, _ = make_step()
    read = Mean()
    x = np.ones((4, 3), "float32")

    def steps(n):
        for k in range(n):
            loss = step(x, 0.001)
            read.update(loss)
            if k % 10 == 0:
                float(loss)

    steps(50)
    gc.collect()
    arrays, objects = len(jax.live_arrays()), len(gc.get_objects())
    steps(1000)
    gc.collect()
    assert len(jax.live_arrays()) <= arrays + 2
    assert len(gc.get_objects()) <= objects + 200


def test_a_loop_without_updates_leaves_memory_flat():
    w = Variable(np.ones(3, "float32"))

    def steps(n):
        for _ in range(n):
            with weft.GradientTape() as tape:
                y = mean(w * w)
            tape.gradient(y, w)
            float(y)

    steps(20)
    gc.collect()
    arrays, objects = len(jax.live_arrays()), len(gc.get_objects())
    steps(300)
    gc.collect()
    assert len(jax.live_arrays()) <= arrays + 2
    assert len(gc.get_objects()) <= objects + 200
