"""Control flow whose bodies are graphs: what they capture are explicit inputs of the node.

So gradients reach captured tensors and variables, and a variable that a body assigns (a moving
average, a seed) is an output of the branch or carried by the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from weft.engine.errors import ShapeError
from weft.engine.graph import Graph, graph_instr
from weft.engine.op import Op
from weft.engine.spec import Spec
from weft.engine.tensor import ArrayLike, Tensor, as_tensor
from weft.engine.trace import SymbolicTrace, emit, isolated, record, settle, state
from weft.engine.variable import Variable, give_value

__all__ = [
    "Body",
    "Operands",
    "as_kind",
    "cond",
    "flat_tensors",
    "recompute_grad",
    "strong",
    "switch",
    "wired",
    "write",
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
                outs = [as_kind(t, d) for t, d in zip(outs, dtypes, strict=True)]
            outs = [*outs, *(trace.read(v) for v in carried)]
        graph = Graph.cut(trace, outs)
        stands = [
            leaf
            for leaf, kind in zip(trace.leaves[self.n_args :], trace.kinds[self.n_args :],
                                  strict=True)
            if kind != "number"
        ]
        return graph, stands


_to = Op(lambda x, *, dtype: lax.convert_element_type(jnp.asarray(x), dtype), "cast")


def as_kind(tensor: Tensor, dtype: Any) -> Tensor:
    if tensor.spec.dtype == dtype and not tensor.spec.weak:
        return tensor
    return record(_to, (("dtype", dtype),), (tensor,))


def flat_tensors(nest: Any) -> tuple[list[Tensor], Any]:
    leaves, tree = jax.tree.flatten(nest)
    return [as_tensor(leaf) for leaf in leaves], tree


def strong(tensors: list[Tensor]) -> list[Tensor]:
    """Loop values: a Python number becomes a tensor of its dtype."""
    return [as_kind(t, t.spec.dtype) for t in tensors]


class Operands:
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


def wired(graph: Graph, wiring: Any, carry: Sequence[Any], fixed: Sequence[Any], args: Any) -> Any:
    extra = [carry[k] if carried else fixed[k] for carried, k in wiring]
    return graph(*args, *extra)


def _union(bodies: Sequence[Body]) -> list[Variable]:
    found: dict[int, Variable] = {}
    for body in bodies:
        for variable in body.written:
            found.setdefault(id(variable), variable)
    return list(found.values())


def write(variables: Sequence[Variable], values: Sequence[Tensor]) -> None:
    for variable, value in zip(variables, values, strict=True):
        give_value(variable, value)


# -- branches -----------------------------------------------------------------------------


def _branch(index: Any, *operands: Any, graphs: Any, wirings: Any) -> Any:
    branches = [
        lambda *ops, g=g, w=w: wired(g, w, (), ops, ())
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
        if body.tree != first.tree:  # type: ignore[operator]
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
    outer = Operands()
    graphs, wirings = [], []
    for body in bodies:
        graph, stands = body.cut(written, dtypes)
        graphs.append(graph)
        wirings.append(outer.wire(stands))
    params = (("graphs", tuple(graphs)), ("wirings", tuple(wirings)))
    outs = record(_branch_op, params, [chosen, *outer.operands()])
    n = len(first.outs)
    write(written, outs[n:])
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
        write(written, outs[n:])
        settle()
        return jax.tree.unflatten(body.tree, outs[:n])

    return remat


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, ArrayLike | jax.Array | float) or hasattr(leaf, "__array__")
