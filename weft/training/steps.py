"""A model's step functions: one compiled step, or several in one program, for each call."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import jax
import numpy as np

from weft.engine import Function, Tensor, ValueNeededError, config, flush
from weft.engine.loops import repeated
from weft.engine.operators import getitem
from weft.training.by_row import Filled, counting
from weft.training.joined import Joined
from weft.training.kept import Before, Kept

__all__ = ["Batches", "StepFunction"]


def _left(made: tuple[Any, Kept, list[Tensor]]) -> Any:
    """A step's result, once what it keeps is in its places."""
    result, kept, tensors = made
    if kept:
        kept.put(tensors)
    return result


class Batches:
    """An iterator over batches that knows whether there is another, and how many were taken."""

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches = iter(batches)
        self._next: list[Any] = []
        self.taken = 0
        self.missing = 0  # how many of the rows of the last one taken were filled up

    def more(self) -> bool:
        """Whether another batch comes; it is fetched by this."""
        if not self._next:
            self._next.extend(islice(self._batches, 1))
        return bool(self._next)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        batch = self._next.pop() if self._next else next(self._batches)
        self.taken += 1
        if batch.__class__ is Filled:
            self.missing = jax.tree.leaves(batch.data)[0].shape[0] - int(batch.rows)
        return batch


def _stacked(group: Sequence[Any], places: int) -> tuple[Any, int]:
    """Batches as one nest of arrays with a place for each, and how many of the first it holds.

    Those that are shaped as the first one are taken, up to one that is not. Places that are left
    are filled with the last batch, and not gone through.
    """
    first, tree = jax.tree.flatten(group[0])
    rows = [first]
    for batch in group[1:]:
        leaves, other = jax.tree.flatten(batch)
        if other != tree or [a.shape for a in leaves] != [a.shape for a in first]:
            break
        rows.append(leaves)
    alike = len(rows)
    rows += rows[-1:] * (places - alike)
    return tree.unflatten([np.stack(each) for each in zip(*rows, strict=True)]), alike


class StepFunction:
    """One of a model's steps as a function of an iterator over batches, compiled where it can be.

    A call takes one batch, or up to `steps` batches, which one program goes through; it returns
    what the step returned for the last of them. The program is the same however many batches
    there are, so the end of an epoch compiles nothing.

    Args:
        python: the step, a function of a batch.
        name: for messages.
        lazily: whether the step's Python is run each time. It also is once it has asked for a
            tensor's value, with a warning.
        steps: batches in one call.
        layers: gives the layers on whose attributes the step may keep tensors.
    """

    # Batches in one program of `gather`, least of what these allow: for where little is done.
    TOGETHER, ROWS, BYTES = 16, 4096, 1 << 20

    def __init__(
        self,
        python: Callable[..., Any],
        name: str,
        lazily: bool = False,
        steps: int = 1,
        layers: Callable[[], Sequence[Any]] = lambda: (),
    ) -> None:
        self.name, self.lazily, self.steps = name, lazily, steps
        self._python = python
        self.layers = layers
        self.function = Function(self._one, name)
        self.several = Function(self._several, name)
        self.gathering = Function(partial(self._several, stacked=True), name)

    def python(self, batch: Any) -> Any:
        """The step as Python, on a nest of tensors."""
        if batch.__class__ is not Filled:
            return self._python(batch)
        with counting(batch):
            return self._python(batch.data)

    def __call__(self, batches: Iterator[Any]) -> Any:
        if self.steps == 1:
            return self.run(next(batches))
        group = list(islice(batches, self.steps))
        if not group:
            raise StopIteration
        return self.run_all(group)

    def run(self, batch: Any) -> Any:
        """One step on a nest of arrays."""
        if not self.lazily and not config.is_eager():
            try:
                return _left(self.function.run_arrays(batch))
            except ValueNeededError as error:
                self._give_up(error)
        result = self.python(jax.tree.map(Tensor, batch))
        flush()
        return result

    def run_all(self, group: list[Any]) -> Any:
        """Steps on each of several batches; those at the end that have another shape one by one."""
        result: Any = None
        done = 0
        if not self.lazily and not config.is_eager():
            stacked, alike = _stacked(group, self.steps)
            try:
                result = _left(self.several.run_arrays(stacked, np.int32(alike)))
                done = alike
            except ValueNeededError as error:
                self._give_up(error)
        for batch in group[done:]:
            result = self.run(batch)
        return result

    def together(self, batch: Any) -> int:
        """How many batches like this one `gather` takes: the smaller they are, the more."""
        leaves = jax.tree.leaves(batch)
        rows, size = leaves[0].shape[0], sum(leaf.nbytes for leaf in leaves)
        return max(1, min(self.TOGETHER, self.ROWS // max(rows, 1), self.BYTES // max(size, 1)))

    def gather(self, batches: Batches, joined: Joined) -> None:
        """Steps on the next batches, as many as are worth one program; all results are `joined`."""
        group = list(islice(batches, 1))
        places = self.together(group[0])
        group += islice(batches, places - 1)
        done = 0
        if places > 1 and not self.lazily and not config.is_eager():
            stacked, done = _stacked(group, places)
            try:
                made = self.gathering.run_arrays(stacked, np.int32(done))
                joined.add(_left(made), done, batches.missing if done == len(group) else 0)
            except ValueNeededError as error:
                self._give_up(error)
                done = 0
        for k, batch in enumerate(group[done:], done + 1):
            joined.add(self.run(batch), missing=batches.missing if k == len(group) else 0)

    def _one(self, batch: Any) -> Any:
        before = Before(self.layers())
        try:
            result = self.python(batch)
            kept = Kept(self.layers())
            before.check(kept)
        except BaseException:
            before.put_back()
            raise
        return result, kept, kept.tensors

    def _several(self, batches: Any, count: Tensor, stacked: bool = False) -> Any:
        noted: list[Kept] = []

        def step(batch: Any) -> Any:
            result, kept, tensors = self._one(batch)
            noted.append(kept)
            return result, tensors

        result, tensors = repeated(step, batches, count, stacked)
        if stacked:  # of what is kept, the last
            tensors = [getitem(t, count - 1) for t in tensors]
        return result, noted[0], tensors

    def _give_up(self, error: ValueNeededError) -> None:
        warnings.warn(
            f"{self.name} asks for a tensor's value ({error.line}), so its Python is run at every "
            "step instead of once; each step is still compiled work. Use weft.ops.cond or where "
            "to have one program, or compile(run_eagerly=True) to silence this.",
            UserWarning,
            stacklevel=6,
        )
        self.lazily = True

    @property
    def programs(self) -> list[Any]:
        """The programs compiled so far."""
        return [*self.function.programs, *self.several.programs, *self.gathering.programs]
