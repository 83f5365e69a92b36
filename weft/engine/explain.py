"""What was compiled, and how it differs from the nearest program that was there already.

Notes go to stderr, a line for each program, while `weft.config.log_compiles` is on. Structures are
noted always, so that the first note after it is switched on knows what was compiled before.
"""

from __future__ import annotations

import sys
from collections import deque

from weft.engine.errors import user_line
from weft.engine.nearest import Record, nearest, operations_changed

__all__ = ["compiled", "count", "say", "watch"]

PENDING = "pending work"

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


def compiled(record: Record, seconds: float, why: str = "") -> None:
    """Count a program, remember its structure, and say what is new in it when asked to.

    Args:
        record: the program.
        seconds: what tracing, compiling and starting it took.
        why: how it differs from an earlier program of the same function, if there was one.
    """
    global _count
    _count += 1
    if _log:
        n = len(record.nodes)
        say(
            f"{record.what} {_reason(record, why)} (program {_count}: {n} "
            f"operation{'s' * (n != 1)}, {seconds:.2f} s; run at {user_line()})"
        )
    _recent.append(record)


def _reason(record: Record, why: str) -> str:
    if why:
        return f"compiled again: {why}"
    old = nearest(record, _recent)
    if old is None:
        return "compiled for the first time; nothing like it was before"
    change = operations_changed(old, record)
    if record.what == PENDING:
        return f"compiled: {change}"
    return f"compiled for the first time; unlike the nearest {record.what} before, {change}"


def say(text: str) -> None:
    """Print a note if notes are asked for."""
    if _log:
        print(f"weft: {text}", file=sys.stderr)
