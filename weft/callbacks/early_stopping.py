"""`EarlyStopping`: end the training when it brings nothing more."""

from __future__ import annotations

from typing import Any

from weft.callbacks.monitor import Monitor

__all__ = ["EarlyStopping"]


class EarlyStopping(Monitor):
    """Stops when a metric has not improved for `patience` epochs.

    Args:
        monitor: the metric's name in the logs.
        min_delta: a change has to be larger than this to count.
        patience: how many epochs without improvement are allowed.
        verbose: 1 prints when it stops, and which epoch's weights it restores.
        mode: "min", "max" or "auto" (by the metric's name).
        baseline: a value that has to be beaten as well for the count of epochs to begin anew.
        restore_best_weights: leave the model with its best epoch's weights. They are copied to
            the host at each improvement.
        start_from_epoch: epochs before this one are not looked at.

    Attributes:
        stopped_epoch: the epoch after which training was stopped; 0 if it was not.
        best, best_epoch, best_weights: the best value, where it was, and the weights there.

    Example:
        >>> from types import SimpleNamespace
        >>> stopping = EarlyStopping("loss", patience=1)
        >>> stopping.set_model(SimpleNamespace(stop_training=False))
        >>> stopping.on_train_begin()
        >>> for epoch, loss in enumerate([3.0, 2.0, 2.5]):
        ...     stopping.on_epoch_end(epoch, {"loss": loss})
        >>> stopping.model.stop_training, stopping.best
        (True, 2.0)
    """

    # Not the best weights, which are arrays: what saves this state saves them beside it.
    _state = ("wait", "stopped_epoch", "best", "best_epoch")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self._need_numbers(patience=patience, start_from_epoch=start_from_epoch)
        if baseline is not None:
            self._need_numbers(baseline=baseline)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best: float | None = None
        self.best_epoch = 0
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        self._reset()

    def get_monitor_value(self, logs: dict[str, Any] | None) -> float | None:
        """The metric's value in the logs; a subclass may compute another."""
        return self.value(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch < self.start_from_epoch:
            return
        value = self.get_monitor_value(logs)
        if value is None:
            return
        self.wait += 1
        if self.improved(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.improved(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)
