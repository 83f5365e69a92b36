"""`Source`: how one run's batches are divided into epochs, whatever they are made of."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any
from weakref import ref

import numpy as np

from weft.engine import next_host_seed
from weft.training.ahead import Ahead
from weft.training.by_row import Filled

__all__ = ["OrderedSource", "Source"]

_END = object()


class Source:
    """Batches for one run: `batches()` is iterated over once an epoch.

    A *pass* goes through the data once. An epoch of `steps` batches may be shorter than a pass:
    the next epoch then goes on where it stopped (`continuing`, as in `fit`) or begins anew (as in
    each evaluation). A pass that ends within an epoch cuts that epoch short, with a warning.

    Args:
        steps: batches an epoch; a whole pass by default.
        continuing: whether an epoch goes on in the pass of the one before.
        to_device: whether batches made ahead are moved to an accelerator, too.

    Attributes:
        size: batches an epoch, where that is known.
        rows: how many examples an epoch has, where that is known.
        targets: all of them, where they are whole arrays.
        once: whether the data can be gone through once only (an iterator).
        epoch, index: the position: the pass, and in it the batch that comes next.
    """

    size: int | None = None
    rows: int | None = None
    targets: Any = None
    once: bool = False

    def __init__(
        self, steps: int | None = None, continuing: bool = False, to_device: bool = True
    ) -> None:
        self.steps, self.continuing = steps, continuing
        self.epoch = self.index = self.total = 0
        self._ahead = Ahead(to_device)
        self._pass: Iterator[Any] | None = None  # the one under way
        self._held: list[Any] = []  # a batch that `more` has fetched
        self._warned = False
        # Weak: an epoch ends with whoever goes through it, and `close` ends one that a traceback
        # keeps alive.
        self._running: Any = None

    def start(self) -> Iterator[Any]:
        """Pass number `epoch`, from batch `index` on: nests of arrays that nobody writes to."""
        raise NotImplementedError

    def batches(self) -> Iterator[Any]:
        """The batches of one epoch: `x`, `(x, y)` or `(x, y, sample_weight)` of arrays.

        An exception from the data has the number of its step in a note.
        """
        self._stop()
        epoch = self._epoch()
        self._running = ref(epoch)
        return epoch

    def more(self) -> bool:
        """Whether there can be another epoch; False, with a warning, where an iterator is used up.

        It fetches a batch (which is kept) where that is the only way to know.
        """
        if not self.once or not self.total:
            return True
        if self._pass is not None:
            item = self._first()
            if item is not _END:
                self._held.append(item)
                return True
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"the input ran out of data: {self.describe()} ended after {self.total} batches "
                "and cannot be gone through again, so no further epoch is made. For more epochs "
                "pass a Dataset, a PyDataset or arrays, or let it yield without end and say how "
                "many batches are an epoch (steps_per_epoch, validation_steps).",
                UserWarning,
                stacklevel=3,
            )
        return False

    def peek(self) -> Any:
        """The batch that comes first, which is kept to come; None without one."""
        try:
            item = self._first()
        except Exception as error:
            self._note(error, 0)
            raise
        if item is _END:
            return None
        self._held.append(item)
        return item.data if item.__class__ is Filled else item

    def close(self) -> None:
        """End the epoch under way, with its threads; a run is over."""
        self._stop()
        self._held.clear()
        self._pass = None

    def _stop(self) -> None:
        epoch = self._running and self._running()
        if epoch is not None:
            epoch.close()
        self._running = None

    def fill_up(self, may: Callable[[], bool]) -> None:
        """Fill up a shorter last batch, where one is known to come and it `may` be filled."""

    def describe(self) -> str:
        """What the data is, for messages."""
        return "the data"

    # -- an epoch -------------------------------------------------------------------------

    def _epoch(self) -> Iterator[Any]:
        if self._pass is not None and not (self.continuing or self.once):
            self._next_pass()
        made = 0
        try:
            item = self._first()
            if item is _END:
                return
            made = 1
            self.index += 1
            self.total += 1
            yield item
            left: Any = self._pass
            if self.steps is not None:
                left = islice(left, self.steps - 1)
            for item in self._ahead(left):
                made += 1
                self.index += 1
                self.total += 1
                yield item
        except Exception as error:
            self._note(error, made)
            raise
        if self.steps is None:
            self._next_pass()
        elif made < self.steps:
            self._next_pass()
            self._ran_out(made)

    def _note(self, error: Exception, made: int) -> None:
        error.add_note(
            f"raised by {self.describe()} while making the batch of step {made} of an epoch, "
            f"after {self.total} batches in all."
        )

    def _first(self) -> Any:
        """An epoch's first batch, of a new pass where the last one is through; or _END."""
        if self._held:
            return self._held.pop()
        for _ in range(2):
            if self._pass is None:
                if self.once and self.total:
                    break
                self._pass = iter(self.start())
            item = next(self._pass, _END)
            if item is not _END:
                return item
            if not self.index:  # an empty pass
                break
            self._next_pass()
        return _END

    def _next_pass(self) -> None:
        self._pass = None
        self.epoch += 1
        self.index = 0

    def _ran_out(self, made: int) -> None:
        self._warned = True
        after = "no further epoch is made" if self.once else "the next epoch begins with it anew"
        warnings.warn(
            f"the input ran out of data at step {made} of {self.steps} of an epoch: "
            f"{self.describe()} ended after {self.total} batches in all, so the epoch ends here "
            f"and {after}. For full epochs it must yield steps times epochs batches: repeat it, or "
            "ask for fewer steps.",
            UserWarning,
            stacklevel=2,
        )


class OrderedSource(Source):
    """A source whose order is weft's: that of pass e is drawn from the generator of (seed, e).

    So its position, (seed, epoch, index), says all that comes.
    """

    def __init__(self, shuffle: bool | str, *args: Any) -> None:
        super().__init__(*args)
        if shuffle not in (True, False, "batch"):
            raise ValueError(f"shuffle must be True, False or 'batch', got {shuffle!r}.")
        self.shuffle = shuffle
        self.seed = next_host_seed() if shuffle else 0

    def rng(self) -> np.random.Generator:
        """The generator of this pass's order."""
        return np.random.default_rng((self.seed, self.epoch))

    def get_state(self) -> dict[str, int]:
        """The position: the order's seed, the pass, and in it the batch that comes next."""
        return {"seed": self.seed, "epoch": self.epoch, "index": self.index}

    def set_state(self, state: dict[str, int]) -> None:
        """Go on from a position that `get_state` gave, with the same data and batch size."""
        self.close()
        self.seed, self.epoch, self.index = state["seed"], state["epoch"], state["index"]
