"""Callbacks that change the optimizer's learning rate between epochs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from weft.callbacks.monitor import Monitor
from weft.training.callback import Callback

__all__ = ["LearningRateScheduler", "ReduceLROnPlateau"]


def _learning_rate(callback: Callback) -> float:
    """The learning rate of the model's optimizer, as a number."""
    name = type(callback).__name__
    optimizer = getattr(callback.model, "optimizer", None)
    rate = getattr(optimizer, "learning_rate", None)
    if rate is None:
        raise ValueError(
            f"{name} needs an optimizer with a learning_rate, got {type(optimizer).__name__}. "
            "Compile the model with one of weft.optimizers."
        )
    try:
        return float(rate)
    except TypeError as error:
        raise ValueError(
            f"{name} cannot change the learning rate, which follows a schedule "
            f"({type(rate).__name__}). Give the optimizer a number, or leave the callback out."
        ) from error


class LearningRateScheduler(Callback):
    """Sets the learning rate of each epoch.

    The rate in use is added to the epoch's logs as `learning_rate`.

    Args:
        schedule: `schedule(epoch, learning_rate)`, or `schedule(epoch)`, gives the new rate;
            epochs are counted from 0.
        verbose: 1 prints each change.

    Raises:
        ValueError: (in training) the optimizer follows a schedule of its own, or `schedule` gives
            something that is not a number.

    Example:
        >>> halve = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    """

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0) -> None:
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _takes_two(schedule)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        now = _learning_rate(self)
        given = self.schedule(epoch, now) if self._takes_rate else self.schedule(epoch)
        rate = _number(given)
        if rate is None:
            raise ValueError(
                f"LearningRateScheduler: the schedule must give a number, got {given!r} of type "
                f"{type(given).__name__} for epoch {epoch}."
            )
        self.model.optimizer.learning_rate = rate
        if self.verbose:
            print(f"Epoch {epoch + 1}: LearningRateScheduler sets the learning rate to {rate:g}.")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = _learning_rate(self)


class ReduceLROnPlateau(Monitor):
    """Lowers the learning rate when a metric has stopped improving.

    After `patience` epochs without improvement the rate becomes `max(rate × factor, min_lr)`.
    The rate in use is added to the epoch's logs as `learning_rate`.

    Args:
        monitor: the metric's name in the logs.
        factor: what to multiply the rate by, less than 1.
        patience: how many epochs without improvement are allowed.
        verbose: 1 prints each change.
        mode: "min", "max" or "auto" (by the metric's name).
        min_delta: a change has to be larger than this to count.
        cooldown: epochs after a reduction that are not counted.
        min_lr: the rate never goes below this.

    Raises:
        ValueError: `factor` is 1 or more.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if factor >= 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be less than 1, got {factor}.")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._reset()

    def _reset(self) -> None:
        self.best: float | None = None
        self.wait = 0
        self.cooldown_counter = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        self._reset()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        rate = _learning_rate(self)
        if logs is not None:
            logs["learning_rate"] = rate
        value = self.value(logs)
        if value is None:
            return
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improved(value, self.best):
            self.best, self.wait = value, 0
        elif not self.cooldown_counter:
            self.wait += 1
            if self.wait >= self.patience and rate > np.float32(self.min_lr):
                self._reduce(epoch, max(rate * self.factor, self.min_lr))

    def _reduce(self, epoch: int, rate: float) -> None:
        self.model.optimizer.learning_rate = rate
        self.cooldown_counter, self.wait = self.cooldown, 0
        if self.verbose:
            print(f"Epoch {epoch + 1}: ReduceLROnPlateau lowers the learning rate to {rate:g}.")


def _takes_two(schedule: Callable[..., Any]) -> bool:
    """Whether a schedule can be called with the epoch and the rate."""
    try:
        inspect.signature(schedule).bind(0, 0.1)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True


def _number(value: Any) -> float | None:
    if isinstance(value, str | bytes | bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
