"""What a tape recorded, as nodes and slots of one trace, and what is planned from it.

When pending work was run in between (a value was read), the part that a gradient needs is recorded
again at the end of the current trace.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from weft.engine.gradient import Gradient, reach, result_specs
from weft.engine.graph import gradient_instr
from weft.engine.op import Instr
from weft.engine.spec import Spec
from weft.engine.tensor import Tensor
from weft.engine.trace import Trace, emit
from weft.engine.variable import Variable

__all__ = ["Plan", "View", "make_plan", "owner_at", "ranges_of", "replayed"]

# The instruction, which sources it has an output for, the slots read from outside.
Plan = tuple[Instr | None, tuple[bool, ...], tuple[int, ...]]


def ranges_of(segment: tuple[Trace, list[list[Any]]]) -> list[tuple[int, int]]:
    """A segment's ranges, the growing one closed at the present length."""
    trace, ranges = segment
    return [(a, len(trace.nodes) if b is None else b) for a, b in ranges]


class View:
    """The nodes that a tape recorded, in one trace."""

    def __init__(self, trace: Trace, ranges: Sequence[tuple[int, int]]) -> None:
        self.trace = trace
        self.ranges = ranges
        self._nodes: list[tuple[int, int, Any]] | None = None

    def structure(self) -> Any:
        end = max((b for _, b in self.ranges), default=0)
        return tuple(self.ranges), tuple(self.trace.nodes[:end])

    def nodes(self) -> list[tuple[int, int, Any]]:
        if self._nodes is None:
            wanted = []
            first = 0
            starts = []
            for node in self.trace.nodes:
                starts.append(first)
                first += len(node[0].out_specs)
            for a, b in self.ranges:
                wanted += [(i, starts[i], self.trace.nodes[i]) for i in range(a, b)]
            self._nodes = wanted
        return self._nodes

    @property
    def entering(self) -> list[int]:
        """Slots read in the ranges that a variable's value can be."""
        found: dict[int, None] = {}
        for a, b in self.ranges:
            for node in self.trace.nodes[a:b]:
                for slot in node[1:]:
                    found[slot] = None
        return list(found)

    @functools.cached_property
    def owners(self) -> dict[int, Variable]:
        """Slot -> the variable whose value it is or was."""
        found = {}
        for k, leaf in enumerate(self.trace.leaves):
            found[-1 - k] = leaf if isinstance(leaf, Variable) else _owner(leaf)
        for slot, weak in enumerate(self.trace.refs):
            if (tensor := weak()) is not None and tensor._owner is not None:
                found[slot] = _owner(tensor)
        return {slot: variable for slot, variable in found.items() if variable is not None}

    def inexact(self, slot: int) -> bool:
        leaf = self.trace.leaves[-1 - slot]
        return bool(leaf.spec.inexact)

    def slot_of(self, tensor: Tensor) -> int | None:
        return self.trace.slot_of(tensor)

    def enter(self, tensor: Tensor) -> None:
        """Give a tensor that the nodes do not use a slot."""
        self.trace.slot(tensor)

    def values_of(self, variable: Variable) -> list[Tensor]:
        now = self.trace.read(variable)
        return [*self.trace.history.get(id(variable), ()), now]

    def index_of(self, trace: Trace, index: int) -> int:
        return index if trace is self.trace else 0


def owner_at(trace: Trace, slot: int) -> Any:
    """A weak reference to the variable whose value a slot is."""
    tensor = trace.leaves[-1 - slot] if slot < 0 else trace.refs[slot]()
    if isinstance(tensor, Variable):
        return tensor._weak
    return None if tensor is None else tensor._owner


def _owner(tensor: Tensor) -> Variable | None:
    return None if tensor._owner is None else tensor._owner()


