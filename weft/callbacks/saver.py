"""`Saver`: a callback that keeps the model each so often, or when it is the best so far."""

from __future__ import annotations

import warnings
from typing import Any

from weft.callbacks.cadence import Cadence
from weft.callbacks.monitor import Monitor

__all__ = ["Saver"]


class Saver(Monitor):
    """Base of the callbacks that save the model: it decides when, `save` is the subclass's.

    Args:
        monitor: the metric's name in the logs, with `save_best_only`.
        verbose: 1 prints what is saved and why.
        save_best_only: save only where the metric is better than it has been.
        mode: "min", "max" or "auto" (by the metric and its name).
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: the first value to be better than.

    Attributes:
        best: the best value so far; it is kept from one `fit` to the next.
    """

    _state = ("best",)
    _without = "the model is saved without looking at it"

    def __init__(
        self,
        monitor: str,
        verbose: int,
        save_best_only: bool,
        mode: str,
        save_freq: Any,
        initial_value_threshold: float | None,
    ) -> None:
        super().__init__(monitor, mode)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_freq = save_freq
        self.best = initial_value_threshold
        self._cadence = Cadence(f"{type(self).__name__}: save_freq", save_freq)
        self._epoch = 0

    def save(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> str:
        """Write the model as it is; returns where."""
        raise NotImplementedError

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._cadence.after_batch(batch):
            self._consider(self._epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._cadence.epochs:
            self._consider(epoch, None, logs or {})

    def _consider(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> None:
        value = self.value(logs) if self.save_best_only else None
        where = f"Epoch {epoch + 1}" + ("" if batch is None else f", batch {batch + 1}")
        if value is None:
            path = self.save(epoch, batch, logs)
            self._say(f"{where}: saved {path}")
        elif self.improved(value, self.best):
            path = self.save(epoch, batch, logs)
            before = "" if self.best is None else f" from {self.best:.5f}"
            self._say(f"{where}: {self.monitor} improved{before} to {value:.5f}, saved {path}")
            self.best = value
        elif self.best is not None:
            self._say(f"{where}: {self.monitor} did not improve from {self.best:.5f}")
        elif not self._warned:  # NaN from the start: the user will look for a file in vain
            self._warned = True
            warnings.warn(
                f"{type(self).__name__}: {self.monitor} is {value}, which is no best value, so "
                "nothing is saved. fit(check_finite='explain') finds where it comes from.",
                stacklevel=3,
            )

    def _say(self, text: str) -> None:
        if self.verbose:
            print(text)
