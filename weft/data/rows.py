"""Rows: data whose elements are told apart by a number, so that a batch is one gather.

A `Rows` turns a row's number into an element (`one`), and a list of numbers into a batch (`many`).
Zipped rows have tuples of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np

from weft.data.nest import describe, describe_value, leaves, map_nest
from weft.data.spec import TensorSpec

__all__ = ["ArrayRows", "RangeRows", "Rows", "ZipRows"]


class Rows:
    """What an element's number stands for."""

    size: int  # -1 where the numbers never end
    spec: Any  # an element's nest of `TensorSpec`s

    def numbers(self) -> Iterator[Any]:
        """All numbers in order."""
        return iter(range(self.size)) if self.size >= 0 else count()

    def one(self, number: Any) -> Any:
        """The element with this number, in memory of its own."""
        raise NotImplementedError

    def many(self, numbers: Sequence[Any]) -> Any:
        """The elements with these numbers, stacked, in memory of their own."""
        raise NotImplementedError


class ArrayRows(Rows):
    """The rows of a nest of arrays with equal leading dimensions."""

    def __init__(self, arrays: Any) -> None:
        sizes = {}
        for path, array in leaves(arrays):
            if not array.ndim:
                raise ValueError(
                    f"from_tensor_slices: {path or 'the value'} is a scalar ({array.dtype.name}), "
                    "which has no rows. Use from_tensors for a data set of one element."
                )
            sizes[path] = len(array)
        if not sizes:
            raise ValueError(
                f"a data set's elements need at least one array, got {describe_value(arrays)}."
            )
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{path} has {size}" for path, size in sizes.items())
            raise ValueError(
                "from_tensor_slices: the arrays must have one number of rows (first dimension), "
                f"but {listed}; all of it: {describe(arrays)}."
            )
        self.arrays = arrays
        self.size = next(iter(sizes.values()))
        self.spec = map_nest(lambda a: TensorSpec(a.shape[1:], a.dtype), arrays)

    def one(self, number: int) -> Any:
        return map_nest(lambda a: np.array(a[number]), self.arrays)

    def many(self, numbers: Sequence[int]) -> Any:
        index = np.fromiter(numbers, np.intp, len(numbers))
        # Not `take`, which first copies the whole of an array that is not in C order.
        return map_nest(lambda a: a[index], self.arrays)


class RangeRows(Rows):
    """start, start + step, ... as int64; `size` -1 for no end."""

    def __init__(self, start: int, step: int, size: int) -> None:
        self.start, self.step, self.size = start, step, size
        self.spec = TensorSpec((), np.int64)

    def one(self, number: int) -> np.ndarray:
        return np.array(self.start + self.step * number, np.int64)

    def many(self, numbers: Sequence[int]) -> np.ndarray:
        return self.start + self.step * np.fromiter(numbers, np.int64, len(numbers))


class ZipRows(Rows):
    """Rows side by side, packed into a nest by `pack`."""

    def __init__(self, parts: list[Rows], pack: Callable[[Sequence[Any]], Any]) -> None:
        self.parts, self.pack = parts, pack

    def one(self, number: tuple[Any, ...]) -> Any:
        return self.pack([rows.one(k) for rows, k in zip(self.parts, number, strict=True)])

    def many(self, numbers: Sequence[tuple[Any, ...]]) -> Any:
        columns = zip(*numbers, strict=True)
        return self.pack([rows.many(c) for rows, c in zip(self.parts, columns, strict=True)])
