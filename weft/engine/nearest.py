"""What differs between a program and the nearest one that was compiled before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from weft.engine.spec import Spec

__all__ = ["Record", "changed_spec", "nearest", "operations_changed", "spec_text", "toggles"]

ALIKE = 0.5  # the share of operations in common from which two programs are compared


@dataclass(frozen=True)
class Record:
    """A compiled program: its operations, how they are wired, and what of them is kept.

    Attributes:
        what: the function's name; programs of one name are compared.
        nodes: (instr, slot, ...) in order.
        outputs: the slots whose values the program gives.
        donated: the inputs that it writes over.
        lines: the user's line of each node, where they were noted.
        toggled: what is toggled away from its first `trainable`, by id.
    """

    what: str
    nodes: Sequence[tuple[Any, ...]]
    outputs: Sequence[int] = ()
    donated: Sequence[int] = ()
    lines: Sequence[str] = ()
    toggled: Mapping[int, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The names of the operations."""
        return [node[0].name for node in self.nodes]

    def at(self, k: int) -> str:
        """Operation `k` by name, with the user's line where it is known."""
        line = f" at {self.lines[k]}" if k < len(self.lines) else ""
        return f"{self.nodes[k][0].name}{line}"


def nearest(new: Record, before: Iterable[Record]) -> Record | None:
    """The program of the same name most like `new`; of equals the last one. None if none is."""
    from difflib import SequenceMatcher  # slow to import, and seldom needed

    matcher: Any = SequenceMatcher(autojunk=False)
    names = new.names
    matcher.set_seq2(names)
    best, score = None, (ALIKE, 0)
    for old in before:
        if old.what != new.what:
            continue
        others = old.names
        same = sum(a[0] is b[0] for a, b in zip(old.nodes, new.nodes, strict=False))
        ratio = 1.0
        if others != names:
            matcher.set_seq1(others)
            if matcher.real_quick_ratio() < score[0] or matcher.quick_ratio() < score[0]:
                continue
            ratio = matcher.ratio()
        if (ratio, same) >= score:
            best, score = old, (ratio, same)
    return best


def operations_changed(old: Record, new: Record) -> str:
    """In words, where `new` first differs from the program nearest to it."""
    switched = toggles(old.toggled, new.toggled)
    return "; ".join([*switched, _first_change(old, new)])


def _first_change(old: Record, new: Record) -> str:
    was, now = old.names, new.names
    if was != now:
        return _added(old, new)
    for k, (before, after) in enumerate(zip(old.nodes, new.nodes, strict=True)):
        if before[0] is not after[0]:
            return f"{new.at(k)}: {_instr_changed(before[0], after[0])}"
    for k, (before, after) in enumerate(zip(old.nodes, new.nodes, strict=True)):
        if before[1:] != after[1:]:
            return f"{new.at(k)} is given other operands: results or inputs in another order"
    more, fewer = set(new.outputs) - set(old.outputs), set(old.outputs) - set(new.outputs)
    for slots, verb in ((more, "held and so computed too"), (fewer, "not held any more")):
        if slots:
            return f"the result of {new.at(_maker(new, min(slots)))} is {verb}"
    if tuple(old.donated) != tuple(new.donated):
        return "the same operations, but other variables are assigned, or their former values held"
    return "the same operations on other variables or inputs"


def _added(old: Record, new: Record) -> str:
    """Operations that came, went, or took another's place; the first such change."""
    from difflib import SequenceMatcher

    was, now = old.names, new.names
    alike = 0
    while was[alike : alike + 1] == now[alike : alike + 1]:
        alike += 1
    matcher = SequenceMatcher(None, was[alike:], now[alike:], autojunk=False)
    changes = matcher.get_opcodes()
    kind, *ends = next(change for change in changes if change[0] != "equal")
    a, b, c, d = (end + alike for end in ends)
    after = f" after {new.at(c - 1)}" if c else " at the start"
    if kind == "insert":
        return f"{_listed(now[c:d])} more than in the nearest program, from {new.at(c)} on"
    if kind == "delete":
        return f"{_listed(was[a:b])} fewer than in the nearest program{after}"
    others = f" and {d - c - 1} more" if d - c > 1 else ""
    return f"{new.at(c)}{others}, where the nearest program has {_names(was[a:b])}"


def _listed(names: list[str]) -> str:
    return f"{len(names)} operation{'s' * (len(names) > 1)} ({_names(names)})"


def _names(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _instr_changed(old: Any, new: Any) -> str:
    if len(old.in_specs) != len(new.in_specs):
        return f"{len(old.in_specs)} → {len(new.in_specs)} operands"
    pairs = enumerate(zip(old.in_specs, new.in_specs, strict=True), 1)
    changes = [f"operand {k} {changed_spec(a, b)}" for k, (a, b) in pairs if a is not b]
    before, after = dict(old.params), dict(new.params)
    for name in {**before, **after}:
        a, b = before.get(name), after.get(name)
        if type(a) is not type(b) or a != b:
            a, b = brief(a), brief(b)
            changes.append(f"{name} {a} → {b}" if a != b else f"another {name}")
    if changes:
        return shortened(changes)
    return "another function of that name" if old.gradient is None else "of other operations"


def _maker(record: Record, slot: int) -> int:
    first = 0
    for k, node in enumerate(record.nodes):
        first += len(node[0].out_specs)
        if slot < first:
            return k
    return len(record.nodes) - 1


def toggles(old: Mapping[int, Any], new: Mapping[int, Any]) -> list[str]:
    """What of `trainable` differs, given what was toggled away from its first state each time."""
    both = {**old, **new}
    changed = [weak() for k, weak in both.items() if (k in old) != (k in new)]
    told = [
        f"trainable of {getattr(thing, 'path', None) or thing.name!r} "
        f"{not thing.trainable} → {thing.trainable}"
        for thing in changed
        if thing is not None
    ]
    return [shortened(told)] if told else ["trainable toggled"] if changed else []


def spec_text(spec: Spec) -> str:
    """A spec in words: `float32 (16, 4)`."""
    number = " of a Python number" if spec.weak else ""
    return f"{spec.dtype.name} {tuple(spec.shape)}{number}"


def changed_spec(old: Spec, new: Spec) -> str:
    """`float32 (16, 4) → (7, 4)`; the dtype is said again where it is another."""
    if old.dtype == new.dtype and old.weak == new.weak:
        return f"{spec_text(old)} → {tuple(new.shape)}"
    return f"{spec_text(old)} → {spec_text(new)}"


def shortened(parts: Sequence[str]) -> str:
    """The first four parts, and how many more there are."""
    rest = f" and {len(parts) - 4} more" if len(parts) > 4 else ""
    return ", ".join(parts[:4]) + rest


def brief(value: Any) -> str:
    """A value as text that fits a line."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
