"""The heaps in which HDF5 files keep texts, checked before the HDF5 library walks along them.

A heap is "GCOL", a version, its size, and objects one after the other, each with its number and
size: 16 bytes and the content for those that are used, and a number 0 for the space that is left.
The library does not end where the space that is left has no size.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

__all__ = ["check_heaps"]

_MARK = b"GCOL\x01"
_HEAD = 16
_CHUNK = 4 * 2**20
_MAX_STEPS = 1_000_000


def check_heaps(file: Any, size: int, where: str) -> None:
    """Refuse a file with a heap that has no end.

    Args:
        file: a path or a file object.
        size: of the file in bytes.
        where: what to call it in messages.

    Raises:
        ValueError: there is one.
    """
    if isinstance(file, str | os.PathLike):
        with open(file, "rb") as opened:
            check_heaps(opened, size, where)
        return
    steps = 0
    for start in _marked(file, size):
        end = start + int.from_bytes(_at(file, start + 8, 8), "little")
        place = start + _HEAD
        while place + _HEAD <= end <= size:
            head = _at(file, place, _HEAD)
            number, content = (int.from_bytes(head[i:j], "little") for i, j in ((0, 2), (8, 16)))
            length = _HEAD + -(-content // 8) * 8 if number else content
            steps += 1
            if not 0 < length <= end - place or steps > _MAX_STEPS:
                raise ValueError(f"{where} is damaged (a heap of texts at byte {start}).")
            place += length


def _marked(file: Any, size: int) -> Iterator[int]:
    """Where heaps begin, or what looks so."""
    for start in range(0, size, _CHUNK):
        chunk = _at(file, start, _CHUNK + len(_MARK) - 1)
        found = chunk.find(_MARK)
        while found >= 0:
            yield start + found
            found = chunk.find(_MARK, found + 1)


def _at(file: Any, place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)  # type: ignore[no-any-return]
