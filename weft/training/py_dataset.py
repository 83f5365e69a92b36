"""`PyDataset`: batches by number, made by a user's Python in one thread, several, or processes."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from itertools import count, islice
from multiprocessing import get_context
from threading import Thread
from typing import Any

from weft.data import threads
from weft.data.threads import in_order
from weft.training.iterable_source import prepared, refuse_empty
from weft.training.source import OrderedSource

__all__ = ["PyDataset", "PyDatasetSource"]


class PyDataset:
    """Data as batches by number: `dataset[i]` makes batch i. Subclass it.

    `fit` asks for the batches of an epoch in a new order (`shuffle=True`) or in theirs, each of
    them once, and calls `on_epoch_begin` before and `on_epoch_end` after.

    Args:
        workers: how many batches are made at a time. With one, a thread makes them ahead where
            that takes long.
        use_multiprocessing: whether workers are processes instead of threads, which pays where
            Python itself computes. Processes are started afresh (not forked: JAX has threads), so
            the data set must be picklable and its class importable: in a script, start training
            under `if __name__ == "__main__":`.
        max_queue_size: how many batches the workers may have ready.

    A subclass defines:
        __getitem__(index): batch `index`: `x`, `(x, y)` or `(x, y, sample_weight)`, nests of
            arrays. Several threads may call it at a time if there are several workers.
        __len__(): the number of batches; or the property `num_batches`, None for no end (`fit`
            then needs `steps_per_epoch`).
        on_epoch_begin(), on_epoch_end(): optional.

    Example:
        >>> import numpy as np, weft
        >>> class Squares(weft.utils.PyDataset):
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, index):
        ...         x = np.arange(4.0)[:, None] + 4 * index
        ...         return x, x**2
        >>> [float(y.sum()) for x, y in Squares()]
        [14.0, 126.0, 366.0]
    """

    workers: int = 1
    use_multiprocessing: bool = False
    max_queue_size: int = 10

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        """Batch `index`."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(self, index).")

    @property
    def num_batches(self) -> int | None:
        """The number of batches an epoch, None for no end."""
        if not hasattr(self, "__len__"):
            raise NotImplementedError(
                f"{type(self).__name__} must define __len__(self), the number of batches, or the "
                "property num_batches (None for no end)."
            )
        return len(self)

    def __iter__(self) -> Iterator[Any]:
        """The batches in their order, made here and now."""
        number = self.num_batches
        return (self[index] for index in (count() if number is None else range(number)))

    def on_epoch_begin(self) -> None:
        """Called before each epoch's first batch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch's last batch."""


class PyDatasetSource(OrderedSource):
    """The batches of a `PyDataset`, in their order or, each pass, a new one.

    Args:
        data: the data set.
        shuffle: whether the batches' order is drawn anew.
        steps, continuing, to_device: as for `Source`.
        weighting: a function of a batch that adds class weights.
    """

    def __init__(
        self,
        data: Any,
        shuffle: bool | str = False,
        steps: int | None = None,
        continuing: bool = False,
        to_device: bool = True,
        weighting: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(shuffle, steps, continuing, to_device)
        self.data, self.weighting = data, weighting
        self.size = self._number()
        if self.size is None and steps is None:
            raise ValueError(
                f"{self.describe()} has num_batches None, no end: say how many batches are an "
                "epoch (steps_per_epoch in fit, validation_steps, or steps)."
            )
        if self.size is None or (steps is not None and steps < self.size):
            self.size = steps
        refuse_empty(self)
        self._processes: tuple[bytes, Executor] | None = None

    def _number(self) -> int | None:
        return self.data.num_batches if hasattr(self.data, "num_batches") else len(self.data)

    def start(self) -> Iterator[Any]:
        return prepared(self._items(), self.weighting, fresh=False)

    def _items(self) -> Iterator[Any]:
        data, number = self.data, self._number()
        order: Any = count() if number is None else range(number)
        if self.shuffle and number is not None:
            order = self.rng().permutation(number).tolist()
        order = islice(order, self.index, None)
        workers = getattr(data, "workers", 1)
        if workers > 0 and getattr(data, "use_multiprocessing", False):
            pool = self._processes_for(data, workers)
            try:
                yield from in_order(pool, _of_process, order, data.max_queue_size)
            except BrokenExecutor as error:
                raise RuntimeError(
                    f"a worker process of {self.describe()} ended. Processes are started afresh: "
                    "the data set's class must be in a module that can be imported (not typed in "
                    'at a prompt), and a script must train under `if __name__ == "__main__":`. '
                    "Otherwise set use_multiprocessing=False."
                ) from error
        elif workers > 1:
            pool = ThreadPoolExecutor(workers, "weft-data")
            try:
                yield from in_order(pool, data.__getitem__, order, data.max_queue_size)
            finally:
                end(pool)
        else:
            for index in order:  # no map, which a StopIteration of __getitem__ would end quietly
                yield data[index]

    def _processes_for(self, data: Any, workers: int) -> Executor:
        """A pool of processes that have the data set as it is now; kept while that stays so."""
        try:
            content = pickle.dumps(data)
        except Exception as error:
            raise ValueError(
                f"{self.describe()} cannot be pickled ({error}), so processes cannot have it: set "
                "use_multiprocessing=False, or keep what cannot be pickled out of its attributes."
            ) from error
        if self._processes is None or self._processes[0] != content:
            self._end_processes()
            pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin_process, (content,))
            self._processes = content, pool
        return self._processes[1]

    def _end_processes(self) -> None:
        if self._processes is not None:
            end(self._processes[1])
            self._processes = None

    def _epoch(self) -> Iterator[Any]:
        getattr(self.data, "on_epoch_begin", _nothing)()  # Keras 2's has none
        yield from super()._epoch()
        self.data.on_epoch_end()

    def close(self) -> None:
        super().close()
        self._end_processes()

    def describe(self) -> str:
        return f"the PyDataset {type(self.data).__name__}"


def _nothing() -> None:
    pass


def end(pool: Executor) -> None:
    """End a pool, waiting for the batches in work, but no longer than a reader would.

    One that never comes must not keep Ctrl-C from ending a program.
    """
    ending = Thread(
        target=pool.shutdown, kwargs={"cancel_futures": True}, name="weft-end", daemon=True
    )
    ending.start()
    ending.join(threads.PATIENCE)


_mine: Any = None  # in a worker process: its copy of the data set


def _begin_process(content: bytes) -> None:
    global _mine
    _mine = pickle.loads(content)


def _of_process(index: int) -> Any:
    return _mine[index]
