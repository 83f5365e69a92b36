"""The stages of a pipeline on the host.

A stage is an iterable of *items* that can be begun anew any number of times. Where it has `rows`,
its items are row numbers (see `weft.data.rows`) and only `elements` looks the rows up; elsewhere
items are the elements. Stages that merely choose or order (`Shuffle`, `Take`, `Repeat`, ...) do not
care which: they are written once, on items, and hand their parent's `rows` on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import chain, islice
from math import ceil
from typing import Any

import numpy as np

from weft.data.nest import describe, leaves, map_nest, stack, unlike
from weft.data.rows import Rows, ZipRows
from weft.data.spec import TensorSpec

__all__ = [
    "INFINITE", "UNKNOWN", "Batch", "Cache", "Concatenate", "Repeat", "Shard", "Shuffle", "Skip",
    "Source", "Stage", "Take", "Unbatch", "Zip",
]  # fmt: skip

INFINITE = -1
UNKNOWN = -2


class Stage:
    """One step of a pipeline; `parents` are the steps it reads from.

    Attributes:
        rows: what the items are the numbers of, or `None` where the items are the elements.
        size: the number of elements, `INFINITE` or `UNKNOWN`.
        runs_user_code: whether making an element calls a function of the user's.
    """

    rows: Rows | None = None
    size: int
    runs_user_code: bool

    def __init__(self, *parents: Stage) -> None:
        self.parents = parents
        self.size = parents[0].size if parents else UNKNOWN
        self.runs_user_code = any(parent.runs_user_code for parent in parents)

    def items(self) -> Iterator[Any]:
        """A new run through the items."""
        raise NotImplementedError

    def elements(self) -> Iterator[Any]:
        """A new run through the elements."""
        return self.items() if self.rows is None else map(self.rows.one, self.items())

    @property
    def spec(self) -> Any:
        """An element's nest of `TensorSpec`s."""
        return self.parents[0].spec

    def example(self) -> Any:
        """An element to learn shapes from; the order of later runs is as if it was never made."""
        return self.parents[0].example()


class Source(Stage):
    """All rows in order."""

    rows: Rows

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self.rows = rows
        self.size = rows.size

    def items(self) -> Iterator[Any]:
        return self.rows.numbers()

    @property
    def spec(self) -> Any:
        return self.rows.spec

    def example(self) -> Any:
        if not self.size:
            raise ValueError(
                "the data set has no elements, so what a function makes of them is unknown."
            )
        return self.rows.one(0)


# Choosing and ordering: on items, whatever they are ------------------------------------------


class Selection(Stage):
    """A stage whose items are some of its parent's."""

    def __init__(self, parent: Stage) -> None:
        super().__init__(parent)
        self.rows = parent.rows


class Shuffle(Selection):
    """Items drawn at random from a buffer that the parent keeps full (`buffer` None: all of it).

    Run k of a stage is ordered by the generator seeded with (seed, k), so a data set gives the
    same runs in every process.
    """

    def __init__(self, parent: Stage, buffer: int | None, seed: int, reshuffle: bool) -> None:
        super().__init__(parent)
        self.buffer, self.seed, self.reshuffle = buffer, seed % 2**64, reshuffle
        self.runs = 0

    def items(self) -> Iterator[Any]:
        rng = np.random.default_rng((self.seed, self.runs))
        self.runs += self.reshuffle
        return shuffled(self.parents[0].items(), self.buffer, rng)


