"""Programs: pending work, compiled once for each structure and run with its buffers donated."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from itertools import starmap
from typing import Any
from weakref import ref

import jax
import jax.numpy as jnp
import numpy as np

from weft.engine import explain
from weft.engine.errors import user_line
from weft.engine.gradient import Node
from weft.engine.graph import evaluate
from weft.engine.kept import make_room
from weft.engine.nearest import Record
from weft.engine.settling import warn_of_leaves
from weft.engine.tensor import Tensor
from weft.engine.trace import LazyTrace, open_tapes, state
from weft.engine.variable import toggled

__all__ = [
    "call_into", "calls_python", "donatable", "run_pending", "run_snapshot", "separate",
    "settle_all",
]  # fmt: skip


class _Kind:
    """The programs made of the same operations, and how many more are new than known."""

    __slots__ = ("pressure", "told")

    def __init__(self) -> None:
        self.pressure = 0
        self.told = False  # that it is run op by op


class _Kept:
    """A program that is kept, and what tells whether the shapes of its inputs never settle."""

    __slots__ = ("kind", "likeness", "program", "shapes", "used")

    def __init__(self, program: Any, kind: _Kind, likeness: Any, shapes: Any) -> None:
        self.program = program
        self.kind = kind
        self.likeness = likeness  # equal for programs that differ in their inputs' sizes only
        self.shapes = shapes
        self.used = False  # again, after the run that it was made for


class _Programs:
    """The cache of lazy programs, and its guard against structure that never settles.

    Each new structure raises the pressure of its kind, by more the longer it takes to compile, and
    each known one of that kind lowers it. Above the limit a new structure is run op by op, and
    compiled only when it comes a second time. (Kinds are told apart because a loop has several:
    the known step that chooses an action must not hide that each episode has a new length.) But
    where most of the operations are new, as with inputs of a new shape, each would be compiled by
    itself: one program takes less time and memory.
    """

    LIMIT = 64  # new structures in excess of known ones
    LONG = 16  # nodes that count as one more structure: 250 take a second to compile
    SIZE = 512  # programs kept, about the least recently used dropped first
    WAITING = 4096  # structures remembered that were run op by op
    SMALL = 8  # nodes up to which, without a gradient, shapes may change for ever

    def __init__(self) -> None:
        self.kept: OrderedDict[Any, _Kept] = OrderedDict()
        self.warned: set[Any] = set()  # likenesses
        self.waiting: OrderedDict[Any, None] = OrderedDict()
        self.kinds: dict[frozenset[str], _Kind] = {}

    def find(self, key: Any) -> Any:
        """The program of a structure; "new" when it is to be compiled, None to run op by op."""
        found = self.kept.get(key)
        if found is not None:
            found.used = True
            kind = found.kind
            if kind.pressure > 0:
                kind.pressure -= 1
            return found.program
        kind = self._kind(key)
        instrs = [node[0] for node in key[0]]
        unknown = sum(not instr.run and instr.gradient is None for instr in instrs)
        for instr in instrs:
            instr.run = True
        if kind.pressure >= self.LIMIT and 2 * unknown <= len(instrs):
            if key not in self.waiting:
                self.waiting[key] = None
                if len(self.waiting) > self.WAITING:
                    self.waiting.popitem(last=False)
                if not kind.told:
                    kind.told = True
                    explain.say(
                        f"{explain.PENDING} of these operations has had {self.LIMIT} structures "
                        "that did not come again: a new one is run op by op, and compiled when it "
                        f"comes a second time (run at {user_line()})"
                    )
                return None
            del self.waiting[key]
        elif kind.pressure < self.LIMIT:
            kind.pressure += 1 + len(key[0]) // self.LONG
        return "new"

    def known(self, key: Any) -> Any:
        """The program of a structure, None if there is none."""
        found = self.kept.get(key)
        if found is None:
            return None
        found.used = True
        return found.program

    def look(self, key: Any, arrays: Sequence[Any]) -> tuple[Any, Any]:
        """What `keep` needs of a new structure; warns if sizes of its inputs never settle."""
        nodes = key[0]
        kinds = [(getattr(a, "dtype", type(a)), len(getattr(a, "shape", ()))) for a in arrays]
        wiring = tuple((node[0].name, *node[1:]) for node in nodes)
        likeness = hash((wiring, *key[1:], tuple(kinds)))
        shapes = tuple(getattr(a, "shape", ()) for a in arrays)
        large = len(nodes) > self.SMALL or any(node[0].gradient is not None for node in nodes)
        if large and likeness not in self.warned:
            kin = [(k.shapes, k.used) for k in self.kept.values() if k.likeness == likeness]

            def operation(k: int) -> str:
                return next((node[0].name for node in nodes if -1 - k in node[1:]), "a result")

            if warn_of_leaves(operation, shapes, kin):
                self.warned.add(likeness)
        return likeness, shapes

    def keep(self, key: Any, program: Any, seen: tuple[Any, Any] = (None, ())) -> None:
        """Remember a compiled program, with what `look` found."""
        make_room(self.kept, self.SIZE)
        self.kept[key] = _Kept(program, self._kind(key), *seen)

    def _kind(self, key: Any) -> _Kind:
        names = frozenset(node[0].name for node in key[0])
        if len(self.kinds) > self.WAITING:
            self.kinds.clear()
        return self.kinds.setdefault(names, _Kind())


programs = _Programs()

# Whoever replaces a value lets go of it and looks for other holders in one step: of two threads
# that do so, at least the first one sees the other.
_letting_go = threading.Lock()


def run_pending(trace: LazyTrace) -> None:
    """Run a trace of this thread and give its living tensors their values."""
    fresh = LazyTrace()
    if state.trace is trace:
        tapes = state.tapes
        state.trace = fresh
    else:
        for k, (outer, tapes) in enumerate(state.enclosing):
            if outer is trace:
                state.enclosing[k] = (fresh, tapes)
                break
    for weak in tapes:
        tape = weak()
        if tape is not None:
            tape.move(trace, fresh)
    with trace.lock:
        _run(trace)


def _run(trace: LazyTrace) -> None:
    live: list[Tensor] = []
    slots: list[int] = []
    for slot, weak in enumerate(trace.refs):
        tensor = weak()
        if tensor is not None:
            live.append(tensor)
            slots.append(slot)
    held = bool(open_tapes(trace))
    if live:
        arrays = [_on_device(leaf) for leaf in trace.leaves]
        replaced = [] if held else _replaced(trace)
        # The leaves that stay are held while the program starts: another thread may replace them.
        kept: list[Any] = list(trace.leaves)
        before, trace.before = trace.before, {}
        for k, _, variable in replaced:
            kept[k] = None
            before.pop(id(variable), None)
        done: list[Any] = []
        try:
            with _letting_go:
                if not held:
                    trace.leaves.clear()
                    trace.history.clear()
                holders = [(k, weak_leaf()) for k, weak_leaf, _ in replaced]
            for k, holder in holders:
                if holder is not None:  # somebody still holds the value that goes away
                    arrays[k] = jnp.array(arrays[k], copy=True)
            donate = [k for k, _ in holders]
            # Held until here: another thread that replaces the value too must copy it as well.
            holder = None
            holders.clear()
            _execute(done, trace, arrays, tuple(slots), tuple(donate))
            _finish(trace, live, done[0], held)
        except BaseException:
            if done:  # broken off after the run: what it replaced is gone, so its results count
                _finish(trace, live, done[0], held)
                raise
            # The update did not happen: the variables keep the values that they had.
            for k, _, variable in replaced:
                kept[k] = Tensor(arrays[k])
                variable._hold(Tensor(arrays[k]))
            for owner, old in before.values():
                changed = owner()
                if changed is not None and changed._tensor._trace is trace:
                    changed._tensor = old
            trace.sealed = held
            if not held:
                trace.leaves[:] = kept
            raise
    else:
        _finish(trace, (), (), held)


def _finish(trace: LazyTrace, live: Sequence[Tensor], outs: Sequence[Any], held: bool) -> None:
    """Give a trace's tensors their values, and let it go unless a tape holds it."""
    settle_all(live, outs, trace if held else None)
    if held:
        trace.sealed = True
    else:
        trace.nodes, trace.leaves, trace.refs = [], [], []
        trace.leaf_slots.clear()


