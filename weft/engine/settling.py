"""A warning where shapes never settle: one step compiled for ever more sizes of one axis.

Looked at only when something is compiled. A dozen sizes that come again and again, as buckets do,
are no reason to warn: more than two thirds of the programs must not have been used again. (Of ten
sizes drawn at random one run in some hundreds warns, of fifty nearly every one.)
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from weft.engine.errors import from_outside
from weft.engine.signatures import leaf_names, part_text
from weft.engine.spec import Spec

__all__ = ["warn_of_keys", "warn_of_leaves"]

SIZES = 12  # of one axis, from which it counts as never settling


def warn_of_keys(
    name: str, python: Callable[..., Any], new: Any, before: Iterable[tuple[Any, bool]]
) -> bool:
    """Warn if a function's keys differ in the size of one axis, or one value, time and again.

    Args:
        name, python: the function's name and Python.
        new: the key that is compiled now.
        before: pairs (key, whether its program was used again).
    """
    kin = []
    for key, used in before:
        places = _places(key, new)
        if places and (len(places) == 1 or all(axis is not None for _, axis in places)):
            kin.append((key[2:], used, places))
    found = _restless(new[2:], kin)
    if found is None:
        return False
    (leaf, axis), seen = found
    argument = leaf_names(python, new[0])[leaf]
    if axis is None:
        text = (
            f"{name} has been compiled for {len(seen)} values of its argument {argument} "
            f"({_listed(seen)}), and each new value compiles it again: what is no tensor, array or "
            "float is part of the program. If it is a number, pass it as an array "
            f"(np.int32({argument}))."
        )
    else:
        text = (
            f"{name} has been compiled for {len(seen)} sizes of axis {axis} of {argument} "
            f"({_listed(seen)}), {_ADVICE}"
        )
    _warn(text)
    return True


def warn_of_leaves(
    operation: Callable[[int], str], new: Sequence[Any], before: Iterable[tuple[Any, bool]]
) -> bool:
    """The same for pending work: programs that differ only in the shapes of their inputs.

    Args:
        operation: the name of the operation that takes input k.
        new: the shapes of the inputs.
        before: pairs (shapes, whether its program was used again).
    """
    kin = [(old, used, places) for old, used in before if (places := _axes(old, new))]
    found = _restless(new, kin)
    if found is None:
        return False
    (leaf, axis), seen = found
    _warn(
        f"the operations run here have been compiled for {len(seen)} sizes of axis {axis} of what "
        f"{operation(leaf)} is given ({_listed(seen)}), {_ADVICE}"
    )
    return True


_ADVICE = (
    "and each new size compiles it again. Pad that axis to a few sizes (the next power of two, or "
    "buckets of like lengths), or drop the last short batch if it is the number of examples. "
    "weft.config.log_compiles(True) names each program as it is compiled."
)


def _restless(new: Any, kin: Sequence[tuple[Any, bool, Any]]) -> Any:
    """The place with the most values if they are many and seldom come again: (place, values)."""
    if len(kin) + 1 < SIZES or 3 * sum(used for _, used, _ in kin) >= len(kin):
        return None
    values: dict[Any, dict[Any, None]] = {}
    for parts, _, places in kin:
        for place in places:
            values.setdefault(place, {})[_at(parts, place)] = None
    place = max(values, key=lambda p: len(values[p]))
    seen = [*values[place], _at(new, place)]
    return (place, seen) if len(seen) >= SIZES else None


def _at(parts: Any, place: tuple[int, int | None]) -> Any:
    leaf, axis = place
    part = parts[leaf]
    if axis is None:
        return part_text(part)
    return (part.shape if isinstance(part, Spec) else part)[axis]


def _places(old: Any, new: Any) -> list[tuple[int, int | None]]:
    """Where two keys differ: (leaf, axis), or (leaf, None) for values; [] if in more than that."""
    if old[:2] != new[:2]:
        return []
    places: list[tuple[int, int | None]] = []
    for leaf, (a, b) in enumerate(zip(old[2:], new[2:], strict=True)):
        if a == b:
            continue
        if not isinstance(a, Spec) and not isinstance(b, Spec):
            places.append((leaf, None))
            continue
        if not (isinstance(a, Spec) and isinstance(b, Spec)):
            return []
        if (a.dtype, a.weak, len(a.shape)) != (b.dtype, b.weak, len(b.shape)):
            return []
        places += [(leaf, axis) for axis in range(len(a.shape)) if a.shape[axis] != b.shape[axis]]
    return places


def _axes(old: Any, new: Any) -> list[tuple[int, int]]:
    return [
        (leaf, axis)
        for leaf, (a, b) in enumerate(zip(old, new, strict=True))
        for axis in range(len(a))
        if a[axis] != b[axis]
    ]


def _listed(values: Sequence[Any]) -> str:
    shown = ", ".join(str(v) for v in values[-8:])
    return f"..., {shown}" if len(values) > 8 else shown


def _warn(text: str) -> None:
    level, frame = 1, sys._getframe(0)
    while frame is not None and not from_outside(frame):
        level, frame = level + 1, frame.f_back  # type: ignore[assignment]
    warnings.warn(text, UserWarning, stacklevel=level)
