"""`ArraySource`: batches of whole arrays, as they are or in a new order each epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from weft.training.arrays import check_lengths, packed, unpack
from weft.training.by_row import Filled, filled
from weft.training.source import OrderedSource

__all__ = ["ArraySource"]


class ArraySource(OrderedSource):
    """Batches of whole arrays: slices, or gathers in a new order each pass.

    Args:
        data: `(x,)`, `(x, y)` or `(x, y, sample_weight)`, nests of host arrays.
        batch_size: examples a batch; the last one has what is left.
        shuffle: whether each pass has a new order of examples; "batch": of whole batches of
            neighbours, a shorter last one staying last.
        steps, continuing, to_device: as for `Source`.

    Attributes:
        fill: whether a shorter last batch is filled up; all batches are `Filled` then.
    """

    def __init__(
        self,
        data: tuple[Any, ...],
        batch_size: int,
        shuffle: bool | str = False,
        steps: int | None = None,
        continuing: bool = False,
        to_device: bool = True,
    ) -> None:
        super().__init__(shuffle, steps, continuing, to_device)
        self.n = check_lengths(data)
        self.targets = unpack(data)[1]
        self.leaves, self.tree = jax.tree.flatten(packed(data))
        self.batch_size = batch_size
        self.size = -(-self.n // batch_size)
        if steps is not None:
            self.size = min(steps, self.size)
        self.rows = min(self.n, self.size * batch_size)
        self.fill = False

    def fill_up(self, may: Callable[[], bool]) -> None:
        """Fill up a shorter last batch, if there is one and it `may` be."""
        if self.n > self.batch_size and self.n % self.batch_size:
            self.fill = may()

    def start(self) -> Iterator[Any]:
        size, leaves, unflatten = self.batch_size, self.leaves, self.tree.unflatten
        order, fill, whole = self._order(), self.fill, np.asarray(self.batch_size, "int32")
        for start in range(self.index * size, self.n, size):
            rows: Any = slice(start, start + size)
            if order is not None:
                rows = order[rows]
            parts = [leaf[rows] for leaf in leaves]
            if not fill:
                yield unflatten(parts)
            elif start + size <= self.n:
                yield Filled(unflatten(parts), whole)
            else:
                parts = [filled(part, size) for part in parts]
                yield Filled(unflatten(parts), np.asarray(self.n - start, "int32"))

    def _order(self) -> np.ndarray[Any, Any] | None:
        """The numbers of the rows in the order of this pass; None: as they are."""
        if not self.shuffle:
            return None
        rng = self.rng()
        if self.shuffle != "batch":
            return rng.permutation(self.n)
        whole = self.n // self.batch_size * self.batch_size
        blocks = rng.permutation(np.arange(whole).reshape(-1, self.batch_size))
        return np.concatenate([blocks.ravel(), np.arange(whole, self.n)])

    def describe(self) -> str:
        return "the arrays"
