"""weft.function: Python run once for each signature, with the state that it uses."""

import gc
import weakref
from collections import namedtuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import weft
from weft.engine import (
    GraphError,
    Op,
    SeedGenerator,
    ShapeError,
    Tensor,
    ValueNeededError,
    Variable,
    as_tensor,
    draw,
    function,
)

count = weft.config.compile_count
mean = Op(lambda x: jnp.mean(x), "mean")


def counted(python):
    """A function, and the number of times that its Python ran."""
    calls = []

    @function
    def run(*args, **kwargs):
        calls.append(1)
        return python(*args, **kwargs)

    return run, calls


# -- state --------------------------------------------------------------------------------


def test_state_is_found_by_itself():
    w, n, unused = Variable(2.0), Variable(0, trainable=False), Variable(1.0)

    @function
    def step(x):
        n.assign_add(1)
        w.assign(w * x)
        return w + n.astype("float32")

    assert [float(step(3.0)), float(step(2.0))] == [7.0, 14.0]
    assert (float(w), int(n)) == (12.0, 2)
    (program,) = step.programs
    assert set(program.reads) == {w, n} == set(program.writes)
    assert unused not in program.reads
    w.assign(1.0)
    assert float(step(5.0)) == 8.0
    assert len(step.programs) == 1


def test_a_variable_that_is_only_written():
    v = Variable([1.0, 2.0])

    @function
    def put(x):
        v.assign(x * 2.0)

    assert put(as_tensor([3.0, 4.0])) is None
    assert v.numpy().tolist() == [6.0, 8.0]
    put(as_tensor([5.0, 6.0]))
    assert v.numpy().tolist() == [10.0, 12.0]


def test_pending_work_comes_first():
    v = Variable(1.0)
    double = function(lambda: v.assign(v * 2.0).value)
    v.assign_add(2.0)
    assert float(double()) == 6.0
    v.assign_add(1.0)
    x = v * 10.0
    assert float(function(lambda a: a + v)(x)) == 77.0


def test_seeds_move_on():
    generator = SeedGenerator(1)
    run = function(lambda: draw(generator, jax.random.uniform))
    found = [float(run()) for _ in range(3)]
    again = SeedGenerator(1)
    assert found == [float(draw(again, jax.random.uniform)) for _ in range(3)]
    assert len(set(found)) == 3


def test_variables_made_inside_are_made_once():
    made = []

    @function
    def run(x):
        if not made:
            made.append(Variable(10.0))
        made[0].assign_add(x)
        return made[0].value

    assert [float(run(1.0)), float(run(2.0))] == [11.0, 13.0]
    assert float(made[0]) == 13.0


# -- signatures ---------------------------------------------------------------------------


def test_what_traces_again():
    run, calls = counted(lambda x, n=2, flag=True: x * n if flag else x)
    x = np.ones(3, "float32")
    for same in (x, as_tensor(x), jnp.asarray(x), as_tensor(x) * 1.0):
        run(same)
    assert len(calls) == 1
    for other, traced in (
        (lambda: run(np.ones(4, "float32")), 2),
        (lambda: run(np.ones(3, "int32")), 3),
        (lambda: run(x, 3), 4),
        (lambda: run(x, n=3), 5),
        (lambda: run(x, flag=False), 6),
        (lambda: run(1.5), 7),
        (lambda: run(2.5), 7),
        (lambda: run(-1.0), 7),
        (lambda: run(x, 2), 8),
        (lambda: run(x), 8),
    ):
        other()
        assert len(calls) == traced
    assert len(run.programs) == 8


def test_floats_do_not_compile_again_and_ints_do():
    run = function(lambda x, k: x * k)
    before = count()
    for k in (0.1, 0.2, 0.3):
        assert float(run(2.0, k)) == pytest.approx(2 * k)
    assert count() - before == 1
    for k in (1, 2):
        assert float(run(2.0, k)) == 2 * k
    assert count() - before == 3


def test_trainable_is_part_of_the_signature():
    v = Variable(1.0)

    @function
    def run():
        return 1.0 if v.trainable else 0.0

    assert run() == 1.0
    v.trainable = False
    assert run() == 0.0


Pair = namedtuple("Pair", "a b")


