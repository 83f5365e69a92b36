"""Work ahead of the reader: functions in several threads, and a whole pipeline in one.

Grain has both for random-access data, with 0.4 s of imports; functions over any stream run on the
standard library's threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from itertools import islice
from queue import Empty, Queue
from threading import Event, Thread
from time import monotonic
from typing import Any

from weft.data.nest import leaves
from weft.data.stages import Selection, Stage

__all__ = ["WORTH_A_THREAD", "Prefetch", "in_order", "prefetched", "run_ahead"]

# Below this a gather costs less than handing its result from thread to thread (14 µs).
WORTH_A_THREAD = 2**19  # bytes
PATIENCE = 5.0  # seconds that a reader who stops waits for the item in work


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
    """`items`, of which a thread keeps up to `depth` ready; it ends with the iterator.

    What `items` raises is raised here when its turn comes, with its own traceback. A reader that
    stops waits for the item in work, but not for ever: one that never comes must not keep Ctrl-C
    from ending a program.
    """
    ready: Queue[tuple[Any, BaseException | None]] = Queue(depth)
    stopped = Event()

    def fill() -> None:
        end: BaseException = StopIteration()
        try:
            for item in items:
                ready.put((item, None))
                if stopped.is_set():
                    return
        except BaseException as error:
            end = error
        ready.put((None, end))

    thread = Thread(target=fill, name="weft-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is None:
                yield item
            elif isinstance(error, StopIteration):
                return
            elif isinstance(error, Exception):
                raise error
            else:  # what would end a thread must not end the reader's
                raise RuntimeError(f"prefetch: {type(error).__name__} in the pipeline") from error
    finally:
        stopped.set()
        deadline = monotonic() + PATIENCE
        while thread.is_alive() and monotonic() < deadline:
            with suppress(Empty):  # make room, so that it comes to see that it is to stop
                ready.get_nowait()
            thread.join(0.01)


def run_ahead(
    function: Callable[..., Any], calls: Iterator[tuple[Any, ...]], threads: int
) -> Iterator[Any]:
    """`function(*args)` for each of `calls`, in their order, run in up to `threads` threads."""
    with ThreadPoolExecutor(threads, "weft-map") as pool:
        yield from in_order(pool, lambda args: function(*args), calls, 2 * threads)


def in_order(
    pool: Executor, function: Callable[[Any], Any], arguments: Iterator[Any], depth: int
) -> Iterator[Any]:
    """`function` of each argument in their order, computed in a pool, `depth` of them ahead."""
    waiting = deque(pool.submit(function, each) for each in islice(arguments, max(depth, 1)))
    try:
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(function, each) for each in islice(arguments, 1))
            yield result
    finally:
        for future in waiting:
            future.cancel()
