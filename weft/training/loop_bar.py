"""`Progbar`: the progress of a loop of one's own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from weft.engine import Variable
from weft.training.logs import Logs, as_number
from weft.training.progbar import checked_names
from weft.training.progress import Progress

__all__ = ["Progbar"]


class Progbar:
    """Shows how far a loop has come, with the means of its values: on a terminal or in a notebook
    a bar, anywhere else a line at the end.

    The values may be tensors: what the device is still computing is taken in at a later drawing,
    so that the loop waits for nothing before its last step.

    Args:
        target: the number of steps; None (or a negative number) where it is not known.
        width: characters of the bar; 0 for none.
        verbose: 0 nothing, 1 as above, 2 a line at the end.
        interval: seconds between two drawings, at least.
        stateful_metrics: names of values that are shown as they are, without a mean.
        stateless_metrics: names of the values whose mean is shown; the others are shown as they
            are. Not together with `stateful_metrics`.
        unit_name: what a step is called.

    Raises:
        ValueError: both lists of metrics; a negative `width` or `interval`; another `verbose`.
        TypeError: `target` is no whole number; names or a unit that are no text.

    The last line has the means too (Keras 3 has the last step's values there).

    Example:
        >>> bar = Progbar(3, verbose=2, unit_name="batch")
        >>> for loss in (3.0, 2.0, 1.0):
        ...     bar.add(1, [("loss", loss)])
        3/3  ...  loss: 2.0000
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int | str = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError(
                "Progbar: give stateful_metrics (shown as they are, all others as means) or "
                "stateless_metrics (shown as means, all others as they are), not both."
            )
        if not isinstance(unit_name, str):
            raise TypeError(f"Progbar: unit_name must be text, got {unit_name!r}.")
        for name, value in (("width", width), ("interval", interval)):
            if not isinstance(value, int | float | np.number) or not value >= 0:
                raise ValueError(f"Progbar: {name} must be a number of 0 or more, got {value!r}.")
        self.target = _whole(target)
        self.stateful_metrics = checked_names("Progbar: stateful_metrics", stateful_metrics)
        self.stateless_metrics = (
            None
            if stateless_metrics is None
            else checked_names("Progbar: stateless_metrics", stateless_metrics)
        )
        self.seen_so_far = 0
        self._values: dict[str, Any] = {}
        self._progress = Progress(
            verbose, every=interval, width=int(width), unit=unit_name, inline=True
        )
        self._running = False

    def update(self, current: int, values: Any = None, finalize: bool | None = None) -> None:
        """The loop has come to a step.

        Args:
            current: the steps that are done.
            values: `(name, value)` pairs, or a dict; a mean weighs them by the steps since the
                last update.
            finalize: whether this is the end, and the line stays; None: from `target` on.
        """
        weight = max(current - self.seen_so_far, 1)
        pairs = _pairs(values)
        self.seen_so_far = current
        if not self._progress.verbose:
            return
        for name, value in pairs:
            if isinstance(value, Variable):
                value = value.value
            if self._is_averaged(name):
                self._values.setdefault(name, _Mean()).add(value, weight)
            else:
                self._values[name] = value
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        if not self._running:
            self._running = True
            self._progress.start("", self.target)
        if finalize:
            for value in self._values.values():
                if isinstance(value, _Mean):
                    value.settle()
        self._progress.step(current, self._values)
        if finalize:
            self._running = False
            self._progress.finish(self._values)
            self._progress.close()

    def add(self, n: int, values: Any = None) -> None:
        """The loop has gone `n` steps on; `values` as for `update`."""
        self.update(self.seen_so_far + n, values)

    def _is_averaged(self, name: str) -> bool:
        if self.stateless_metrics is not None:
            return name in self.stateless_metrics
        return name not in self.stateful_metrics


class _Mean:
    """The mean of values that the device may still be computing: of those it has done."""

    MOST = 64  # values waited for; the oldest are done by then

    def __init__(self) -> None:
        self._sum: Any = 0.0
        self._weight = 0
        self._waiting: deque[tuple[Any, int]] = deque()

    def add(self, value: Any, weight: int) -> None:
        self._waiting.append((value, weight))
        if len(self._waiting) > self.MOST:
            self._take()

    def _take(self) -> None:
        value, weight = self._waiting.popleft()
        self._sum += weight * float(np.mean(as_number(value)))
        self._weight += weight

    def settle(self) -> None:
        """Take in everything, waiting for it."""
        while self._waiting:
            self._take()

    def is_ready(self) -> bool:
        while self._waiting and Logs({"": self._waiting[0][0]}).ready():
            self._take()
        return self._weight > 0

    def __float__(self) -> float:
        if not self._weight:
            self.settle()
        return self._sum / self._weight


def _whole(target: Any) -> int | None:
    """A number of steps, None where it is not known."""
    if target is None:
        return None
    try:
        number = as_number(target)
        if number != int(number):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise TypeError(
            f"Progbar: target must be a whole number of steps, or None, got {target!r}."
        ) from None
    return int(number) if number > 0 else None


def _pairs(values: Any) -> list[tuple[str, Any]]:
    items = values.items() if isinstance(values, Mapping) else values or ()
    try:
        pairs = [(name, value) for name, value in items]
    except (TypeError, ValueError):
        raise TypeError(
            f"Progbar: values must be (name, value) pairs, such as [('loss', 0.5)], got {values!r}."
        ) from None
    for name, _ in pairs:
        if not isinstance(name, str):
            raise TypeError(f"Progbar: values must be named by text, got {name!r}.")
    return pairs
