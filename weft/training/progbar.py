"""`ProgbarLogger`: the callback through which `fit`, `evaluate` and `predict` show progress."""

from __future__ import annotations

from typing import Any

from weft.training.callback import Callback
from weft.training.progress import Progress

__all__ = ["ProgbarLogger"]


class ProgbarLogger(Callback):
    """Shows a `Progress` of the run; `fit` adds one unless `verbose=0`.

    Args:
        verbose: as `fit`'s; None takes the run's own.
        console: a `rich.console.Console` to draw on in place of stdout.
    """

    def __init__(self, verbose: int | str | None = None, *, console: Any = None) -> None:
        self.verbose = verbose
        self.console = console
        self._progress: Progress | None = None
        self._fitting = False
        self._seen: int | None = None  # steps of the last epoch
        self._steps = 0

    def _start(self, label: str, total: int | None) -> None:
        if self._progress is None:
            verbose = self.verbose
            if verbose is None:
                verbose = (self.params or {}).get("verbose", "auto")
            self._progress = Progress(verbose, console=self.console)
        self._steps = 0
        self._progress.start(label, total)

    def _step(self, batch: int, logs: Any) -> None:
        self._steps = batch + 1
        if self._progress is not None:
            self._progress.step(batch + 1, logs)

    def _total(self) -> int | None:
        return (self.params or {}).get("steps")

    def close(self) -> None:
        """Give the terminal back; also where a run was broken off."""
        self._fitting = False
        progress, self._progress = self._progress, None
        if progress is not None:
            progress.close()

    def on_train_begin(self, logs: Any = None) -> None:
        self.close()
        self._fitting = True
        self._seen = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        epochs = (self.params or {}).get("epochs")
        self._start(f"Epoch {epoch + 1}" + (f"/{epochs}" if epochs else ""),
                    self._total() or self._seen)  # fmt: skip

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._step(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._seen = self._steps
        if self._progress is not None:
            self._progress.finish(logs)

    def on_train_end(self, logs: Any = None) -> None:
        self.close()

    def on_test_begin(self, logs: Any = None) -> None:
        if not self._fitting:
            self._start("Evaluate", self._total())
        elif self._progress is not None:
            self._progress.aside("validating")

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._fitting:
            self._step(batch, logs)
        elif self._progress is not None:
            self._progress.aside("validating", batch + 1)

    def on_test_end(self, logs: Any = None) -> None:
        if not self._fitting:
            self._end(logs)

    def on_predict_begin(self, logs: Any = None) -> None:
        self._start("Predict", self._total())

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self._step(batch, None)  # these logs are the outputs

    def on_predict_end(self, logs: Any = None) -> None:
        self._end(None)

    def _end(self, logs: Any) -> None:
        if self._progress is not None:
            self._progress.finish(logs)
        self.close()
