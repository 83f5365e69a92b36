"""`custom_gradient`: a function that brings its own backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weft.engine.control import Body
from weft.engine.graph import Graph
from weft.engine.op import Op
from weft.engine.tensor import ArrayLike, as_tensor
from weft.engine.trace import SymbolicTrace, isolated, record, state
from weft.engine.variable import Variable, give_value

__all__ = ["custom_gradient"]


def _run(*operands: Any, forward: Any, reverse: Any, used: int) -> Any:
    @jax.custom_vjp
    def call(*values: Any) -> Any:
        return forward(*values[:used])

    def fwd(*values: Any) -> Any:
        return forward(*values[:used]), values

    def bwd(values: Any, cotangents: Any) -> Any:
        found = iter(reverse.graph(*_pick(reverse.wiring, values, cotangents)))
        pulled = [
            next(found) if given else None for given in reverse.gives
        ]  # integers have none, whatever was returned for them
        return tuple(
            _zero(v) if g is None or not _inexact(v) else g.astype(v.dtype)
            for v, g in zip(values, pulled, strict=True)
        )

    call.defvjp(fwd, bwd)
    return call(*map(jnp.asarray, operands))


def _inexact(value: Any) -> bool:
    return bool(jnp.issubdtype(value.dtype, jnp.inexact))


def _zero(value: Any) -> Any:
    if _inexact(value):
        return jnp.zeros_like(value)
    return np.zeros(value.shape, jax.dtypes.float0)


def _pick(wiring: Any, values: Any, cotangents: Any) -> list[Any]:
    return [(cotangents if seed else values)[k] for seed, k in wiring]


_run_op = Op(_run, "custom_gradient")
_ARRAYS = (ArrayLike, jax.Array, np.ndarray, np.generic, bool, int, float, complex)
_detached = Op(lambda x: x, "detach", differentiable=False)


class _Reverse:
    """The backward graph: its inputs, and the operands that it has gradients for."""

    def __init__(self, graph: Any, wiring: Any, gives: Any) -> None:
        self.graph, self.wiring, self.gives = graph, wiring, gives

    def _key(self) -> Any:
        return self.graph, self.wiring, self.gives

    def __hash__(self) -> int:
        return hash(self._key())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reverse) and self._key() == other._key()


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function its own gradient.

    Args:
        f: `f(*args)` returns `(outputs, grad)`, where `grad(*upstream)` gets one tensor for each
            output and returns one gradient for each positional argument that is an array or a
            number (None: there is none). Keyword arguments are passed on as they are. If `f` reads
            trainable variables, `grad` must take a keyword `variables`, a list, and return
            `(argument gradients, variable gradients)`.

    Raises:
        TypeError: `f` reads trainable variables and `grad` takes no `variables`.
        ValueError: `grad` returns another number of gradients.

    Example:
        >>> import weft
        >>> @weft.custom_gradient
        ... def clipped(x):
        ...     return x, lambda upstream: weft.ops.clip(upstream, -1.0, 1.0)
        >>> x = weft.Variable(2.0)
        >>> with weft.GradientTape() as tape:
        ...     y = clipped(x) * 10.0
        >>> float(tape.gradient(y, x))
        1.0
    """

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = jax.tree.flatten(args)
        places = [k for k, leaf in enumerate(leaves) if isinstance(leaf, _ARRAYS)]
        tensors = [as_tensor(leaves[k]) for k in places]
        kept: list[Any] = []

        def forward(*given: Any) -> Any:
            full = list(leaves)
            for k, value in zip(places, given, strict=True):
                full[k] = value
            outputs, grad = f(*jax.tree.unflatten(tree, full), **kwargs)
            kept.append(grad)
            return outputs

        flat_tree = jax.tree.structure(tuple(range(len(tensors))))
        body = Body(forward, "custom_gradient", flat_tree, [t.spec for t in tensors])
        written = body.written
        graph, stands = body.cut(written)
        n_operands = len(tensors) + len(stands)
        reverse, extra = _reverse(body, kept[0], stands)
        operands = [*tensors]
        for thing in (*stands, *extra):
            operands.append(state.trace.read(thing) if isinstance(thing, Variable) else thing)
        # What the gradient function gives None for is not connected.
        operands = [
            x if given or not x.spec.inexact else record(_detached, (), (x,))
            for x, given in zip(operands, reverse.gives, strict=True)
        ]
        params = (("forward", graph), ("reverse", reverse), ("used", n_operands))
        outs = record(_run_op, params, operands)
        n = len(body.outs)
        for variable, value in zip(written, outs[n:], strict=True):
            give_value(variable, value)
        return jax.tree.unflatten(body.tree, outs[:n])

    wrapped.__name__ = getattr(f, "__name__", "custom_gradient")
    wrapped.__doc__ = f.__doc__
    return wrapped


def _reverse(
    body: Body, grad: Callable[..., Any], stands: list[Any]
) -> tuple[_Reverse, list[Any]]:
    """Trace `grad` where the forward values are known; XLA merges what both passes compute."""
    trace: SymbolicTrace = body.trace
    before = len(trace.leaves)
    variables = [v for v in stands if isinstance(v, Variable) and v.trainable]
    with isolated(trace):
        upstream = [trace.placeholder(t.spec, "argument") for t in body.outs]
        seeds = {t._slot: k for k, t in enumerate(upstream)}
        if variables:
            try:
                result = grad(*upstream, variables=variables)
            except TypeError as error:
                names = [v.path for v in variables]
                raise TypeError(
                    f"custom_gradient: the function reads the variables {names}, so its gradient "
                    "function must take a keyword argument `variables` and return (argument "
                    f"gradients, variable gradients): {error}"
                ) from error
            by_argument, by_variable = result
        else:
            by_argument, by_variable = grad(*upstream), []
        gradients = _as_list(by_argument)
        if len(gradients) != body.n_args:
            raise ValueError(
                f"custom_gradient: the gradient function must return {body.n_args} gradients, one "
                f"for each tensor argument; it returned {len(gradients)}."
            )
        for_variables = dict(zip(map(id, variables), _as_list(by_variable), strict=True))
        wanted = [*gradients, *(for_variables.get(id(thing)) for thing in stands)]
        gives = tuple(g is not None for g in wanted)
        outs = [as_tensor(g) for g in wanted if g is not None]
    graph = Graph.cut(trace, outs)
    # What only the gradient function uses is an operand too, without a gradient.
    extra = [
        leaf
        for leaf, kind in zip(trace.leaves[before:], trace.kinds[before:], strict=True)
        if kind in ("capture", "variable")
    ]
    gives += (False,) * len(extra)
    wiring = []
    operand = 0
    for k, kind in enumerate(trace.kinds):
        if kind == "number":
            continue
        if -1 - k in seeds:
            wiring.append((True, seeds[-1 - k]))
        else:
            wiring.append((False, operand))
            operand += 1
    return _Reverse(graph, tuple(wiring), gives), extra


def _as_list(gradients: Any) -> list[Any]:
    return list(gradients) if isinstance(gradients, list | tuple) else [gradients]
