"""Where the host's pipeline meets the engine: the only module of `weft.data` that knows tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from weft.data.nest import as_element, map_nest
from weft.data.spec import TEXT
from weft.engine import flush, host_tensor, isolated
from weft.engine.random import next_host_seed

__all__ = ["DatasetIterator", "call_on_tensors", "fresh_seed"]


class DatasetIterator:
    """One run through a data set, its arrays as tensors (text stays NumPy's).

    Asking for the next element first runs what is pending on this thread, so that a loop which
    only updates metrics is one program a batch.
    """

    def __init__(self, elements: Iterator[Any]) -> None:
        self._elements = elements

    def __iter__(self) -> DatasetIterator:
        return self

    def __next__(self) -> Any:
        flush()
        return map_nest(_tensor, next(self._elements))


def call_on_tensors(function: Callable[..., Any], element: Any) -> Any:
    """`function` of the element's tensors (a tuple's parts are its arguments), on the host again.

    Its operations are apart from what is pending around it, and are run before it returns.
    """
    with isolated():
        arguments = map_nest(_tensor, element)
        # A named tuple is one argument, as it has names to be taken apart by.
        made = function(*arguments) if type(element) is tuple else function(arguments)
        # A list is an array everywhere but here: `return [x, y]` means two values.
        return as_element(tuple(made) if isinstance(made, list) else made)


def fresh_seed() -> int:
    """A seed drawn from weft's global one."""
    return next_host_seed()


def _tensor(array: np.ndarray) -> Any:
    return array[()] if array.dtype.kind in TEXT else host_tensor(array)
