"""Control flow whose bodies are graphs: what they capture are explicit inputs of the node.

So gradients reach captured tensors and variables, and a variable that a body assigns (a moving
average, a seed) is an output of the branch or carried by the loop.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from weft.engine.errors import ShapeError
from weft.engine.graph import Graph, graph_instr
from weft.engine.op import Op
from weft.engine.spec import Spec, as_dtype, spec
from weft.engine.tensor import ArrayLike, Tensor, as_tensor
from weft.engine.trace import SymbolicTrace, emit, isolated, record, settle, state
from weft.engine.variable import Variable, give_value

__all__ = [
    "associative_scan",
    "cond",
    "fori_loop",
    "map",
    "recompute_grad",
    "scan",
    "switch",
    "vectorized_map",
    "while_loop",
]


class Body:
    """A Python function traced on symbolic arguments inside the current trace."""

    def __init__(self, python: Callable[..., Any], name: str, tree: Any, specs: Sequence[Spec]):
        self.outer = outer = state.trace
        root = outer
        while root.parent is not None:
            root = root.parent
        self.trace = SymbolicTrace(outer, embeds_numbers=outer is not root or not root.lazy)
        self.name = name
        with isolated(self.trace):
            flat = [self.trace.placeholder(kind, "argument") for kind in specs]
            result = python(*jax.tree.unflatten(tree, flat))
            leaves, self.tree = jax.tree.flatten(result)
            self.outs = [as_tensor(leaf) for leaf in leaves]
        self.n_args = len(specs)

    @property
    def written(self) -> list[Variable]:
        return list(self.trace.written.values())

    def cut(
        self, carried: Sequence[Variable], dtypes: Sequence[Any] | None = None
    ) -> tuple[Graph, list[Any]]:
        """The graph, with the values of `carried` as its last outputs.

        Returns:
            The graph, and what each of its inputs after the arguments stands for: a variable, or a
            tensor of the enclosing trace.
        """
        trace = self.trace
        with isolated(trace):
            outs = self.outs
            if dtypes is not None:
                outs = [_as(t, d) for t, d in zip(outs, dtypes, strict=True)]
            outs = [*outs, *(trace.read(v) for v in carried)]
            slots = [trace.slot(t) for t in outs]
        numbers = [
            (k, leaf._value)
            for k, (leaf, kind) in enumerate(zip(trace.leaves, trace.kinds, strict=True))
            if kind == "number"
        ]
        graph = Graph.of(trace.nodes, len(trace.leaves), slots, [t.spec for t in outs], numbers)
        stands = [
            leaf
            for leaf, kind in zip(trace.leaves[self.n_args :], trace.kinds[self.n_args :],
                                  strict=True)
            if kind != "number"
        ]
        return graph, stands


_to = Op(lambda x, *, dtype: lax.convert_element_type(jnp.asarray(x), dtype), "cast")


def _as(tensor: Tensor, dtype: Any) -> Tensor:
    if tensor.spec.dtype == dtype and not tensor.spec.weak:
        return tensor
    return record(_to, (("dtype", dtype),), (tensor,))  # type: ignore[no-any-return]


def _flat(nest: Any) -> tuple[list[Tensor], Any]:
    leaves, tree = jax.tree.flatten(nest)
    return [as_tensor(leaf) for leaf in leaves], tree


def _strong(tensors: list[Tensor]) -> list[Tensor]:
    """Loop values: a Python number becomes a tensor of its dtype."""
    return [_as(t, t.spec.dtype) for t in tensors]


class _Operands:
    """The operands of a control-flow node after its own: each outer value once."""

    def __init__(self, carried: Sequence[Variable] = (), first_carried: int = 0) -> None:
        self.values: list[Any] = []
        self.where: dict[int, int] = {}
        self.carried = {id(v): first_carried + k for k, v in enumerate(carried)}

    def wire(self, stands: Sequence[Any]) -> tuple[tuple[bool, int], ...]:
        """For each thing that an input stands for: (carried?, position)."""
        wiring = []
        for thing in stands:
            if id(thing) in self.carried:
                wiring.append((True, self.carried[id(thing)]))
                continue
            if id(thing) not in self.where:
                self.where[id(thing)] = len(self.values)
                self.values.append(thing)
            wiring.append((False, self.where[id(thing)]))
        return tuple(wiring)

    def operands(self) -> list[Any]:
        """Tensors of the current trace."""
        return [state.trace.read(v) if isinstance(v, Variable) else v for v in self.values]


def _wired(graph: Graph, wiring: Any, carry: Sequence[Any], fixed: Sequence[Any], args: Any) -> Any:
    extra = [carry[k] if carried else fixed[k] for carried, k in wiring]
    return graph(*args, *extra)


def _union(bodies: Sequence[Body]) -> list[Variable]:
    found: dict[int, Variable] = {}
    for body in bodies:
        for variable in body.written:
            found.setdefault(id(variable), variable)
    return list(found.values())


def _write(variables: Sequence[Variable], values: Sequence[Tensor]) -> None:
    for variable, value in zip(variables, values, strict=True):
        give_value(variable, value)


# -- branches -----------------------------------------------------------------------------


def _branch(index: Any, *operands: Any, graphs: Any, wirings: Any) -> Any:
    branches = [
        lambda *ops, g=g, w=w: _wired(g, w, (), ops, ())
        for g, w in zip(graphs, wirings, strict=True)
    ]
    if len(branches) == 2:
        return lax.cond(index != 0, branches[1], branches[0], *operands)
    return lax.switch(index, branches, *operands)


_branch_op = Op(_branch, "branch")


def _branches(name: str, index: Any, functions: Sequence[Callable[..., Any]]) -> Any:
    chosen = as_tensor(index)
    if chosen.shape != ():
        raise ShapeError(
            f"{name}: the {'predicate' if name == 'cond' else 'index'} must be a scalar, got "
            f"shape {tuple(chosen.shape)}. Reduce it first (any, all), or use where."
        )
    none = jax.tree.structure(())
    bodies = [Body(f, name, none, ()) for f in functions]
    first = bodies[0]
    for k, body in enumerate(bodies[1:], 1):
        if body.tree != first.tree:
            raise ValueError(
                f"{name}: the branches must return the same structure; branch 0 returns "
                f"{first.tree}, branch {k} returns {body.tree}."
            )
        for a, b in zip(first.outs, body.outs, strict=True):
            if a.shape != b.shape:
                raise ShapeError(
                    f"{name}: the branches must return equal shapes; branch 0 returns "
                    f"{tuple(a.shape)}, branch {k} {tuple(b.shape)}."
                )
    dtypes = [
        jnp.result_type(*[b.outs[k].spec.struct for b in bodies]) for k in range(len(first.outs))
    ]
    written = _union(bodies)
    outer = _Operands()
    graphs, wirings = [], []
    for body in bodies:
        graph, stands = body.cut(written, dtypes)
        graphs.append(graph)
        wirings.append(outer.wire(stands))
    params = (("graphs", tuple(graphs)), ("wirings", tuple(wirings)))
    outs = record(_branch_op, params, [chosen, *outer.operands()])
    n = len(first.outs)
    _write(written, outs[n:])
    return jax.tree.unflatten(first.tree, outs[:n])


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """`true_fn()` where `pred` holds, else `false_fn()`; one of them is run.

    Args:
        pred: a scalar tensor or a Python bool.
        true_fn, false_fn: functions without arguments; both return the same structure, shapes and
            dtypes. They may assign variables.

    Raises:
        ShapeError, ValueError: `pred` is no scalar, or the branches return unlike things.
    """
    if isinstance(pred, bool):
        return true_fn() if pred else false_fn()
    return _branches("cond", pred, (false_fn, true_fn))


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """`branches[index](*operands)`, the index clamped to the branches there are."""
    if not branches:
        raise ValueError("switch needs at least one branch.")
    functions = [lambda b=b: b(*operands) for b in branches]
    if isinstance(index, int):
        return functions[min(max(index, 0), len(functions) - 1)]()
    if len(functions) == 1:
        return functions[0]()
    if len(functions) == 2:
        index = record(_clamped, (), (index,))
    return _branches("switch", index, functions)


_clamped = Op(lambda i: jnp.clip(i, 0, 1), "clip")


# -- loops --------------------------------------------------------------------------------


def _while(*operands: Any, n_carry: int, loop: Any, limit: int | None) -> Any:
    options = {"n_carry": n_carry, "loop": loop, "limit": limit}
    forward = functools.partial(_forward_while, **options)
    return _reversible(forward, functools.partial(_bounded_while, **options))(*operands)


def _forward_while(*operands: Any, n_carry: int, loop: Any, limit: int | None) -> Any:
    body, body_wiring, test, test_wiring, n_vars = loop
    fixed = operands[n_carry:]

    def alive(carry: Any) -> Any:
        (result,) = _wired(test, test_wiring, carry[1], fixed, carry[1][:n_vars])
        ok = result.astype(bool).reshape(())
        return ok if limit is None else ok & (carry[0] < limit)

    def step(carry: Any) -> Any:
        return carry[0] + 1, _wired(body, body_wiring, carry[1], fixed, carry[1][:n_vars])

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
        (result,) = _wired(test, test_wiring, carry, fixed, carry[:n_vars])
        going = going & result.astype(bool).reshape(())
        run = lambda c: tuple(_wired(body, body_wiring, c, fixed, c[:n_vars]))  # noqa: E731
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
    flat, tree = _flat(packed)
    flat = _strong(flat)
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
    outer = _Operands(written, len(flat))
    graph, stands = stepped.cut(written, [s.dtype for s in specs])
    body_wiring = outer.wire(stands)
    test, stands = tested.cut(())
    loop = (graph, body_wiring, test, outer.wire(stands), len(flat))
    carry = [*flat, *(state.trace.read(v) for v in written)]
    limit = None if maximum_iterations is None else int(maximum_iterations)
    params = (("n_carry", len(carry)), ("loop", loop), ("limit", limit))
    outs = record(_while_op, params, [*carry, *outer.operands()])
    _write(written, outs[len(flat) :])
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
            return tuple(_wired(body, wiring, carry, fixed, (i, *carry[: bounds[2]])))

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
    flat, tree = _flat(init_val)
    flat = _strong(flat)
    specs = [t.spec for t in flat]
    whole = jax.tree.structure((0, init_val))
    counter = spec((), as_dtype("int32"))
    body = Body(body_fun, "fori_loop", whole, [counter, *specs])
    _same("fori_loop", tree, specs, body)
    written = body.written
    outer = _Operands(written, len(flat))
    graph, stands = body.cut(written, [s.dtype for s in specs])
    wiring = outer.wire(stands)
    static = isinstance(lower, int) and isinstance(upper, int)
    bounds = (lower, upper, len(flat)) if static else (None, None, len(flat))
    carry = [*flat, *(state.trace.read(v) for v in written)]
    tail = [] if static else _bounds(lower, upper)
    params = (("n_carry", len(carry)), ("body", graph), ("wiring", wiring), ("bounds", bounds))
    outs = record(_fori_op, params, [*carry, *outer.operands(), *tail])
    _write(written, outs[len(flat) :])
    return jax.tree.unflatten(tree, outs[: len(flat)])


def _bounds(lower: Any, upper: Any) -> list[Tensor]:
    return [_as(as_tensor(bound), as_dtype("int32")) for bound in (lower, upper)]


def _scan(*operands: Any, sizes: Any, body: Any, wiring: Any, options: Any) -> Any:
    n_carry, n_vars, n_xs = sizes
    length, reverse, unroll = options
    fixed = operands[n_carry + n_xs :]

    def step(carry: Any, xs: Any) -> Any:
        outs = _wired(body, wiring, carry, fixed, (*carry[:n_vars], *xs))
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
    flat, tree = _flat(init)
    flat = _strong(flat)
    rows, rows_tree = _flat(xs)
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
    carry_tree, y_tree = jax.tree.structure((0, 0)).flatten_up_to(
        jax.tree.unflatten(body.tree, range(len(body.outs)))
    )
    carry_tree, y_tree = jax.tree.structure(carry_tree), jax.tree.structure(y_tree)
    if carry_tree != tree:
        raise ValueError(f"scan: the carry is {tree} before f and {carry_tree} after it.")
    for k in range(leaf_count):
        if body.outs[k].shape != specs[k].shape:
            raise ShapeError(
                f"scan: the carry has shape {tuple(specs[k].shape)} before f and "
                f"{tuple(body.outs[k].shape)} after it."
            )
    written = body.written
    outer = _Operands(written, leaf_count)
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
    _write(written, outs[leaf_count : len(carry)])
    return (
        jax.tree.unflatten(tree, outs[:leaf_count]),
        jax.tree.unflatten(y_tree, outs[len(carry) :]),
    )


def map(f: Callable[..., Any], xs: Any) -> Any:
    """`f` of each row of `xs` one after the other, the results stacked."""
    return scan(lambda _, x: ((), f(x)), (), xs)[1]


def _vmapped(*operands: Any, body: Any, wiring: Any, n_xs: int) -> Any:
    fixed = operands[n_xs:]
    each = lambda *xs: tuple(_wired(body, wiring, (), fixed, xs))  # noqa: E731
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
    rows, tree = _flat(elements)
    specs = [spec(tuple(t.shape[1:]), t.spec.dtype, t.spec.weak) for t in rows]
    whole = jax.tree.structure((elements,))
    body = Body(function, "vectorized_map", whole, specs)
    _no_writes("vectorized_map", body)
    outer = _Operands()
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
            outs = _wired(body, wiring, (), fixed, (*left, *right))
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
    rows, tree = _flat(elems)
    rank = len(rows[0].shape)
    at = axis + rank if axis < 0 else axis
    specs = [
        spec((*t.shape[:at], 1, *t.shape[at + 1 :]), t.spec.dtype, t.spec.weak) for t in rows
    ]
    whole = jax.tree.structure((elems, elems))
    body = Body(f, "associative_scan", whole, [*specs, *specs])
    _no_writes("associative_scan", body)
    _same("associative_scan", tree, specs, body)
    outer = _Operands()
    graph, stands = body.cut((), [s.dtype for s in specs])
    params = (
        ("body", graph),
        ("wiring", outer.wire(stands)),
        ("n", len(rows)),
        ("options", (at, bool(reverse))),
    )
    outs = record(_associative_op, params, [*rows, *outer.operands()])
    return jax.tree.unflatten(tree, outs)


# -- recomputation ------------------------------------------------------------------------


def recompute_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    """Make `f` keep no intermediate values for the gradient: they are computed again (remat).

    Args:
        f: any function of tensors; positional arrays and floats are its inputs, everything else
            is passed on as it is. Variables that it reads get their gradients too.
    """

    def remat(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = jax.tree.flatten(args)
        places = [k for k, leaf in enumerate(leaves) if _is_array(leaf)]
        tensors = [as_tensor(leaves[k]) for k in places]

        def rebuilt(*given: Any) -> Any:
            full = list(leaves)
            for k, value in zip(places, given, strict=True):
                full[k] = value
            return f(*jax.tree.unflatten(tree, full), **kwargs)

        flat_tree = jax.tree.structure(tuple(range(len(tensors))))
        body = Body(rebuilt, "recompute_grad", flat_tree, [t.spec for t in tensors])
        written = body.written
        graph, stands = body.cut(written)
        trace = state.trace
        operands = [*tensors]
        for thing in stands:
            operands.append(trace.read(thing) if isinstance(thing, Variable) else thing)
        instr = graph_instr(graph, tuple(t.spec for t in operands), "recompute_grad", remat=True)
        outs = emit(trace, instr, [trace.slot(t) for t in operands])
        n = len(body.outs)
        _write(written, outs[n:])
        settle()
        return jax.tree.unflatten(body.tree, outs[:n])

    return remat


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, ArrayLike | jax.Array | float) or hasattr(leaf, "__array__")