def call_into(done: list[Any], program: Any, arrays: Sequence[Any]) -> None:
    """Append `program(*arrays)` to `done`.

    All in one call of C code: an interrupt (Ctrl-C) that comes while the program is being started
    is raised once its result is in the list. Else the result would be lost when the inputs are
    donated already.
    """
    done.extend(starmap(program, (arrays,)))


def settle_all(
    tensors: Sequence[Tensor], values: Sequence[Any], trace: LazyTrace | None = None
) -> None:
    """Give tensors their values; what they belong to from then on is `trace`."""
    for tensor, value in zip(tensors, values, strict=False):
        tensor._value = value
        tensor._trace = trace


def _replaced(trace: LazyTrace) -> list[tuple[int, Any, Any]]:
    """Leaves that are a variable's former value: (input, weak reference, variable)."""
    found = []
    for k, leaf in enumerate(trace.leaves):
        if leaf._owner is not None:
            variable = leaf._owner()
            if variable is not None:
                now = variable._tensor
                if now is not leaf and now._value is None and now._trace is trace:
                    found.append((k, ref(leaf), variable))
    return found


_platform: str | None = None


def _on_device(leaf: Tensor) -> Any:
    """A leaf's array. A host array is moved once on an accelerator; a CPU program reads it."""
    value = leaf._value
    if value is None:
        value = leaf.array()
    if value.__class__ is np.ndarray:
        global _platform
        if _platform is None:
            _platform = jax.default_backend()
        if _platform != "cpu":
            value = leaf._value = jax.device_put(value)
    return value


