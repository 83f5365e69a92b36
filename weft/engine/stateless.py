"""Python that works on variables as a pure function of their values, for JAX's transformations.

Code written for JAX hands `jax.jit`, `jax.grad` and the like pure functions: what weft keeps in
variables has to come in as arguments and go out as results. The Python is run once on symbolic
inputs, as for `weft.function`, and the graph is then evaluated on whatever arrays JAX passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary, ref

import jax

from weft.engine.errors import GraphError
from weft.engine.function import Function
from weft.engine.graph import evaluate
from weft.engine.tensor import Tensor
from weft.engine.trace import flush
from weft.engine.variable import Variable

__all__ = ["Stateless", "on_tracers", "stateless"]


class Stateless:
    """A Python function with the variables that it uses as arguments and results.

    Args:
        python: a function of tensors; it may read and assign variables.
        name: for messages.
    """

    def __init__(self, python: Callable[..., Any], name: str) -> None:
        self.name = name
        self._function = Function(python, name)

    def __call__(
        self, variables: Sequence[Variable], values: Sequence[Any], *args: Any, **kwargs: Any
    ) -> tuple[Any, list[Any]]:
        """What the Python returns, as JAX arrays, and what it leaves in `variables`.

        Args:
            variables: those whose values come from outside. Others are read as they are now.
            values: arrays, one for each.
            args, kwargs: given to the Python, arrays as tensors.

        Raises:
            ValueError: `values` do not fit `variables`.
            GraphError: the Python assigned a variable that is not among them.
        """
        _check(self.name, variables, values)
        full, fixed = jax.tree.map(_held, (args, kwargs))
        # Tracing computes nothing, but what is pending or captured has values of its own, which
        # a transformation that is going on must not take for its own work.
        with jax.ensure_compile_time_eval():
            flush()
            program, leaves, dynamic = self._function._find(full, fixed)
            captured = [(position, tensor.array()) for position, tensor in program.captures]
        given = {id(v): _array(x) for v, x in zip(variables, values, strict=True)}
        strangers = [v.path for v in program.writes if id(v) not in given]
        if strangers:
            raise GraphError(
                f"{self.name}: it assigns {strangers}, but inside a JAX transformation a variable "
                "cannot keep a value. Use the stateless form (stateless_call, "
                "stateless_update_state, stateless_apply), which takes values and returns them; "
                "or weft.function and GradientTape in place of jax.jit and jax.grad."
            )
        arrays = [leaf.array() for leaf, d in zip(leaves, dynamic, strict=True) if d]
        arrays += [None] * (program.n_inputs - program.n_args)
        for position, value in captured:
            arrays[position] = value
        for position, variable in (*program.read_only, *program.donated):
            value = given.get(id(variable))
            arrays[position] = variable.array() if value is None else value
        env = program.graph.constants()
        env.update(zip(program.slots, arrays, strict=True))
        outs = evaluate(program.graph.nodes, env, program.graph.outputs)
        news = dict(zip(map(id, program.writes), outs[program.n_results :], strict=True))
        result = program._restore(outs[: program.n_results])
        return result, [news.get(id(v), given[id(v)]) for v in variables]


def _held(leaf: Any) -> Any:
    """An array of JAX's, a tracer too, as a tensor."""
    return Tensor(leaf) if isinstance(leaf, jax.Array) else leaf


def _array(value: Any) -> Any:
    return value.array() if isinstance(value, Tensor | Variable) else jax.numpy.asarray(value)


def _check(name: str, variables: Sequence[Variable], values: Sequence[Any]) -> None:
    if not isinstance(values, list | tuple) or len(values) != len(variables):
        came = f"{len(values)}" if isinstance(values, list | tuple) else type(values).__name__
        raise ValueError(
            f"{name}: values for the {len(variables)} variables "
            f"{[v.path for v in variables][:8]} are expected as a list, in this order; got {came}."
        )
    for variable, value in zip(variables, values, strict=True):
        if tuple(variable.shape) != tuple(getattr(value, "shape", ())):
            raise ValueError(
                f"{name}: the value for {variable.path!r} has shape "
                f"{tuple(getattr(value, 'shape', ()))}, the variable {tuple(variable.shape)}."
            )


_made: WeakKeyDictionary[Any, dict[str, Stateless]] = WeakKeyDictionary()


def stateless(owner: Any, python: Callable[..., Any]) -> Stateless:
    """`python(owner, ...)` as a pure function, kept as long as the owner lives."""
    kept = _made.setdefault(owner, {})
    name = python.__name__
    if name not in kept:
        weak = ref(owner)  # what is kept must not keep the owner alive

        def call(*args: Any, **kwargs: Any) -> Any:
            return python(weak(), *args, **kwargs)

        label = getattr(owner, "name", None) or getattr(owner, "__name__", type(owner).__name__)
        kept[name] = Stateless(call, f"{label}")
    return kept[name]


def on_tracers(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """`function` of arguments among which are JAX's tracers, as JAX arrays.

    Raises:
        GraphError: it assigns variables.
    """
    return stateless(function, _called)((), (), *args, **kwargs)[0]


def _called(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)
