"""Loops whose bodies are graphs; variables that a body assigns are carried."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from weft.engine.control import Body, Operands, as_kind, flat_tensors, strong, wired, write
from weft.engine.errors import ShapeError
from weft.engine.nest import in_order
from weft.engine.op import Op
from weft.engine.spec import Spec, as_dtype, spec
from weft.engine.tensor import Tensor, as_tensor
from weft.engine.trace import record, state

__all__ = [
    "associative_scan",
    "fori_loop",
    "map",
    "repeated",
    "scan",
    "vectorized_map",
    "while_loop",
]


def _while(*operands: Any, n_carry: int, loop: Any, limit: int | None) -> Any:
    options = {"n_carry": n_carry, "loop": loop, "limit": limit}
    forward = functools.partial(_forward_while, **options)
    return _reversible(forward, functools.partial(_bounded_while, **options))(*operands)


def _forward_while(*operands: Any, n_carry: int, loop: Any, limit: int | None) -> Any:
    body, body_wiring, test, test_wiring, n_vars = loop
    fixed = operands[n_carry:]

    def alive(carry: Any) -> Any:
        (result,) = wired(test, test_wiring, carry[1], fixed, carry[1][:n_vars])
        ok = result.astype(bool).reshape(())
        return ok if limit is None else ok & (carry[0] < limit)

    def step(carry: Any) -> Any:
        return carry[0] + 1, wired(body, body_wiring, carry[1], fixed, carry[1][:n_vars])

    start = (jnp.zeros((), "int32"), tuple(operands[:n_carry]))
    return lax.while_loop(alive, step, start)[1]


def _reversible(run: Callable[..., Any], reverse: Callable[..., Any]) -> Callable[..., Any]:
    """`run`, which reverse mode cannot differentiate, with `reverse` in its place there."""
    call = jax.custom_vjp(run)
    call.defvjp(
        lambda *operands: jax.vjp(reverse, *operands),
        lambda pullback, cotangents: pullback(cotangents),
    )
    return lambda *operands: call(*[jnp.asarray(x) for x in operands])


def _bounded_while(*operands: Any, n_carry: int, loop: Any, limit: int | None) -> Any:
    """The same as a scan over `limit` steps, which reverse mode can differentiate."""
    if limit is None:
        raise NotImplementedError(
            "while_loop: a gradient through a loop needs a bound on its steps, so that their "
            "values can be kept. Pass maximum_iterations, or use scan or fori_loop."
        )
    body, body_wiring, test, test_wiring, n_vars = loop
    fixed = operands[n_carry:]

    def step(state_: Any, _: Any) -> Any:
        going, carry = state_
        (result,) = wired(test, test_wiring, carry, fixed, carry[:n_vars])
        going = going & result.astype(bool).reshape(())
        run = lambda c: tuple(wired(body, body_wiring, c, fixed, c[:n_vars]))  # noqa: E731
        return (going, lax.cond(going, run, lambda c: c, carry)), None

    start = (jnp.ones((), bool), tuple(operands[:n_carry]))
    return lax.scan(step, start, None, length=limit)[0][1]


_while_op = Op(_while, "while_loop")


def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    maximum_iterations: int | None = None,
    **_: Any,
) -> Any:
    """Repeat `loop_vars = body(*loop_vars)` while `cond(*loop_vars)` holds.

    Args:
        cond: returns a scalar bool.
        body: returns new values of the same structure, shapes and dtypes.
        loop_vars: a list or tuple of (nests of) tensors; or one tensor.
        maximum_iterations: a bound on the steps; needed for gradients through the loop.

    Returns:
        The last values, in the structure of `loop_vars`.
    """
    single = not isinstance(loop_vars, list | tuple)
    packed = (loop_vars,) if single else tuple(loop_vars)
    flat, tree = flat_tensors(packed)
    flat = strong(flat)
    specs = [t.spec for t in flat]

    def returned(*values: Any) -> Any:
        result = body(*values)
        if single or (len(packed) == 1 and not isinstance(result, list | tuple)):
            return (result,)
        return tuple(result)

    stepped = Body(returned, "while_loop", tree, specs)
    _same("while_loop", tree, specs, stepped)
    tested = Body(cond, "while_loop", tree, specs)
    if len(tested.outs) != 1 or tested.outs[0].spec.shape not in ((), (1,)):
        raise ShapeError("while_loop: cond must return one scalar.")
    written = stepped.written
    outer = Operands(written, len(flat))
    graph, stands = stepped.cut(written, [s.dtype for s in specs])
    body_wiring = outer.wire(stands)
    test, stands = tested.cut(())
    loop = (graph, body_wiring, test, outer.wire(stands), len(flat))
    carry = [*flat, *(state.trace.read(v) for v in written)]
    limit = None if maximum_iterations is None else int(maximum_iterations)
    params = (("n_carry", len(carry)), ("loop", loop), ("limit", limit))
    outs = record(_while_op, params, [*carry, *outer.operands()])
    write(written, outs[len(flat) :])
    result = jax.tree.unflatten(tree, outs[: len(flat)])
    if single:
        return result[0]
    return list(result) if isinstance(loop_vars, list) else result


def _same(name: str, tree: Any, specs: Sequence[Spec], body: Body) -> None:
    if body.tree != tree:
        raise ValueError(
            f"{name}: the body must return the structure of the loop variables; they are "
            f"{tree}, it returned {body.tree}."
        )
    for k, (kind, out) in enumerate(zip(specs, body.outs, strict=True)):
        if kind.shape != out.spec.shape:
            raise ShapeError(
                f"{name}: loop variable {k} has shape {tuple(kind.shape)} before the body and "
                f"{tuple(out.shape)} after it; a loop's shapes cannot change."
            )


def _fori(*operands: Any, n_carry: int, body: Any, wiring: Any, bounds: Any) -> Any:
    def run(*operands: Any) -> Any:
        fixed = operands[n_carry:]

        def step(i: Any, carry: Any) -> Any:
            return tuple(wired(body, wiring, carry, fixed, (i, *carry[: bounds[2]])))

        lower, upper = operands[-2:] if bounds[0] is None else bounds[:2]
        return lax.fori_loop(lower, upper, step, tuple(operands[:n_carry]))

    return (_reversible(run, _unbounded_fori) if bounds[0] is None else run)(*operands)


def _unbounded_fori(*_: Any) -> Any:
    raise NotImplementedError(
        "fori_loop: a gradient through a loop needs a bound on its steps, so that their values can "
        "be kept. Pass lower and upper as Python ints, or use while_loop with maximum_iterations."
    )


_fori_op = Op(_fori, "fori_loop")


def fori_loop(lower: Any, upper: Any, body_fun: Callable[..., Any], init_val: Any) -> Any:
    """`for i in range(lower, upper): value = body_fun(i, value)`, as one loop.

    Differentiable in reverse when the bounds are Python ints (tensors as bounds: use `while_loop`
    with `maximum_iterations`, or `scan`).

    Args:
        lower, upper: ints, or scalar integer tensors.
        body_fun: `(i, value) -> value` of the same structure and shapes; i is an int32 scalar.
        init_val: a nest of tensors.
    """
    flat, tree = flat_tensors(init_val)
    flat = strong(flat)
    specs = [t.spec for t in flat]
    whole = jax.tree.structure((0, init_val))
    counter = spec((), as_dtype("int32"))
    body = Body(body_fun, "fori_loop", whole, [counter, *specs])
    _same("fori_loop", tree, specs, body)
    written = body.written
    outer = Operands(written, len(flat))
    graph, stands = body.cut(written, [s.dtype for s in specs])
    wiring = outer.wire(stands)
    static = isinstance(lower, int) and isinstance(upper, int)
    bounds = (lower, upper, len(flat)) if static else (None, None, len(flat))
    carry = [*flat, *(state.trace.read(v) for v in written)]
    tail = [] if static else _bounds(lower, upper)
    params = (("n_carry", len(carry)), ("body", graph), ("wiring", wiring), ("bounds", bounds))
    outs = record(_fori_op, params, [*carry, *outer.operands(), *tail])
    write(written, outs[len(flat) :])
    return jax.tree.unflatten(tree, outs[: len(flat)])


def _bounds(lower: Any, upper: Any) -> list[Tensor]:
    return [as_kind(as_tensor(bound), as_dtype("int32")) for bound in (lower, upper)]


def _scan(*operands: Any, sizes: Any, body: Any, wiring: Any, options: Any) -> Any:
    n_carry, n_vars, n_xs = sizes
    length, reverse, unroll = options
    fixed = operands[n_carry + n_xs :]

    def step(carry: Any, xs: Any) -> Any:
        outs = wired(body, wiring, carry, fixed, (*carry[:n_vars], *xs))
        n_ys = len(outs) - n_carry
        ys = outs[n_vars : n_vars + n_ys]
        return (*outs[:n_vars], *outs[n_vars + n_ys :]), tuple(ys)

    carry, ys = lax.scan(
        step, tuple(operands[:n_carry]), tuple(operands[n_carry : n_carry + n_xs]),
        length=length, reverse=reverse, unroll=unroll,
    )
    return (*carry, *ys)


_scan_op = Op(_scan, "scan")


def scan(
    f: Callable[..., Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> Any:
    """Carry a value along the first axis: `carry, y = f(carry, x)` for each x.

    Args:
        f: `(carry, x) -> (carry, y)`.
        init: the first carry, a nest of tensors; its structure and shapes are kept.
        xs: a nest of tensors with equal first dimensions, or None (then `length` is needed).
        length: the number of steps.
        reverse: whether to go from the last x to the first.
        unroll: steps to lay out in line in each round of the loop.

    Returns:
        `(carry, ys)`, the ys stacked along a new first axis.
    """
    flat, tree = flat_tensors(init)
    flat = strong(flat)
    rows, _ = flat_tensors(xs)
    lengths = {t.shape[0] if t.shape else None for t in rows}
    if length is not None:
        lengths.add(int(length))
    if len(lengths) != 1 or None in lengths:
        raise ShapeError(
            "scan: the leaves of xs need one first dimension (equal to `length` if that is given), "
            f"got shapes {[tuple(t.shape) for t in rows]} and length={length}."
        )
    (steps,) = lengths
    specs = [t.spec for t in flat]
    row_specs = [spec(tuple(t.shape[1:]), t.spec.dtype, t.spec.weak) for t in rows]
    whole = jax.tree.structure((init, xs))

    def pair(carry: Any, x: Any) -> Any:
        result = f(carry, x)
        if not isinstance(result, list | tuple) or len(result) != 2:
            raise ValueError(f"scan: f must return (carry, y), it returned {type(result)}.")
        return tuple(result)

    body = Body(pair, "scan", whole, [*specs, *row_specs])
    leaf_count = len(flat)
    parts = jax.tree.unflatten(body.tree, range(len(body.outs)))
    carry_tree, y_tree = jax.tree.structure(parts[0]), jax.tree.structure(parts[1])
    if carry_tree != tree:
        raise ValueError(f"scan: the carry is {tree} before f and {carry_tree} after it.")
    for k in range(leaf_count):
        if body.outs[k].shape != specs[k].shape:
            raise ShapeError(
                f"scan: the carry has shape {tuple(specs[k].shape)} before f and "
                f"{tuple(body.outs[k].shape)} after it."
            )
    written = body.written
    outer = Operands(written, leaf_count)
    dtypes = [*(s.dtype for s in specs), *(t.spec.dtype for t in body.outs[leaf_count:])]
    graph, stands = body.cut(written, dtypes)
    wiring = outer.wire(stands)
    carry = [*flat, *(state.trace.read(v) for v in written)]
    params = (
        ("sizes", (len(carry), leaf_count, len(rows))),
        ("body", graph),
        ("wiring", wiring),
        ("options", (steps, bool(reverse), unroll)),
    )
    outs = record(_scan_op, params, [*carry, *rows, *outer.operands()])
    write(written, outs[leaf_count : len(carry)])
    return (
        jax.tree.unflatten(tree, outs[:leaf_count]),
        jax.tree.unflatten(y_tree, outs[len(carry) :]),
    )


def _repeated(*operands: Any, sizes: Any, body: Any, wiring: Any) -> Any:
    n_carry, n_xs, n_stacked = sizes
    carry, count, xs = operands[:n_carry], operands[n_carry], operands[n_carry + 1 :][:n_xs]
    fixed = operands[n_carry + 1 + n_xs :]

    def step(i: Any, carry: Any) -> Any:
        row = [lax.dynamic_index_in_dim(x, i, keepdims=False) for x in xs]
        made = wired(body, wiring, carry, fixed, row)
        held = zip(carry[:n_stacked], made[:n_stacked], strict=True)
        stacked = [lax.dynamic_update_index_in_dim(s, value, i, 0) for s, value in held]
        return (*stacked, *made[n_stacked:])

    return lax.fori_loop(0, count, step, tuple(carry))


_repeated_op = Op(_repeated, "repeated", differentiable=False)
_zeros = Op(lambda *, shape, dtype: jnp.zeros(shape, dtype), "zeros")


def repeated(f: Callable[[Any], Any], xs: Any, count: Any, stacked: bool = False) -> Any:
    """`f` of the first `count` rows of `xs`, one after the other; what it returned for the last.

    Args:
        f: a function of a nest like `xs` without the first axis; it may assign variables.
        xs: a nest of tensors with equal first dimensions.
        count: how many rows, a scalar integer tensor: other numbers of rows are the same program.
        stacked: whether to return all that f returned, stacked; zeros where no row was gone
            through.

    Returns:
        Zeros in the structure of f's result where `count` is 0.
    """
    rows, _ = flat_tensors(xs)
    specs = [spec(tuple(t.shape[1:]), t.spec.dtype, t.spec.weak) for t in rows]
    results: list[Any] = []  # the order of the keys in them is lost in the body's tree

    def noted(x: Any) -> Any:
        results.append(f(x))
        return results[0]

    body = Body(noted, "repeated", jax.tree.structure((xs,)), specs)
    written, n = body.written, len(body.outs)
    outer = Operands(written, n)
    graph, stands = body.cut(written, [t.spec.dtype for t in body.outs])
    wiring = outer.wire(stands)
    first = (rows[0].shape[0],) if stacked else ()
    empty = [
        record(_zeros, (("shape", (*first, *t.shape)), ("dtype", t.spec.dtype)), ())
        for t in body.outs
    ]
    carry = [*empty, *(state.trace.read(v) for v in written)]
    sizes = (len(carry), len(rows), n if stacked else 0)
    params = (("sizes", sizes), ("body", graph), ("wiring", wiring))
    outs = record(_repeated_op, params, [*carry, as_tensor(count), *rows, *outer.operands()])
    write(written, outs[n:])
    return in_order(results[0], jax.tree.unflatten(body.tree, outs[:n]))


def map(f: Callable[..., Any], xs: Any) -> Any:
    """`f` of each row of `xs` one after the other, the results stacked."""
    return scan(lambda _, x: ((), f(x)), (), xs)[1]


def _vmapped(*operands: Any, body: Any, wiring: Any, n_xs: int) -> Any:
    fixed = operands[n_xs:]
    each = lambda *xs: tuple(wired(body, wiring, (), fixed, xs))  # noqa: E731
    return jax.vmap(each)(*operands[:n_xs])


_vmap_op = Op(_vmapped, "vectorized_map")


def _no_writes(name: str, body: Body) -> None:
    if body.written:
        raise ValueError(
            f"{name}: the function assigns variable {body.written[0].path!r}, but its calls run at "
            "once, so no order of assignments exists. Return the value, or use map."
        )


def vectorized_map(function: Callable[..., Any], elements: Any) -> Any:
    """`function` of each row of `elements`, all at once (JAX's vmap).

    Args:
        function: takes a nest like `elements`, without the first axis. It may not assign variables.
        elements: a nest of tensors with equal first dimensions.
    """
    rows, _ = flat_tensors(elements)
    specs = [spec(tuple(t.shape[1:]), t.spec.dtype, t.spec.weak) for t in rows]
    whole = jax.tree.structure((elements,))
    body = Body(function, "vectorized_map", whole, specs)
    _no_writes("vectorized_map", body)
    outer = Operands()
    graph, stands = body.cut(())
    params = (("body", graph), ("wiring", outer.wire(stands)), ("n_xs", len(rows)))
    outs = record(_vmap_op, params, [*rows, *outer.operands()])
    return jax.tree.unflatten(body.tree, outs)


def _associative(*operands: Any, body: Any, wiring: Any, n: int, options: Any) -> Any:
    axis, reverse = options
    fixed = operands[n:]

    def combine(a: Any, b: Any) -> Any:
        # The body was traced on slices of size 1 along the axis.
        def one(left: Any, right: Any) -> Any:
            left = [jnp.expand_dims(x, axis) for x in left]
            right = [jnp.expand_dims(x, axis) for x in right]
            outs = wired(body, wiring, (), fixed, (*left, *right))
            return tuple(jnp.squeeze(x, axis) for x in outs)

        return jax.vmap(one, in_axes=axis, out_axes=axis)(a, b)

    return lax.associative_scan(combine, tuple(operands[:n]), reverse=reverse, axis=axis)


_associative_op = Op(_associative, "associative_scan")


def associative_scan(
    f: Callable[..., Any], elems: Any, reverse: bool = False, axis: int = 0
) -> Any:
    """All partial results of an associative operation along an axis, in logarithmic depth.

    Args:
        f: `(a, b) -> a * b` on nests like `elems`; associative, elementwise along `axis`.
        elems: a nest of tensors with equal sizes along `axis`.
        reverse: whether to go from the end.
        axis: the axis.
    """
    rows, tree = flat_tensors(elems)
    rank = len(rows[0].shape)
    at = axis + rank if axis < 0 else axis
    specs = [
        spec((*t.shape[:at], 1, *t.shape[at + 1 :]), t.spec.dtype, t.spec.weak) for t in rows
    ]
    whole = jax.tree.structure((elems, elems))
    body = Body(f, "associative_scan", whole, [*specs, *specs])
    _no_writes("associative_scan", body)
    _same("associative_scan", tree, specs, body)
    outer = Operands()
    graph, stands = body.cut((), [s.dtype for s in specs])
    params = (
        ("body", graph),
        ("wiring", outer.wire(stands)),
        ("n", len(rows)),
        ("options", (at, bool(reverse))),
    )
    outs = record(_associative_op, params, [*rows, *outer.operands()])
    return jax.tree.unflatten(tree, outs)