class _Replayed(View):
    """Nodes of several traces, recorded again at the end of the current one."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace, [])
        self.slots: dict[int, int] = {}  # id of a tensor -> slot in the current trace
        self.owners = {}  # slot -> variable
        self.at: dict[int, list[int]] = {}  # id of a trace -> where its nodes are now
        self.values: dict[int, list[Tensor]] = {}
        self.kept: list[Any] = []

    def slot_of(self, tensor: Tensor) -> int | None:
        return self.slots.get(id(tensor))

    def enter(self, tensor: Tensor) -> None:
        self.slots[id(tensor)] = self.trace.slot(tensor)

    def values_of(self, variable: Variable) -> list[Tensor]:
        return [*self.values.get(id(variable), ()), self.trace.read(variable)]

    def index_of(self, trace: Trace, index: int) -> int:
        where = self.at.get(id(trace), [0])
        return where[min(index, len(where) - 1)]


def replayed(segments: list[tuple[Trace, list[list[Any]]]], current: Trace) -> _Replayed:
    """Record again what a tape saw before pending work was run.

    Each earlier trace's nodes are appended to the current one with their slots renamed. A value
    that one trace handed to the next (a leaf there) is renamed to the slot of its new node, so
    that the gradient passes through.
    """
    view = _Replayed(current)
    ranges: list[tuple[int, int]] = []
    for segment in segments:
        trace = segment[0]
        names: dict[int, int] = {}
        for k, leaf in enumerate(trace.leaves):
            if isinstance(leaf, Variable):
                leaf = current.read(leaf)
            known = view.slots.get(id(leaf))
            if known is None:
                known = view.slots[id(leaf)] = current.slot(leaf)
                view.kept.append(leaf)
            names[-1 - k] = known
            if (owner := _owner(leaf)) is not None:
                view.owners[known] = owner
                view.values.setdefault(id(owner), []).append(leaf)
        wanted = ranges_of(segment)
        where = view.at[id(trace)] = []
        first = 0
        end = max((b for _, b in wanted), default=0)
        for index, node in enumerate(list(trace.nodes)[:end]):
            instr: Instr = _renamed_gradient(node[0])
            at = len(current.nodes)
            where.append(at)
            made = emit(current, instr, [names[s] for s in node[1:]])
            for k in range(len(made)):
                names[first + k] = made[k]._slot
            if any(a <= index < b for a, b in wanted):
                if ranges and ranges[-1][1] == at:
                    ranges[-1] = (ranges[-1][0], at + 1)
                else:
                    ranges.append((at, at + 1))
            first += len(instr.out_specs)
        where.append(len(current.nodes))
        for slot, weak in enumerate(trace.refs):
            tensor = weak()
            if tensor is not None and slot in names:
                view.slots[id(tensor)] = names[slot]
                view.kept.append(tensor)
                if (owner := _owner(tensor)) is not None:
                    view.owners[names[slot]] = owner
        for values in trace.history.values():
            for value in values:
                if (owner := _owner(value)) is not None:
                    view.values.setdefault(id(owner), []).append(value)
    view.ranges = ranges
    return view


def _renamed_gradient(instr: Instr) -> Instr:
    """A gradient's node refers to slots of its trace; in another it stands by itself."""
    if instr.gradient is None:
        return instr
    alone = _alone.get(instr)
    if alone is None:
        alone = _alone[instr] = Instr("gradient", instr.fn, instr.in_specs, instr.out_specs)
        if len(_alone) > 4096:
            del _alone[next(iter(_alone))]
    return alone


_alone: dict[Instr, Instr] = {}


def make_plan(
    mode: str,
    view: View,
    kept: list[int],
    targets: list[Tensor],
    target_slots: list[int | None],
    seed_slots: list[int | None],
    sources: list[Any],
    source_slots: list[tuple[int, ...]],
    roots: dict[int, float],
) -> Plan:
    """The node of a gradient."""
    nodes = view.nodes()
    inside = {first + k for _, first, node in nodes for k in range(len(node[0].out_specs))}
    read = tuple(slot for slot in view.entering if slot not in inside)
    goals = {slot for k in kept if (slot := target_slots[k]) is not None}
    recorded = dict(roots)
    if any(slot >= 0 for slots in source_slots for slot in slots):
        recorded = reach(nodes, roots, None, view.inexact)[1]
    # A source counts from when the tape followed it; a target by itself, too.
    starts = {
        slot: recorded.get(slot, math.inf)
        for slots in source_slots
        for slot in slots
        if slot in recorded or slot in goals
    }
    region, connected_slots = reach(nodes, starts, goals, view.inexact)
    wanted = [tuple(s for s in slots if s in connected_slots) for slots in source_slots]
    connected = tuple(bool(w) for w in wanted)
    if not any(connected):
        return None, connected, read
    made = {first + k for first, node, _ in region for k in range(len(node[0].out_specs))}
    specs: dict[int, Spec] = {}
    external: dict[int, None] = {}
    for _, node, _ in region:
        for position, slot in enumerate(node[1:]):
            if slot not in made:
                external[slot] = None
                specs[slot] = node[0].in_specs[position]
    for k in kept:
        slot = target_slots[k]
        assert slot is not None
        if slot not in made:
            external[slot] = None
            specs[slot] = targets[k].spec
    gradient = Gradient(
        region=tuple(region),
        targets=tuple(target_slots[k] for k in kept),  # type: ignore[misc]
        seeded=tuple(seed_slots[k] is not None for k in kept),
        sources=tuple(w for w in wanted if w),
        mode=mode,
        external=tuple(external),
    )
    seeds = tuple(targets[k].spec for k in kept if seed_slots[k] is not None)
    outs = result_specs(
        mode,
        targets[0].spec,
        [s.spec for s, c in zip(sources, connected, strict=True) if c],
    )
    in_specs = (*(specs[s] for s in external), *seeds)
    return gradient_instr(gradient, in_specs, outs), connected, read
