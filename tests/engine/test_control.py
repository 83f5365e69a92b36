"""Control flow: results, gradients to what is captured, variables assigned inside, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import weft
from weft.engine import (
    Op,
    SeedGenerator,
    ShapeError,
    ValueNeededError,
    Variable,
    as_tensor,
    associative_scan,
    cond,
    draw,
    fori_loop,
    function,
    map,
    scan,
    switch,
    vectorized_map,
    while_loop,
)

count = weft.config.compile_count
total = Op(lambda x: jnp.sum(x), "total")
sine = Op(jnp.sin, "sine")

run_both = pytest.mark.parametrize("wrap", [lambda f: f, function], ids=["lazy", "function"])


def vector(*values):
    return as_tensor(np.array(values, "float32"))


# -- results ------------------------------------------------------------------------------


@run_both
def test_cond(wrap):
    run = wrap(lambda x: cond(x > 0.0, lambda: {"y": x * 2.0}, lambda: {"y": x - 1.0}))
    assert float(run(vector(3.0)[0])["y"]) == 6.0
    assert float(run(vector(-3.0)[0])["y"]) == -4.0
    assert cond(True, lambda: 1, lambda: 2) == 1
    assert float(cond(as_tensor(False), lambda: 1.0, lambda: 2)) == 2.0
    assert cond(as_tensor(1), lambda: None, lambda: None) is None


@run_both
def test_switch(wrap):
    run = wrap(lambda i, x: switch(i, [lambda a: a, lambda a: a * 10.0, lambda a: a - 1.0], x))
    index = [as_tensor(np.int32(k)) for k in (-5, 0, 1, 2, 9)]
    assert [float(run(i, 2.0)) for i in index] == [2.0, 2.0, 20.0, 1.0, 1.0]
    two = [lambda: 1.0, lambda: 2.0]
    assert [float(switch(i, two)) for i in index] == [1.0, 1.0, 2.0, 2.0, 2.0]
    assert switch(7, two) == 2.0
    assert switch(as_tensor(7), two[:1]) == 1.0


@run_both
def test_while_loop(wrap):
    run = wrap(lambda n: while_loop(lambda i, y: i < n, lambda i, y: (i + 1, y * 2.0), (0, 1.0)))
    i, y = run(as_tensor(np.int32(5)))
    assert (int(i), float(y)) == (5, 32.0)
    assert (
        float(wrap(lambda: while_loop(lambda x: x < 50, lambda x: x * 3.0, as_tensor(1.0)))())
        == 81.0
    )
    kept = while_loop(lambda a, b: total(a) < 9.0, lambda a, b: [a + b["k"], b],
                      [vector(0.0, 1.0), {"k": 1.0}])  # fmt: skip
    assert isinstance(kept, list)
    assert kept[0].numpy().tolist() == [4.0, 5.0]
    (few,) = while_loop(lambda x: True, lambda x: x + 1.0, [0.0], maximum_iterations=4)
    assert float(few) == 4.0
    (none,) = while_loop(lambda x: x > 0.0, lambda x: x + 1.0, (-1.0,))
    assert float(none) == -1.0


@run_both
def test_fori_loop(wrap):
    run = wrap(lambda x: fori_loop(1, 5, lambda i, c: c * i.astype("float32") + x, 1.0))
    want = 1.0
    for i in range(1, 5):
        want = want * i + 0.5
    assert float(run(0.5)) == want
    dynamic = wrap(lambda a, b: fori_loop(a, b, lambda i, c: (c[0] + i, c[1]), (0, 1.0))[0])
    assert int(dynamic(as_tensor(np.int32(2)), as_tensor(np.int32(6)))) == 2 + 3 + 4 + 5
    assert float(fori_loop(3, 3, lambda i, c: c + 1.0, 7.0)) == 7.0


@run_both
def test_scan(wrap):
    x = vector(1.0, 2.0, 3.0)
    run = wrap(lambda x: scan(lambda c, r: (c + r, {"twice": c * 2.0}), 0.0, x))
    last, ys = run(x)
    assert float(last) == 6.0
    assert ys["twice"].numpy().tolist() == [0.0, 2.0, 6.0]
    back = scan(
        lambda c, r: (c + r["a"] * r["b"], c), 0.0, {"a": x, "b": x}, reverse=True, unroll=2
    )
    assert (float(back[0]), back[1].numpy().tolist()) == (14.0, [13.0, 9.0, 0.0])
    counted = scan(lambda c, _: (c + 1, None), 0, length=4)
    assert (int(counted[0]), counted[1]) == (4, None)


@run_both
def test_map_and_vectorized_map(wrap):
    x, w = vector(1.0, 2.0, 3.0), Variable([10.0, 20.0])
    for mapped in (map, vectorized_map):
        run = wrap(lambda x, mapped=mapped: mapped(lambda r: (r * w, r + 1.0), x))
        product, more = run(x)
        np.testing.assert_allclose(product.numpy(), np.outer([1, 2, 3], [10, 20]))
        assert more.numpy().tolist() == [2.0, 3.0, 4.0]
        both = wrap(lambda x, mapped=mapped: mapped(lambda r: r["a"] - r["b"], {"a": x, "b": x}))(x)
        assert both.numpy().tolist() == [0.0] * 3


@run_both
def test_associative_scan(wrap):
    x = as_tensor(np.arange(1.0, 9.0, dtype="float32").reshape(4, 2))
    run = wrap(lambda x: associative_scan(lambda a, b: a * b, x))
    np.testing.assert_allclose(run(x).numpy(), np.cumprod(x.numpy(), 0))
    got = associative_scan(lambda a, b: a + b, x, axis=-1, reverse=True)
    np.testing.assert_allclose(got.numpy(), np.cumsum(x.numpy()[:, ::-1], 1)[:, ::-1])
    # A recurrence h = a h + b, as pairs; w is captured.
    w = as_tensor(np.float32(0.5))
    a, b = vector(0.5, 0.25, 2.0), vector(1.0, 2.0, 3.0)
    combine = lambda l, r: (l[0] * r[0], r[0] * l[1] * (w / 0.5) + r[1])  # noqa: E731, E741
    h, want = 0.0, []
    for p, q in zip(a.numpy(), b.numpy()):
        want.append(h := p * h + q)
    np.testing.assert_allclose(associative_scan(combine, (a, b))[1].numpy(), want, rtol=1e-6)


# -- gradients ----------------------------------------------------------------------------

BODIES = {
    "cond": lambda w, x: cond(total(w * x) > 0.0, lambda: w * x, lambda: sine(w) * x),
    "cond, other": lambda w, x: cond(total(w * x) < 0.0, lambda: w * x, lambda: sine(w) * x),
    "switch": lambda w, x: switch(as_tensor(1), [lambda a: a, lambda a: a * w * w], x),
    "while": lambda w, x: while_loop(
        lambda i, y: total(y) < 30.0, lambda i, y: (i + 1, y * 1.5 + w), (0, x), 20
    )[1],
    "fori": lambda w, x: fori_loop(0, 3, lambda i, y: sine(y) * w + y, x),
    "scan": lambda w, x: scan(lambda c, r: (sine(c) * w[0] + r, c * r), w[1], x)[1],
    "map": lambda w, x: map(lambda r: r * w[0] + sine(w[1]), x),
    "vectorized_map": lambda w, x: vectorized_map(lambda r: r * total(w) * r, x),
    "associative_scan": lambda w, x: associative_scan(lambda a, b: a * b * w[0], x * w),
    "nested": lambda w, x: scan(
        lambda c, r: (fori_loop(0, 2, lambda i, y: y * w[0] + r, c),
                      cond(r > 1.5, lambda: c * w[1], lambda: c)),
        1.0, x,
    )[1],
    "while in scan": lambda w, x: scan(
        lambda c, r: (while_loop(lambda y: y < 3.0, lambda y: y * w[1] + 0.5, [c], 9)[0] - r, c),
        1.0, x,
    )[1],
}  # fmt: skip


@run_both
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_gradients_agree_with_differences(body, wrap):
    start = {"w": np.array([0.7, 1.3], "float32"), "x": np.array([1.0, 2.0], "float32")}
    w, x = Variable(start["w"]), Variable(start["x"])
    loss = wrap(lambda: total(body(w, x * 1.0) ** 2))
    with weft.GradientTape() as tape:
        value = loss()
    found = dict(zip("wx", tape.gradient(value, [w, x], unconnected_gradients="zero")))
    for name, v in (("w", w), ("x", x)):
        for k in range(2):
            steps = []
            for sign in (1, -1):
                moved = start[name].copy()
                moved[k] += sign * 1e-2
                v.assign(moved)
                steps.append(float(loss()))
            v.assign(start[name])
            want = (steps[0] - steps[1]) / 2e-2
            assert float(found[name][k]) == pytest.approx(want, rel=1e-2, abs=2e-2)


def test_a_gradient_through_a_tape_inside_the_body():
    w = Variable(1.5)

    def step(c, _):
        with weft.GradientTape() as tape:
            tape.watch(c)
            y = c * c * w
        return tape.gradient(y, c), y

    with weft.GradientTape() as tape:
        last = scan(step, as_tensor(1.0), length=3)[0]
    assert float(last) == pytest.approx(27.0)  # (2w)^3
    assert float(tape.gradient(last, w)) == pytest.approx(3 * 2 * 9.0)


def test_second_order_through_a_scan():
    w = Variable(0.9)
    with weft.GradientTape() as outer:
        with weft.GradientTape() as inner:
            y = scan(lambda c, _: (c * w, None), as_tensor(1.0), length=4)[0]
        g = inner.gradient(y, w)
    assert float(outer.gradient(g, w)) == pytest.approx(12 * 0.9**2, rel=1e-5)


# -- variables assigned inside ------------------------------------------------------------


@run_both
def test_variables_assigned_in_branches(wrap):
    a, b = Variable(1.0), Variable(10.0)

    def yes():
        a.assign_add(1.0)
        return a.value

    def no():
        b.assign(a * 5.0)
        return b.value

    run = wrap(lambda p: cond(p, yes, no))
    assert float(run(as_tensor(True))) == 2.0
    assert (float(a), float(b)) == (2.0, 10.0)
    assert float(run(as_tensor(False))) == 10.0
    assert (float(a), float(b)) == (2.0, 10.0)
    b.assign(0.0)
    run(as_tensor(False))
    assert (float(a), float(b)) == (2.0, 10.0)


@run_both
def test_variables_assigned_in_loops(wrap):
    v, n = Variable(1.0), Variable(0)

    def inner(i, c):
        v.assign(v * 2.0)
        return c + v

    def outer(c, x):
        n.assign_add(1)
        return fori_loop(0, 2, inner, c) * x, v.value

    run = wrap(lambda: scan(outer, 0.0, vector(1.0, 1.0)))
    last, seen = run()
    assert (float(v), int(n)) == (16.0, 2)
    assert float(last) == 2 + 4 + 8 + 16
    assert seen.numpy().tolist() == [4.0, 16.0]

    def body(i):
        v.assign_sub(1.0)
        n.assign_add(i)
        return i + 1

    assert int(wrap(lambda: while_loop(lambda i: v > 10.0, body, as_tensor(0)))()) == 6
    assert (float(v), int(n)) == (10.0, 2 + 15)


@run_both
def test_the_condition_of_a_while_loop_sees_assignments(wrap):
    v = Variable(0.0)

    def body(x):
        v.assign_add(x)
        return x

    wrap(lambda: while_loop(lambda x: v < 5.0, body, as_tensor(2.0)))()
    assert float(v) == 6.0


@run_both
def test_seeds_move_on_in_loops(wrap):
    generator = SeedGenerator(3)
    run = wrap(
        lambda: scan(lambda c, _: (c, draw(generator, jax.random.uniform)), 0.0, length=4)[1]
    )
    first, second = run().numpy(), run().numpy()
    again = SeedGenerator(3)
    want = [float(draw(again, jax.random.uniform)) for _ in range(8)]
    np.testing.assert_array_equal([*first, *second], np.array(want, "float32"))


def test_recompute_grad_draws_the_same_mask():
    generator = SeedGenerator(3)
    w = Variable(np.ones(100, "float32"))

    @weft.engine.recompute_grad
    def dropped(x):
        return x * w * (draw(generator, jax.random.uniform, (), shape=(100,)) > 0.5)

    with weft.GradientTape() as tape:
        y = dropped(2.0)
        loss = total(y)
    g = tape.gradient(loss, w)
    np.testing.assert_array_equal(g.numpy(), y.numpy())


def test_an_untouched_variable_stays_as_it_is():
    v = Variable(1.0)
    scan(lambda c, _: (c + v, v.value), 0.0, length=3)
    assert float(v) == 1.0


# -- compiling ----------------------------------------------------------------------------


def test_loops_recorded_again_compile_once():
    w = Variable(2.0)

    def step(x, scale, n):
        y = scan(lambda c, r: (c * w * scale + r, None), 0.0, x)[0]
        z = while_loop(lambda i, c: i < n, lambda i, c: (i + 1, c + scale), (0, y))[1]
        return float(cond(z > 3.0, lambda: z * scale, lambda: z))

    x = vector(1.0, 2.0)
    step(x, 0.5, 3)
    before = count()
    assert step(x, 0.25, 5) == pytest.approx((1 * 2 * 0.25 + 2 + 5 * 0.25) * 0.25)
    step(x + 1.0, 3.0, 2)
    assert count() <= before + 1  # `x + 1.0` is one more operation
    step(x, 3.0, 2)
    assert count() <= before + 1


# -- errors -------------------------------------------------------------------------------


def test_predicates_and_branches_that_do_not_fit():
    x = vector(1.0, 2.0)
    with pytest.raises(ShapeError, match=r"cond: the predicate must be a scalar, got shape \(2,\)"):
        cond(x > 0.0, lambda: x, lambda: x)
    with pytest.raises(ShapeError, match="switch: the index must be a scalar"):
        switch(x, [lambda: x, lambda: x])
    with pytest.raises(ValueError, match="branches must return the same structure"):
        cond(as_tensor(True), lambda: (x, x), lambda: x)
    with pytest.raises(ShapeError, match=r"equal shapes; branch 0 returns \(\), branch 1 \(2,\)"):
        cond(as_tensor(True), lambda: x, lambda: x[0])
    with pytest.raises(ValueError, match="at least one branch"):
        switch(0, [])


def test_loops_that_do_not_fit():
    x = vector(1.0, 2.0)
    with pytest.raises(
        ShapeError, match=r"while_loop: loop variable 0 has shape \(2,\) before .*\(\) after"
    ):
        while_loop(lambda a: True, lambda a: total(a), [x])
    with pytest.raises(ValueError, match="while_loop: the body must return the structure"):
        while_loop(lambda a, b: True, lambda a, b: (a, b, b), [x, x])
    with pytest.raises(ShapeError, match="while_loop: cond must return one scalar"):
        while_loop(lambda a: a > 0.0, lambda a: a, [x])
    with pytest.raises(ShapeError, match="fori_loop: loop variable 0"):
        fori_loop(0, 3, lambda i, a: a[None], x)
    with pytest.raises(
        ShapeError, match=r"scan: the carry has shape \(\) before f and \(2,\) after"
    ):
        scan(lambda c, r: (x, r), 0.0, x)
    with pytest.raises(ValueError, match="scan: the carry is"):
        scan(lambda c, r: ((c, c), r), 0.0, x)
    with pytest.raises(ValueError, match=r"scan: f must return \(carry, y\)"):
        scan(lambda c, r: c, 0.0, x)
    with pytest.raises(ShapeError, match=r"need one first dimension .*got shapes \[\(2,\), \(\)\]"):
        scan(lambda c, r: (c, c), 0.0, (x, x[0]))
    with pytest.raises(ShapeError, match="length=3"):
        scan(lambda c, r: (c, c), 0.0, x, length=3)
    with pytest.raises(ShapeError, match="length=None"):
        scan(lambda c, r: (c, c), 0.0)
    with pytest.raises(ShapeError, match="associative_scan: loop variable 0"):
        associative_scan(lambda a, b: total(a), x)


def test_what_cannot_be_done_at_once():
    v = Variable(0.0, name="seen")
    with pytest.raises(
        ValueError, match=r"vectorized_map: the function assigns variable 'seen'.*map"
    ):
        vectorized_map(lambda r: v.assign_add(r), vector(1.0, 2.0))
    assert float(v) == 0.0


def test_a_value_asked_for_in_a_body():
    with pytest.raises(ValueNeededError, match=r"test_control\.py:\d+ in <lambda>"):
        scan(lambda c, r: (c if c > r else r, c), 0.0, vector(1.0, 2.0))
    x = vector(1.0)
    with pytest.raises(ValueNeededError, match=r"test_control\.py"):
        cond(as_tensor(True), lambda: float(as_tensor(1.0) * x[0]), lambda: 1.0)


def test_an_exception_in_a_body_changes_nothing():
    v = Variable(1.0)

    def body(c, r):
        v.assign(5.0)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        scan(body, 0.0, vector(1.0, 2.0))
    assert float(v) == 1.0
