"""`ProgbarLogger`: the callback through which `fit`, `evaluate` and `predict` show progress."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from weft.training.callback import Callback
from weft.training.progress import Progress, checked_verbose

__all__ = ["ProgbarLogger"]


class ProgbarLogger(Callback):
    """Shows a `Progress` of the run; `fit` adds one unless `verbose=0`.

    Args:
        count_mode: "steps" or Keras 2's "samples". Batches are counted with either, as in the last
            Keras 2: a run does not tell its callbacks how many examples a batch has.
        stateful_metrics: Keras 2's names of values to be shown as they are. All are: the logs hold
            means over the epoch, and what a `train_step` of one's own returns is shown, as it is
            logged, without another mean being taken.
        verbose: as `fit`'s; None takes the run's own.
        console: a `rich.console.Console` to draw on in place of stdout.

    Raises:
        ValueError: another `count_mode` or `verbose`.
        TypeError: `stateful_metrics` are no names.
    """

    def __init__(
        self,
        count_mode: str = "steps",
        stateful_metrics: Iterable[str] | None = None,
        *,
        verbose: int | str | None = None,
        console: Any = None,
    ) -> None:
        if count_mode not in ("steps", "samples"):
            raise ValueError(
                f"ProgbarLogger: count_mode must be 'steps' or 'samples', got {count_mode!r}."
            )
        if verbose is not None:
            checked_verbose(verbose)
        self.count_mode = count_mode
        self.stateful_metrics = checked_names("ProgbarLogger: stateful_metrics", stateful_metrics)
        self.verbose = verbose
        self.console = console
        self._progress: Progress | None = None
        self._fitting = False
        self._seen: int | None = None  # steps of the last epoch
        self._steps = 0

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        if self.verbose is None:
            checked_verbose(params.get("verbose", "auto"))  # before anything is trained

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
        self._steps = batch + 1
        if self._progress is not None:
            self._progress.step(batch + 1, logs)

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


def checked_names(what: str, names: Any) -> set[str]:
    """The names of metrics that were given as `what`.

    Raises:
        TypeError: they are no names.
    """
    if isinstance(names, str) or not isinstance(names, Iterable | None):
        raise TypeError(f"{what} must be a list of metrics' names, such as ['auc'], got {names!r}.")
    made = set(names or ())
    for name in made:
        if not isinstance(name, str):
            raise TypeError(f"{what} must be names of metrics, got {name!r} among them.")
    return made