def test_nested_structures():
    run, calls = counted(
        lambda pair, options: {"z": [pair.a + options["k"], None], "a": (pair.b, "text", 3)}
    )
    for _ in range(2):
        out = run(Pair(as_tensor(1.0), 2.0), {"k": as_tensor(5.0), "name": "n"})
    assert len(calls) == 1
    assert list(out) == ["z", "a"]  # in the order written
    assert float(out["z"][0]) == 6.0 and out["z"][1] is None
    assert float(out["a"][0]) == 2.0 and out["a"][1:] == ("text", 3)
    assert isinstance(out["a"][0], Tensor)
    assert function(lambda: None)() is None
    assert function(lambda: Pair(as_tensor(1.0), []))().b == []


def test_variables_as_arguments_and_results():
    v = Variable(2.0)
    run = function(lambda u, x: u.assign_add(x))
    out = run(v, 1.0)
    assert isinstance(out, Tensor)
    assert (float(out), float(v)) == (3.0, 3.0)
    w = Variable(10.0)
    assert float(run(w, 1.0)) == 11.0
    assert len(run.programs) == 2


def test_arguments_that_cannot_be_part_of_a_signature():
    with pytest.raises(
        TypeError, match=r"'f': arguments that are no tensors.*hashable; got \['set'\]"
    ):
        function(lambda x: 1.0, name="f")({1, 2})
    with pytest.raises(TypeError, match="needs a callable, got int"):
        function(3)


# -- methods ------------------------------------------------------------------------------


class Counter:
    def __init__(self, start):
        self.n = Variable(start)

    @function
    def add(self, x):
        """Add."""
        return self.n.assign_add(x).value

    @function(name="other", jit_compile=True)
    def twice(self):
        return self.n * 2.0


def test_methods_have_programs_of_their_own():
    a, b = Counter(0.0), Counter(10.0)
    assert [float(c.add(k)) for c, k in ((a, 1.0), (b, 1.0), (a, 2.0))] == [1.0, 11.0, 3.0]
    assert float(b.twice()) == 22.0
    assert a.add is a.add and a.add is not b.add
    assert len(a.add.programs) == 1
    assert Counter.add.__doc__ == "Add."
    alive = weakref.ref(a)
    del a
    gc.collect()
    assert alive() is None


# -- a look inside ------------------------------------------------------------------------


def test_programs_can_be_looked_at():
    w = Variable(np.ones((8, 4), "float32"), name="w")

    @function(name="layer")
    def run(x):
        w.assign_add(w * 0.0)
        return x @ w

    run(np.ones((2, 8), "float32"))
    assert repr(run) == "<weft.function layer, 1 programs>"
    program = run.program_for(np.ones((2, 8), "float32"))
    assert program is run.programs[0]
    assert program.signature == "float32[2, 8]"
    assert "layer(float32[2, 8])" in repr(program) and "assigns 1" in repr(program)
    assert "stablehlo.dot_general" in program.as_text()
    assert "HloModule" in program.as_text(optimized=True)
    assert "tf.aliasing_output" in program.as_text() or "jax.buffer_donor" in program.as_text()
    assert program.cost_analysis()["flops"] >= 2 * 2 * 8 * 4
    assert program.memory_analysis().argument_size_in_bytes >= 4 * (16 + 32)
    before = count()
    run.program_for(np.ones((3, 8), "float32"))
    assert len(run.programs) == 2 and count() == before


# -- values and symbols -------------------------------------------------------------------


@pytest.mark.parametrize("ask", [bool, float, int, np.asarray, Tensor.numpy, "{:.2f}".format])
def test_a_value_asked_for_while_tracing(ask):
    v = Variable(3.0)

    @function
    def run(x):
        v.assign(7.0)
        ask(x.sum())
        return x

    with pytest.raises(
        ValueNeededError, match=r"test_function\.py:\d+ in run: .*cond.*run_eagerly"
    ) as e:
        run(as_tensor([1.0, 2.0]))
    assert e.value.line.endswith("in run")
    assert float(v) == 3.0
    assert run.programs == []


def test_a_branch_on_a_value_names_its_line():
    @function
    def run(x):
        if x > 0.0:  # this line
            return x
        return -x

    line = run.python.__code__.co_firstlineno + 2
    with pytest.raises(ValueNeededError, match=rf"test_function\.py:{line} in run"):
        run(as_tensor(1.0))