def shuffled(items: Iterator[Any], size: int | None, rng: np.random.Generator) -> Iterator[Any]:
    """A buffer shuffle: an item leaves from a random slot and the next one takes its place.

    A buffer that holds everything gives every order with equal probability.
    """
    buffer = list(islice(items, size))
    more = len(buffer) == size
    while more:
        more = False
        for slot, item in zip(rng.integers(size, size=1024).tolist(), items, strict=False):
            more = True
            yield buffer[slot]
            buffer[slot] = item
    order = rng.permutation(len(buffer))
    for block in np.array_split(order, len(order) // 4096 + 1):
        yield from map(buffer.__getitem__, block.tolist())


class Take(Selection):
    """The first `count` items."""

    def __init__(self, parent: Stage, count: int) -> None:
        super().__init__(parent)
        self.count = None if count < 0 else count
        if count >= 0 and self.size != UNKNOWN:
            self.size = count if self.size == INFINITE else min(self.size, count)

    def items(self) -> Iterator[Any]:
        return islice(self.parents[0].items(), self.count)


class Skip(Selection):
    """All but the first `count` items; none at all for a negative count."""

    def __init__(self, parent: Stage, count: int) -> None:
        super().__init__(parent)
        self.count = count
        if self.size >= 0:
            self.size = max(self.size - count, 0) if count >= 0 else 0

    def items(self) -> Iterator[Any]:
        return iter(()) if self.count < 0 else islice(self.parents[0].items(), self.count, None)


class Shard(Selection):
    """Every `num_shards`-th item, beginning with item `index`."""

    def __init__(self, parent: Stage, num_shards: int, index: int) -> None:
        super().__init__(parent)
        self.num_shards, self.index = num_shards, index
        if self.size >= 0:
            self.size = ceil(max(self.size - index, 0) / num_shards)

    def items(self) -> Iterator[Any]:
        return islice(self.parents[0].items(), self.index, None, self.num_shards)


class Repeat(Selection):
    """`count` runs through the parent; without end if negative, or until a run is empty."""

    def __init__(self, parent: Stage, count: int) -> None:
        super().__init__(parent)
        self.count = count
        if count == 0 or self.size == 0:
            self.size = 0
        elif count < 0:
            self.size = INFINITE
        elif self.size > 0:
            self.size *= count

    def items(self) -> Iterator[Any]:
        if self.count >= 0:
            return chain.from_iterable(self.parents[0].items() for _ in range(self.count))
        return self._endless()

    def _endless(self) -> Iterator[Any]:
        empty = False
        while not empty:
            empty = True
            for item in self.parents[0].items():
                empty = False
                yield item


class Cache(Selection):
    """Keeps the items of the first run that reached its end."""

    def __init__(self, parent: Stage) -> None:
        super().__init__(parent)
        self.kept: list[Any] | None = None

    def items(self) -> Iterator[Any]:
        return iter(self.kept) if self.kept is not None else self._keep()

    def _keep(self) -> Iterator[Any]:
        kept = []
        for item in self.parents[0].items():
            if self.rows is None:
                for _, array in leaves(item):
                    array.flags.writeable = False  # a reader's change would be in every later run
            kept.append(item)
            yield item
        self.kept = kept


# Making elements -----------------------------------------------------------------------------


class Batch(Stage):
    """Consecutive elements stacked: one gather a leaf from rows, else a copy an element."""

    def __init__(self, parent: Stage, batch_size: int, drop_remainder: bool) -> None:
        super().__init__(parent)
        self.batch_size, self.drop_remainder = batch_size, drop_remainder
        if self.size >= 0:
            self.size = self.size // batch_size if drop_remainder else ceil(self.size / batch_size)

    def items(self) -> Iterator[Any]:
        rows = self.parents[0].rows
        items = self.parents[0].items()
        return self._stacked(items) if rows is None else map(rows.many, self._chunks(items))

    def _chunks(self, items: Iterator[Any]) -> Iterator[list[Any]]:
        least = self.batch_size if self.drop_remainder else 1
        while len(chunk := list(islice(items, self.batch_size))) >= least:
            yield chunk

    def _stacked(self, elements: Iterator[Any]) -> Iterator[Any]:
        for number, chunk in enumerate(self._chunks(elements)):
            yield stack(chunk, number * self.batch_size)

    @property
    def spec(self) -> Any:
        size = self.batch_size if self.drop_remainder else None
        return map_nest(
            lambda s: s if s.shape is None else TensorSpec((size, *s.shape), s.dtype),
            self.parents[0].spec,
        )

    def example(self) -> Any:
        return stack([self.parents[0].example()] * self.batch_size, 0)


class Unbatch(Stage):
    """The rows of each element, one after the other."""

    def __init__(self, parent: Stage) -> None:
        super().__init__(parent)
        if self.size >= 0:
            # A user's function is not run to learn the length.
            spec = None if self.runs_user_code else next(leaves(parent.spec))[1]
            known = spec is not None and spec.shape and spec.shape[0] is not None
            self.size = self.size * spec.shape[0] if known else UNKNOWN

    def items(self) -> Iterator[Any]:
        for number, element in enumerate(self.parents[0].elements()):
            sizes = {array.shape[:1] for _, array in leaves(element)}
            if len(sizes) != 1 or () in sizes:
                raise ValueError(
                    "unbatch: the arrays of an element must have one number of rows (first "
                    f"dimension), but element {number} is {describe(element)}."
                )
            for k in range(*sizes.pop()):
                yield map_nest(lambda a: np.asarray(a[k]), element)  # noqa: B023 (called at once)

    @property
    def spec(self) -> Any:
        def row(spec: TensorSpec) -> TensorSpec:
            if spec.shape == ():
                raise ValueError(
                    "unbatch: the elements have scalars, which have no rows: "
                    f"{describe(self.parents[0].spec)}."
                )
            return TensorSpec(spec.shape and spec.shape[1:], spec.dtype)

        return map_nest(row, self.parents[0].spec)

    def example(self) -> Any:
        return map_nest(lambda a: np.asarray(a[0]), self.parents[0].example())


class Zip(Stage):
    """Elements side by side in the structure that `pack` gives them, as long as the shortest."""

    def __init__(self, parents: list[Stage], pack: Callable[[Sequence[Any]], Any]) -> None:
        super().__init__(*parents)
        self.pack = pack
        sizes = [parent.size for parent in parents]
        finite = [size for size in sizes if size != INFINITE]
        self.size = UNKNOWN if UNKNOWN in sizes else min(finite, default=INFINITE)
        rows = [parent.rows for parent in parents if parent.rows is not None]
        self.rows = ZipRows(rows, pack) if len(rows) == len(parents) else None

    def items(self) -> Iterator[Any]:
        if self.rows is not None:
            return zip(*(parent.items() for parent in self.parents), strict=False)
        return map(self.pack, zip(*(parent.elements() for parent in self.parents), strict=False))

    @property
    def spec(self) -> Any:
        return self.pack([parent.spec for parent in self.parents])

    def example(self) -> Any:
        return self.pack([parent.example() for parent in self.parents])


class Concatenate(Stage):
    """One data set after the other."""

    def __init__(self, first: Stage, second: Stage) -> None:
        super().__init__(first, second)
        if not (first.runs_user_code or second.runs_user_code):
            _ = self.spec  # a mistake is told where it is made, unless functions would have to run
        sizes = (first.size, second.size)
        if INFINITE in sizes:
            self.size = INFINITE
        else:
            self.size = UNKNOWN if UNKNOWN in sizes else sum(sizes)

    def items(self) -> Iterator[Any]:
        return chain.from_iterable(parent.elements() for parent in self.parents)

    @cached_property
    def spec(self) -> Any:
        first, second = (parent.spec for parent in self.parents)
        if unlike(first, second) or any(
            a.dtype != b.dtype for (_, a), (_, b) in zip(leaves(first), leaves(second), strict=True)
        ):
            raise TypeError(
                "concatenate: both data sets must have elements of one structure and dtype, but "
                f"they have {describe(first)} and {describe(second)}."
            )
        return map_nest(TensorSpec.merged, first, second)
