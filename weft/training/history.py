"""`History`: what `fit` returns."""

from __future__ import annotations

from typing import Any

from weft.training.callback import Callback
from weft.training.logs import Logs

__all__ = ["History"]


class History(Callback):
    """The metric values of every epoch; `fit` makes one and returns it.

    Attributes:
        history: name -> list of floats, one an epoch.
        epoch: the epochs' numbers, counted from 0.
        params: the run's `verbose`, `epochs` and `steps`.

    Example:
        >>> history = History()
        >>> history.on_train_begin()
        >>> history.on_epoch_end(0, {"loss": 0.5})
        >>> history.history
        {'loss': [0.5]}
    """

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self._history: dict[str, list[Any]] = {}
        self._last: Logs | None = None

    @property
    def history(self) -> dict[str, list[Any]]:
        """The values by name; reading this waits for the last epoch's."""
        self._take_last()
        return self._history

    @history.setter
    def history(self, value: dict[str, list[Any]]) -> None:
        self._last = None
        self._history = value

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # One epoch behind: the values of the epoch before are there by now, so that the device
        # goes from one epoch to the next without a pause.
        self._take_last()
        self.epoch.append(epoch)
        self._last = Logs(logs or {})

    def _take_last(self) -> None:
        last, self._last = self._last, None
        for name, value in (last or {}).items():
            self._history.setdefault(name, []).append(value)