def test_a_tensor_that_leaks_out_of_its_trace():
    kept = []

    @function
    def run(x):
        kept.append(x * 2.0)
        return x

    run(as_tensor([1.0, 2.0]))
    for use in (lambda t: t + 1.0, lambda t: t.numpy(), float):
        with pytest.raises(
            GraphError, match=r"symbolic tensor \(shape \(2,\), dtype float32\).*Return it"
        ):
            use(kept[0])
    with pytest.raises(GraphError, match="symbolic"):
        function(lambda y: y + kept[0])(as_tensor([1.0, 2.0]))
    assert (as_tensor(1.0) + 1.0).numpy() == 2.0  # recording goes on


def test_an_exception_while_tracing_leaves_nothing_half_changed():
    v, w = Variable(1.0), Variable([1.0])
    hits = []

    @function
    def run(x):
        v.assign_add(x)
        hits.append(1)
        if len(hits) == 1:
            raise KeyError("mine")
        if len(hits) == 2:
            w.assign([1.0, 2.0])
        return v.value

    with pytest.raises(KeyError, match="mine"):
        run(1.0)
    with pytest.raises(ShapeError, match=r"has shape \(1,\), the value has \(2,\)"):
        run(1.0)
    assert run.programs == [] and float(v) == 1.0
    assert float(run(1.0)) == 2.0
    assert float(v) == 2.0


# -- functions in functions, under tapes --------------------------------------------------


def test_nested_functions():
    v = Variable(1.0)
    inner = function(lambda x: v.assign_add(x).value * 2.0)
    outer = function(lambda x: inner(x) + inner(x + 1.0))
    assert float(outer(1.0)) == 2 * 2.0 + 2 * 4.0
    assert float(v) == 4.0
    assert float(inner(1.0)) == 10.0
    assert float(outer(1.0)) == 2 * 6.0 + 2 * 8.0


def test_what_a_function_captures_is_differentiable():
    a = as_tensor(np.float32(3.0))
    with weft.GradientTape() as tape:
        tape.watch(a)
        b = a * a
        run = function(lambda x: x * b)
        y = run(2.0) + run(3.0)
    assert float(tape.gradient(y, a)) == 30.0


def test_tensors_of_the_lazy_loop_are_constants_of_the_program():
    scale = as_tensor(np.float32(2.0)) * 3.0
    run = function(lambda x: x * scale)
    assert [float(run(1.0)), float(run(2.0))] == [6.0, 12.0]


def step_of(model, variables):
    def step(x):
        with weft.GradientTape() as tape:
            loss = mean(model(x) ** 2)
        for v, g in zip(variables, tape.gradient(loss, variables)):
            v.assign_sub(0.1 * g)
        return {"loss": loss, "norm": mean(variables[0])}

    return step


def test_a_training_step_is_the_same_compiled_and_not():
    results = []
    for wrap in (function, lambda f: f):
        w, b = Variable(np.ones((3, 2), "float32")), Variable(np.zeros(2, "float32"))
        step = wrap(step_of(lambda x, w=w, b=b: x @ w + b, [w, b]))
        losses = [step(np.full((4, 3), k, "float32"))["loss"] for k in range(4)]
        results.append([*(float(x) for x in losses), w.numpy(), b.numpy()])
    for one, other in zip(*results):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_a_step_compiles_once_and_donates():
    w = Variable(np.ones((3, 2), "float32"))
    step = function(step_of(lambda x: x @ w, [w]))
    x = np.ones((4, 3), "float32")
    step(x)
    before, raw = count(), w._tensor._value
    for _ in range(5):
        step(x)
    assert count() == before
    assert raw.is_deleted()


def test_eager_mode_runs_the_same_function():
    v = Variable(1.0)
    run = function(lambda x: v.assign_add(x).value * 2.0)
    weft.config.set_eager(True)
    assert float(run(2.0)) == 6.0
    weft.config.set_eager(False)
    assert float(run(2.0)) == 10.0


def test_arrays_may_be_given_without_a_copy():
    run = function(lambda batch: batch[0] + batch[1])
    x = np.ones(3, "float32")
    assert run.run_arrays((x, x)).numpy().tolist() == [2.0] * 3
    assert run.run_arrays((x, jnp.asarray(x))).numpy().tolist() == [2.0] * 3
    assert len(run.programs) == 1
