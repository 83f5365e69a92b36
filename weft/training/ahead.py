"""`Ahead`: batches made and moved to the device by a thread, where that pays."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from time import perf_counter
from typing import Any

import jax

from weft.data.threads import WORTH_A_THREAD, prefetched

__all__ = ["Ahead"]

DEPTH = 2  # batches ready, beside the one in work
TRIALS = 2  # batches that are timed
# Handing a batch from thread to thread costs about 10 µs, and what the thread computes takes turns
# with the user's Python; a source that is quicker than this is read where it is needed.
SLOW = 200e-6  # seconds a batch


class Ahead:
    """Iterates over batches: in a thread of their own if making one takes long, else directly.

    The batches and their order are the same. The first few are timed; a run's later epochs know.
    The device computes while Python goes on, so that a thread gains where the loop waits for the
    device: a callback or a progress bar reads the logs, or the queue of steps is full.

    Args:
        to_device: whether the thread also moves batches to an accelerator.
    """

    def __init__(self, to_device: bool = True) -> None:
        self.to_device = to_device and jax.default_backend() != "cpu"
        self.pays: bool | None = None  # not known yet

    def __call__(self, items: Iterator[Any]) -> Iterator[Any]:
        if self.pays is None:
            costs = []
            began = perf_counter()
            for item in islice(items, TRIALS):
                costs.append(perf_counter() - began)
                yield item
                began = perf_counter()
            if len(costs) < TRIALS:
                return
            self.pays = min(costs) > SLOW or (self.to_device and _size(item) >= WORTH_A_THREAD)
        if self.pays:
            items = prefetched(map(jax.device_put, items) if self.to_device else items, DEPTH)
        yield from items


def _size(batch: Any) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(batch))
