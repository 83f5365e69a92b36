"""Work ahead of the reader: functions in several threads, and a whole pipeline in one.

Grain prefetches. It maps in parallel over random-access data only, so functions over any stream
run on the standard library's pool.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from typing import Any

from weft.data.nest import leaves
from weft.data.stages import Selection, Stage

__all__ = ["Prefetch", "run_ahead"]

# Below this a gather costs less than handing its result from thread to thread (14 µs).
WORTH_A_THREAD = 2**19  # bytes


class Prefetch(Selection):
    """Keeps `depth` elements ready, made in a thread of their own.

    Row numbers, and small gathers from arrays, cost less than handing them over: they are made
    when asked for.
    """

    def __init__(self, parent: Stage, depth: int) -> None:
        super().__init__(parent)
        self.depth = depth

    def items(self) -> Iterator[Any]:
        items = self.parents[0].items()
        return prefetched(items, self.depth) if self._worth_a_thread else items

    @cached_property
    def _worth_a_thread(self) -> bool:
        if self.rows is not None or not self.depth or not self.size:
            return False
        if self.runs_user_code:
            return True
        return sum(array.nbytes for _, array in leaves(self.example())) >= WORTH_A_THREAD


def prefetched(items: Iterator[Any], depth: int) -> Iterator[Any]:
    """`items`, of which a thread keeps up to `depth` ready; it ends with the iterator."""
    from grain.experimental import ThreadPrefetchDatasetIterator

    ahead = ThreadPrefetchDatasetIterator(_GrainSource(items), depth)
    try:
        while True:
            try:
                item = next(ahead)
            except StopIteration:
                return
            yield item
    finally:
        ahead.close()


class _GrainSource:
    """An iterator with the position that Grain asks for; weft's positions are kept elsewhere."""

    def __init__(self, items: Iterator[Any]) -> None:
        self.items = items

    def __next__(self) -> Any:
        try:
            return next(self.items)
        except Exception:
            raise
        except BaseException as error:  # Grain's thread would die of it and its reader wait
            raise RuntimeError(f"prefetch: {type(error).__name__} in the pipeline") from error

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        raise NotImplementedError("a weft pipeline is begun anew, not set to a position")


def run_ahead(
    function: Callable[..., Any], calls: Iterator[tuple[Any, ...]], threads: int
) -> Iterator[Any]:
    """`function(*args)` for each of `calls`, in their order, run in up to `threads` threads."""
    with ThreadPoolExecutor(threads, "weft-map") as pool:
        waiting = deque(pool.submit(function, *args) for args in islice(calls, 2 * threads))
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, *args) for args in islice(calls, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()
