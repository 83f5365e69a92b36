"""What was compiled, and how it differs from the nearest program that was there already."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["compiled", "count", "difference", "watch"]


@dataclass(frozen=True)
class Record:
    """A compiled program: its operations as text, with the user's lines when they are known."""

    what: str
    ops: tuple[str, ...]
    names: tuple[str, ...]
    lines: tuple[str, ...]


_recent: deque[Record] = deque(maxlen=128)
_count = 0
_log = False


def count() -> int:
    """How many programs weft has compiled in this process."""
    return _count


def watch(on: bool) -> None:
    """Print a note for each program compiled from now on."""
    global _log
    _log = on


def compiled(
    what: str,
    nodes: Sequence[tuple[Any, ...]],
    lines: Sequence[str] | None,
    arrays: Sequence[Any],
    seconds: float,
) -> None:
    """Count a program, remember its structure, and say what is new in it when asked to."""
    global _count
    _count += 1
    if not _log:
        return
    record = Record(
        what,
        tuple(repr(node[0]) for node in nodes),
        tuple(node[0].name for node in nodes),
        tuple(lines or ()),
    )
    reason = difference(record)
    _recent.append(record)
    print(
        f"weft: compiled program {_count} ({what}, {len(nodes)} operations, {seconds:.2f} s): "
        f"{reason}",
        file=sys.stderr,
    )


def difference(new: Record) -> str:
    """In words, the first difference between a program and the nearest one compiled before."""
    from difflib import SequenceMatcher  # slow to import, and seldom needed

    best, score = None, (0.3, 0)
    for old in _recent:
        if old.what == new.what:
            ratio = SequenceMatcher(None, old.names, new.names, autojunk=False).ratio()
            found = (ratio, sum(a == b for a, b in zip(old.ops, new.ops, strict=False)))
            if found >= score:
                best, score = old, found
    if best is None:
        return "nothing like it was compiled before" + _place(new, 0)
    for k, (was, now) in enumerate(zip(best.ops, new.ops, strict=False)):
        if was != now:
            if best.names[k] == new.names[k]:
                return f"{_place(new, k, bare=True)}{now}, where the nearest program has {was}"
            return (
                f"{_place(new, k, bare=True)}operation {k + 1} is {now}, "
                f"where the nearest program has {was}"
            )
    if len(best.ops) != len(new.ops):
        short = min(len(best.ops), len(new.ops))
        if len(new.ops) > short:
            more = f"{len(new.ops) - short} more operations than the nearest program"
            return f"{_place(new, short, bare=True)}{more}, from {new.ops[short]} on"
        return (
            f"{len(best.ops) - short} fewer operations than the nearest program, "
            f"which goes on with {best.ops[short]}"
        )
    return (
        "the same operations as the nearest program, wired differently or with other results "
        "kept (a tensor held in one case and dropped in the other)" + _place(new, len(new.ops) - 1)
    )


def _place(record: Record, k: int, bare: bool = False) -> str:
    if 0 <= k < len(record.lines):
        return f"{record.lines[k]}: " if bare else f", at {record.lines[k]}"
    return ""
