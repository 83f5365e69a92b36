"""Graphs: pure functions cut out of recorded nodes, and how they are run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from weft.engine.gradient import Gradient, Node, backward, pull
from weft.engine.op import Instr
from weft.engine.spec import Spec
from weft.engine.tensor import Tensor
from weft.engine.trace import SymbolicTrace

__all__ = ["Graph", "constant_value", "evaluate", "graph_instr"]


def evaluate(
    nodes: Sequence[tuple[int, Node]],
    env: dict[int, Any],
    outputs: Sequence[int],
    *,
    eager: bool = False,
) -> list[Any]:
    """Run nodes on arrays (or JAX tracers).

    Args:
        nodes: (first output slot, node) in order.
        env: the values of the input slots; those of the nodes are added.
        outputs: the slots wanted. Nodes that nothing wanted depends on are not run.
        eager: run op by op, each compiled by itself.
    """
    at = {first: index for index, (first, _) in enumerate(nodes)}
    needed = set(outputs)
    live: list[tuple[int, Node]] = []
    shared: set[int] = set()  # first slots of gradient nodes that use this run's pullbacks
    follow: dict[int, set[int]] = {}  # first slot -> operand positions to differentiate
    for first, node in reversed(nodes):
        instr = node[0]
        if not any(slot in needed for slot in range(first, first + len(instr.out_specs))):
            continue
        live.append((first, node))
        gradient = instr.gradient
        ours = gradient is not None and all(start in at for start, _, _ in gradient.region)
        if ours and first not in follow:
            shared.add(first)
            needed.update(node[1 + len(gradient.external) :])
            needed.update(gradient.targets)
            for start, region_node, positions in gradient.region:
                follow.setdefault(start, set()).update(positions)
                needed.update(range(start, start + len(region_node[0].out_specs)))
        else:
            needed.update(node[1:])
    pulls: dict[int, tuple[Any, Any, tuple[int, ...]]] = {}
    for first, node in reversed(live):
        instr = node[0]
        arguments = [env[slot] for slot in node[1:]] if first not in shared else []
        if first in shared:
            seeds = [env[slot] for slot in node[1 + len(instr.gradient.external) :]]
            outs = backward(instr.gradient, seeds, env, pulls)
        elif first in follow:
            positions = tuple(sorted(follow[first]))
            outs, (pullback, wanted) = pull(instr, arguments, positions, eager)
            pulls[first] = (pullback, wanted, positions)
        else:
            outs = (instr.jitted if eager else instr.fn)(*arguments)
        for k, value in enumerate(outs):
            env[first + k] = value
    return [env[slot] for slot in outputs]


def constant_value(trace: SymbolicTrace, tensor: Tensor) -> Any:
    """The array of a tensor of a trace if it follows from what its Python itself made, else None.

    Sizes are numbers while Python is traced, and so is what is computed of them and of constants.
    """
    needed, first = {tensor._slot}, trace.size
    nodes: list[tuple[int, Node]] = []
    for node in reversed(trace.nodes):
        instr = node[0]
        first -= len(instr.out_specs)
        if needed.isdisjoint(range(first, first + len(instr.out_specs))):
            continue
        if instr.gradient is not None:
            return None
        needed.update(node[1:])
        nodes.append((first, node))
    env: dict[int, Any] = {}
    for slot in needed:
        if slot >= 0:
            continue
        leaf, kind = trace.leaves[-1 - slot], trace.kinds[-1 - slot]
        if kind not in ("number", "capture"):
            return None
        outer = leaf._trace
        if outer is None:  # one made before may be another's at the next call: it is an input
            known = leaf._owner is None and leaf._slot >= trace.began
            env[slot] = leaf._value if known else None
        else:
            env[slot] = constant_value(outer, leaf) if isinstance(outer, SymbolicTrace) else None
        if env[slot] is None or isinstance(env[slot], jax.core.Tracer):
            return None
    with jax.ensure_compile_time_eval():
        env = {slot: jnp.asarray(value) for slot, value in env.items()}
        return evaluate(nodes[::-1], env, (tensor._slot,), eager=True)[0]


class Graph:
    """A pure function: nodes, a number of inputs (slots -1, -2, ...), and output slots.

    Graphs are interned by structure: equal ones are one object, whose hash is its identity.
    `numbers` maps an input that is a constant to its value.
    """

    __slots__ = (
        "__weakref__",
        "n_inputs",
        "nodes",
        "numbers",
        "out_specs",
        "outputs",
    )

    _interned: dict[Any, Graph] = {}  # noqa: RUF012

    nodes: tuple[tuple[int, Node], ...]
    n_inputs: int
    outputs: tuple[int, ...]
    out_specs: tuple[Spec, ...]
    numbers: tuple[tuple[int, Any], ...]

    @classmethod
    def cut(cls, trace: SymbolicTrace, outs: Sequence[Tensor]) -> Graph:
        """The graph of everything that a trace recorded, with the tensors `outs` as outputs."""
        outputs = tuple(trace.slot(t) for t in outs)  # one made elsewhere becomes an input
        nodes, numbers = tuple(trace.nodes), trace.numbers()
        out_specs = tuple(t.spec for t in outs)
        # 1 == 1.0 == True, but they are not the same constant.
        typed = tuple((k, type(v), v) for k, v in numbers)
        key = (nodes, len(trace.leaves), outputs, out_specs, typed)
        graph = cls._interned.get(key)
        if graph is None:
            graph = cls()
            first = 0
            numbered = []
            for node in nodes:
                numbered.append((first, node))
                first += len(node[0].out_specs)
            graph.nodes = tuple(numbered)
            graph.n_inputs = len(trace.leaves)
            graph.outputs = outputs
            graph.out_specs = out_specs
            graph.numbers = tuple(numbers)
            cls._interned[key] = graph
            if len(cls._interned) > 4096:  # structure that keeps changing is not kept for ever
                del cls._interned[next(iter(cls._interned))]
        return graph

    def constants(self) -> dict[int, Any]:
        """The values of the inputs that are constants, by slot, as (weakly typed) arrays."""
        return {-1 - k: jnp.asarray(value) for k, value in self.numbers}

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """Run on the arrays of the inputs that are not constants, in order."""
        env = self.constants()
        rest = iter(inputs)
        for k in range(self.n_inputs):
            if -1 - k not in env:
                env[-1 - k] = next(rest)
        return tuple(evaluate(self.nodes, env, self.outputs))

    def op_names(self) -> list[str]:
        """The names of the operations, in order."""
        return [node[0].name for _, node in self.nodes]


_calls: dict[Any, Instr] = {}


def graph_instr(graph: Graph, in_specs: tuple[Spec, ...], name: str, remat: bool = False) -> Instr:
    """The instruction that calls a graph; with `remat` its values are computed again backwards."""
    key = (graph, in_specs, name, remat)
    instr = _calls.get(key)
    if instr is None:
        fn = jax.checkpoint(graph.__call__) if remat else graph.__call__
        instr = _calls[key] = Instr(name, fn, in_specs, graph.out_specs)
        if len(_calls) > 4096:
            del _calls[next(iter(_calls))]
    return instr


def gradient_instr(
    gradient: Gradient, in_specs: tuple[Spec, ...], out_specs: tuple[Spec, ...]
) -> Instr:
    """The instruction of a gradient's node, pure in what enters its region."""
    n_outs = len(out_specs)
    instr = Instr("gradient", lambda: (), in_specs, out_specs, gradient=gradient)

    def fn(*arrays: Any) -> tuple[Any, ...]:
        n_external = len(gradient.external)
        env = dict(zip(gradient.external, arrays[:n_external], strict=True))
        ends = [start + len(node[0].out_specs) for start, node, _ in gradient.region]
        end = max([*ends, *(s + 1 for s in gradient.targets), 0])
        # The seeds, and then the node's own outputs, get slots after all others.
        seeds = tuple(range(end, end + len(arrays) - n_external))
        env.update(zip(seeds, arrays[n_external:], strict=True))
        first = end + len(seeds)
        nodes = [(start, node) for start, node, _ in gradient.region]
        nodes.append((first, (instr, *gradient.external, *seeds)))
        return tuple(evaluate(nodes, env, range(first, first + n_outs)))

    instr.fn = fn
    return instr