def _execute(
    done: list[Any],
    trace: LazyTrace,
    arrays: list[Any],
    slots: tuple[int, ...],
    donate: tuple[int, ...],
) -> None:
    """Run a trace's nodes, and append the values of `slots` to `done`."""
    nodes = tuple(trace.nodes)
    key = (nodes, slots, donate)
    program = None if state.eager else programs.find(key)
    if program is None:
        env = {-1 - k: jnp.asarray(a) for k, a in enumerate(arrays)}
        outs = evaluate(_numbered(nodes), env, slots, eager=True)
        done.append(separate(outs, list(env.values())))
        return
    if program != "new":
        call_into(done, program, arrays)
        return
    seen = programs.look(key, arrays)
    began = time.perf_counter()
    program = _compile(nodes, len(arrays), slots, donate)
    if donate and calls_python(program.trace(*arrays).jaxpr):
        program = _compile(nodes, len(arrays), slots, ())
    call_into(done, program, arrays)
    programs.keep(key, program, seen)
    record = Record(explain.PENDING, nodes, slots, donate, trace.lines or (), toggled())
    explain.compiled(record, time.perf_counter() - began)


def _numbered(nodes: Sequence[Node]) -> list[tuple[int, Node]]:
    first = 0
    numbered = []
    for node in nodes:
        numbered.append((first, node))
        first += len(node[0].out_specs)
    return numbered


def _compile(
    nodes: tuple[Node, ...], n_inputs: int, slots: tuple[int, ...], donate: tuple[int, ...]
) -> Any:
    numbered = _numbered(nodes)

    def step(*arrays: Any) -> list[Any]:
        env = {-1 - k: array for k, array in enumerate(arrays)}
        return separate(evaluate(numbered, env, slots), arrays)

    return jax.jit(step, donate_argnums=donatable(numbered, slots, donate))


def calls_python(jaxpr: Any) -> bool:
    """Whether a program calls back into Python: that may fail when its inputs are already gone."""
    for equation in jaxpr.eqns:
        if "callback" in equation.primitive.name:
            return True
        for param in jax.tree.leaves(list(equation.params.values())):
            inner = getattr(param, "jaxpr", param)
            if hasattr(inner, "eqns") and calls_python(inner):
                return True
    return False


def donatable(
    nodes: Sequence[tuple[int, Node]], slots: Sequence[int], donate: Sequence[int]
) -> tuple[int, ...]:
    """Those of the inputs `donate` that the outputs depend on (JAX warns about the others)."""
    needed = set(slots)
    for first, node in reversed(nodes):
        if any(s in needed for s in range(first, first + len(node[0].out_specs))):
            needed.update(node[1:])
    return tuple(k for k in donate if -1 - k in needed)


def separate(outs: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """Outputs of a program under trace that share no buffer with each other or with an input.

    A variable's buffer is its own: donating it must not take another tensor's value away.
    """
    seen = {id(value) for value in inputs}
    result = []
    for value in outs:
        if id(value) in seen or not isinstance(value, jax.Array):
            value = jnp.array(value, copy=True)
        seen.add(id(value))
        result.append(value)
    return result


def _up_to(slot: int, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """The nodes up to the one that makes a slot."""
    first = 0
    for index, node in enumerate(nodes):
        first += len(node[0].out_specs)
        if first > slot:
            return nodes[: index + 1]
    return nodes


def run_snapshot(trace: LazyTrace, tensor: Tensor) -> None:
    """Compute one tensor of another thread's trace, leaving the trace as it is.

    Recording takes no lock, so the trace may grow meanwhile. Its leaves are held here while they
    are read, so that the owner, running it at the same time, donates copies.
    """
    with trace.lock:
        if tensor._value is not None:
            return
        slot = tensor._slot
        # What came after does not matter: the same value later in a loop is the same program.
        nodes = _up_to(slot, tuple(trace.nodes))
        inputs = max((-s for node in nodes for s in node[1:] if s < 0), default=0)
        leaves = trace.leaves[:inputs]
        arrays = [_on_device(leaf) for leaf in leaves]
        key = (nodes, (slot,), (), "snapshot")
        program = programs.known(key)
        if program is None:
            began = time.perf_counter()
            program = _compile(nodes, len(arrays), (slot,), ())
            (tensor._value,) = program(*arrays)
            programs.keep(key, program)
            lines = (trace.lines or [])[: len(nodes)]
            record = Record("a value read from another thread", nodes, (slot,), (), lines)
            explain.compiled(record, time.perf_counter() - began)
        else:
            (tensor._value,) = program(*arrays)
