"""`Cadence`: when something that happens each so often is due."""

from __future__ import annotations

from typing import Any

__all__ = ["Cadence"]


class Cadence:
    """Tells after which batches and epochs something is due.

    Batches are counted on from one epoch to the next. Where a step goes through several
    (`steps_per_execution`), it is due after the step in which their number is reached.

    Args:
        whose: the callback's and the argument's name, for the message.
        every: "epoch", or a number of batches; None for never.

    Raises:
        ValueError: anything else.

    Example:
        >>> cadence = Cadence("ModelCheckpoint: save_freq", 3)
        >>> [cadence.after_batch(batch) for batch in (0, 1, 2, 3, 0, 1)]
        [False, False, True, False, False, True]
    """

    def __init__(self, whose: str, every: Any) -> None:
        number = isinstance(every, int) and not isinstance(every, bool) and every > 0
        if not number and every not in ("epoch", None):
            raise ValueError(
                f"{whose} must be 'epoch' or a number of batches, 1 or more, got {every!r}."
            )
        self.batches: int | None = every if number else None
        self.epochs = every == "epoch"
        self.seen = 0  # since it was last due
        self._last = -1

    def after_batch(self, batch: int) -> bool:
        """Whether it is due now that `batch`, counted from 0 in its epoch, was done."""
        if self.batches is None:
            return False
        self.seen += batch - self._last if batch > self._last else batch + 1
        self._last = batch
        if self.seen < self.batches:
            return False
        self.seen = 0
        return True
