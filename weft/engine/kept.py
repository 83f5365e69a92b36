"""What is compiled is kept, up to a bound: an executable takes megabytes, and memory mappings."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

__all__ = ["make_room"]


def make_room(kept: OrderedDict[Any, Any], size: int) -> None:
    """Make room for one more of `size`: the oldest go first of those not used since the last call.

    An entry's attribute `used` is set by whoever finds it. (An order kept at each use would hash
    its key, a whole program's structure, once more.)
    """
    while len(kept) >= size:
        key, entry = kept.popitem(last=False)
        if entry.used:
            entry.used = False
            kept[key] = entry
